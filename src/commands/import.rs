//! `carla-rl artifacts import`: an artifact of a policy that another program trained.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use serde_json::json;

use super::artifacts::{configuration, soundness, written};
use crate::{
    artifact::{
        Card, Draft, create, digest,
        import::{self, Imported},
        reference::Reference,
    },
    cli::ImportArgs,
    failure::Failure,
    policy::{
        PolicySpec,
        device::{Device, Precision},
        spec::{Activation, ImageNetwork, Lstm},
    },
    printable::printable,
    wire::{Observations, Space, space::Bound},
};

/// # Errors
/// The source can't be read or rebuilt, the version is there already, or the folder can't be
/// written.
pub fn run(arguments: &ImportArgs, out: &mut impl Write) -> Result<(), Failure> {
    let folder = arguments.out.join(&arguments.name).join(arguments.version.to_string());
    if folder.exists() {
        return Err(Failure::Configuration(format!(
            "{}: is there already; versions are never overwritten (--version, --out)",
            folder.display()
        )));
    }
    let (statistics, spec) = (arguments.vec_normalize.as_deref(), arguments.spec.as_deref());
    let imported = import::import(&arguments.source, statistics, spec)
        .map_err(|error| Failure::Configuration(error.to_string()))?;
    let found = found(&imported);
    let warnings: Vec<String> = imported.warnings.iter().map(|text| printable(text)).collect();
    let artifact = create(&arguments.out, draft(arguments, imported)?).map_err(configuration)?;
    if arguments.json {
        let found: serde_json::Map<_, _> =
            found.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
        let object = json!({
            "name": artifact.card.name,
            "version": artifact.card.version,
            "path": artifact.folder,
            "weights": artifact.weights(),
            "found": found,
            "warnings": warnings,
        });
        return written(writeln!(out, "{object:#}"));
    }
    written(show(&found, &warnings, out))?;
    let verified = artifact.verify(Device::Cpu, Precision::F32).map_err(configuration)?;
    written(writeln!(out, "{}", soundness(&artifact, &verified, Precision::F32)))
}

fn show(found: &[(&str, String)], warnings: &[String], out: &mut impl Write) -> io::Result<()> {
    for (key, value) in found {
        writeln!(out, "{key:<14}{}", printable(value))?;
    }
    for warning in warnings {
        writeln!(out, "warning: {warning}")?;
    }
    Ok(())
}

/// What was found in the source, line by line.
fn found(imported: &Imported) -> Vec<(&'static str, String)> {
    let spec = &imported.spec;
    let steps = imported.steps.map_or(String::new(), |steps| format!(", {steps} steps"));
    let mut found = vec![
        ("algorithm", format!("{} ({}{steps})", imported.algorithm, imported.source)),
        ("observation", described(&spec.observation_space)),
        ("action", described(&spec.action_space)),
        ("layers", layers(spec)),
        ("head", head(spec)),
        ("parameters", imported.parameters().to_string()),
    ];
    let normalisation = match &spec.normalize {
        None => "none".to_owned(),
        Some(normalize) => {
            let keys = normalize
                .keys
                .as_ref()
                .map_or(String::new(), |keys| format!(", of {}", keys.join(", ")));
            format!("mean and variance, clipped at {}{keys}", normalize.clip)
        }
    };
    found.push(("normalisation", normalisation));
    found
}

/// A space in a line.
fn described(space: &Space) -> String {
    match space {
        Space::Box { dtype, shape, low, high } => {
            format!("box {} {shape:?}, {} to {}", dtype.name(), bound(low), bound(high))
        }
        Space::Discrete { n, start: 0 } => format!("discrete {n}"),
        Space::Discrete { n, start } => format!("discrete {n} from {start}"),
        Space::MultiDiscrete { nvec } => format!("multi_discrete {nvec:?}"),
        Space::MultiBinary { shape } => format!("multi_binary {shape:?}"),
        Space::Dict { spaces } => {
            let parts = spaces.iter().map(|(key, space)| format!("{key}: {}", described(space)));
            format!("dict of {}", parts.collect::<Vec<_>>().join("; "))
        }
    }
}

/// More bounds than fit a line are told by their range.
fn bound(bound: &Bound) -> String {
    match bound {
        Bound::Uniform(bound) => bound.to_string(),
        Bound::Each(bounds) if bounds.len() <= 6 => format!("{bounds:?}"),
        Bound::Each(bounds) => {
            let least = bounds.iter().copied().fold(f64::INFINITY, f64::min);
            let most = bounds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            format!("({least} … {most})")
        }
    }
}

