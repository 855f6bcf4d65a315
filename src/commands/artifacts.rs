//! `carla-rl artifacts`: verify, list and show trained policies.

use std::io::{self, Write};

use serde_json::json;

use crate::{
    artifact::{Artifact, ArtifactError, Verified, store},
    cli::{ListArgs, ShowArgs, VerifyArgs},
    failure::Failure,
    policy::device::{Device, Precision},
};

/// # Errors
/// The artifact is not sound, or standard output is closed.
pub fn verify(arguments: &VerifyArgs, out: &mut impl Write) -> Result<(), Failure> {
    let flag = |name: &str, expected: String| {
        Failure::Configuration(format!("{name}: expected {expected}"))
    };
    let device: Device = arguments.device.parse().map_err(|e| flag("--device", e))?;
    let precision: Precision = arguments.precision.parse().map_err(|e| flag("--precision", e))?;
    let opened = Artifact::open(&arguments.folder);
    let verified = opened.and_then(|artifact| Ok((artifact.verify(device, precision)?, artifact)));
    let (verified, artifact) = match verified {
        Ok(sound) => sound,
        Err(error) if arguments.json => {
            let object = json!({"ok": false, "path": error.path, "problem": error.problem});
            written(writeln!(out, "{object:#}"))?;
            return Err(configuration(error));
        }
        Err(error) => return Err(configuration(error)),
    };
    if arguments.json {
        let (card, deviation) = (&artifact.card, verified.deviation);
        let object = json!({
            "ok": true,
            "name": card.name,
            "version": card.version,
            "path": artifact.folder,
            "weights": artifact.weights(),
            "device": verified.device,
            "precision": precision.to_string(),
            "golden_rows": deviation.rows,
            "worst_deviation": deviation.worst,
            "tolerance": deviation.tolerance,
        });
        return written(writeln!(out, "{object:#}"));
    }
    written(writeln!(out, "{}", soundness(&artifact, &verified, precision)))
}

/// That a verified artifact is sound, in one line.
pub(super) fn soundness(artifact: &Artifact, verified: &Verified, precision: Precision) -> String {
    let (card, deviation) = (&artifact.card, verified.deviation);
    format!(
        "{}: {} {} ({}) is sound: {} golden outputs on {} in {precision}, at most {:.1e} off ({:.0e} allowed)",
        artifact.folder.display(),
        card.name,
        card.version,
        artifact.weights(),
        deviation.rows,
        verified.device,
        deviation.worst,
        deviation.tolerance,
    )
}

/// # Errors
/// The root can't be read, a card is broken, or standard output is closed.
pub fn list(arguments: &ListArgs, out: &mut impl Write) -> Result<(), Failure> {
    let listed = store::list(&arguments.artifacts).map_err(configuration)?;
    if arguments.json {
        return written(writeln!(out, "{:#}", json!(listed)));
    }
    let rows = listed.iter().map(|artifact| {
        let path = artifact.path.display().to_string();
        [artifact.name.clone(), artifact.version.to_string(), artifact.weights.clone(), path]
    });
    let rows: Vec<_> = std::iter::once(["NAME", "VERSION", "WEIGHTS", "PATH"].map(String::from))
        .chain(rows)
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths = [width(0), width(1), width(2)];
    for [name, version, weights, path] in &rows {
        let [a, b, c] = widths;
        written(writeln!(out, "{name:a$}  {version:b$}  {weights:c$}  {path}"))?;
    }
    Ok(())
}

/// # Errors
/// There is no sound card, or standard output is closed.
pub fn show(arguments: &ShowArgs, out: &mut impl Write) -> Result<(), Failure> {
    let card = Artifact::open(&arguments.folder).map_err(configuration)?.card;
    if arguments.json {
        return written(writeln!(out, "{:#}", json!(card)));
    }
    let yaml = card.to_yaml().map_err(Failure::Defect)?;
    written(write!(out, "{yaml}"))
}

pub(super) fn configuration(error: ArtifactError) -> Failure {
    Failure::Configuration(error.to_string())
}

pub(super) fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| Failure::Defect(format!("standard output: {error}")))
}
