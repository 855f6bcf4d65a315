//! What an import found in its source, for the person who runs it.

use serde_json::json;

use crate::{
    artifact::import::Imported,
    policy::{
        PolicySpec,
        spec::{Activation, ImageNetwork, Lstm},
    },
    wire::{Space, space::Bound},
};

/// What was found in the source, line by line.
pub fn found(imported: &Imported) -> Vec<(&'static str, String)> {
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
