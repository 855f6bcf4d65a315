//! `carla-rl artifacts import`: an artifact of a policy that another program trained.

mod found;

use std::io::{self, Write};

use serde_json::json;

use super::artifacts::{configuration, soundness, written};
use crate::{
    artifact::{
        Card, Draft, create,
        import::{self, Imported},
        reference,
    },
    cli::ImportArgs,
    failure::Failure,
    policy::device::{Device, Precision},
    printable::printable,
    wire::Observations,
};
use found::found;

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
    provenance.extend(imported.files);
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
    match &arguments.observations {
        Some(file) => {
            reference::observations(file, &imported.spec.observation_space).map_err(configuration)
        }
        None => Ok(import::sampled_observations(&imported.spec, &imported.tensors)),
    }
}