fn layers(spec: &PolicySpec) -> String {
    let network = &spec.network;
    let mut parts = Vec::new();
    for (key, image) in &network.features.images {
        parts.push(format!("{key} through {}", image_layers(image)));
    }
    if let Some(Lstm { size, layers, value }) = &network.lstm {
        parts.push(format!("LSTM {size} x {layers} (value: {value:?})").to_lowercase());
    }
    if !network.shared.is_empty() {
        parts.push(format!("shared {}", widths(&network.shared)));
    }
    parts.push(format!("policy {}", widths(&network.policy)));
    if let Some(value) = &network.value {
        parts.push(format!("value {}", widths(value)));
    }
    if network.batch_renorm.is_some() {
        parts.push("batch renormalisation".into());
    }
    format!("{}; {}", parts.join(", "), activation(network.activation))
}

fn image_layers(image: &ImageNetwork) -> String {
    let convolutions = image.convolutions.iter().map(|c| {
        let (channels, kernel, stride) = (c.channels, c.kernel, c.stride);
        format!("{channels}@{kernel}s{stride}")
    });
    format!("{} and {}", convolutions.collect::<Vec<_>>().join(" "), image.width)
}

fn widths(widths: &[usize]) -> String {
    match widths {
        [] => "(none)".into(),
        widths => widths.iter().map(ToString::to_string).collect::<Vec<_>>().join("-"),
    }
}

/// As the card has it.
fn activation(activation: Activation) -> String {
    serde_json::to_value(activation)
        .ok()
        .and_then(|v| Some(v.as_str()?.to_owned()))
        .unwrap_or_default()
}

fn head(spec: &PolicySpec) -> String {
    let value = serde_json::to_value(&spec.head).unwrap_or_default();
    let options = value
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| *key != "type" && !value.is_null() && **value != json!(false));
    let options: Vec<_> = options.map(|(key, value)| format!("{key} {value}")).collect();
    let postprocess = serde_json::to_value(spec.postprocess).unwrap_or_default();
    let postprocess =
        postprocess.as_str().filter(|_| matches!(spec.action_space, Space::Box { .. }));
    let parts = std::iter::once(spec.head.name().to_owned()).chain(options);
    parts.chain(postprocess.map(String::from)).collect::<Vec<_>>().join(", ")
}

fn draft(arguments: &ImportArgs, imported: Imported) -> Result<Draft, Failure> {
    let observations = observations(arguments, &imported)?;
    let steps = imported.steps.map_or(String::new(), |steps| format!(" after {steps} steps"));
    let description = imported.description.unwrap_or_else(|| {
        format!("{}{steps}, imported from {}.", imported.algorithm, imported.source)
    });
    let mut provenance = vec![
        ("program", concat!("carla-rl ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("source", imported.source),
        (
            "golden",
            match arguments.observations {
                Some(_) => "recorded at import, from given observations".to_owned(),
                None => "recorded at import, from random observations".to_owned(),
            },
        ),
    ];
    provenance.extend(file_and_digest("source_file", &arguments.source));
    if let Some(statistics) = &arguments.vec_normalize {
        provenance.extend(file_and_digest("vec_normalize", statistics));
    }
    let card = Card {
        schema: Card::SCHEMA,
        name: arguments.name.clone(),
        version: arguments.version.clone(),
        description,
        algorithm: imported.algorithm,
        observation_features: imported.observation_features,
        action_names: imported.action_names,
        policy: imported.spec,
        provenance: provenance.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        files: Default::default(),
    };
    Ok(Draft { card, tensors: imported.tensors, observations })
}

fn observations(arguments: &ImportArgs, imported: &Imported) -> Result<Observations, Failure> {
    let Some(file) = &arguments.observations else {
        return Ok(import::sampled_observations(&imported.spec, &imported.tensors));
    };
    let wrong = |why: String| Failure::Configuration(format!("{}: {why}", file.display()));
    let bytes = fs::read(file).map_err(|error| wrong(error.to_string()))?;
    Reference::observations(&bytes, &imported.spec.observation_space).map_err(wrong)
}

/// The name of a file and the digest by which it can be found again; a folder has none.
fn file_and_digest(key: &'static str, file: &Path) -> Option<(&'static str, String)> {
    let bytes = fs::read(file).ok()?;
    let name = file.file_name()?.to_string_lossy().into_owned();
    Some((key, format!("{}, SHA-256 {}", printable(&name), digest(&bytes))))
}
