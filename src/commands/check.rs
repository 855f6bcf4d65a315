//! `carla-rl artifacts check`: a policy against outputs of the program that trained it.

use std::io::{self, Write};

use serde_json::json;

use super::artifacts::{configuration, written};
use crate::{
    artifact::{
        Artifact, ArtifactError,
        reference::{Compared, Comparison, Reference},
    },
    cli::CheckArgs,
    failure::Failure,
    policy::{
        Policy,
        device::{Device, Precision},
        message,
    },
};

/// # Errors
/// [`Failure::Different`] if an output is outside of the tolerance; the artifact is not sound, or
/// the reference does not fit it.
pub fn run(arguments: &CheckArgs, out: &mut impl Write) -> Result<(), Failure> {
    let artifact = Artifact::open(&arguments.folder).map_err(configuration)?;
    let mut policy = artifact.verify(Device::Cpu, Precision::F32).map_err(configuration)?.policy;
    let file = &arguments.reference;
    let reference = Reference::open(file, policy.spec()).map_err(configuration)?;
    let comparison = reference
        .compare(&mut policy)
        .map_err(|error| configuration(ArtifactError::new(file, message(&error))))?;
    match arguments.json {
        true => written(writeln!(out, "{:#}", object(&comparison)))?,
        false => written(table(&comparison, out))?,
    }
    let first = comparison.outputs.iter().find_map(|output| output.first.clone());
    match first {
        Some(first) => Err(Failure::Different(format!("outside of the tolerance: {first}"))),
        None => Ok(()),
    }
}

fn table(comparison: &Comparison, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{} observations, alone, in batches of 2 and 3, and all together; largest absolute differences",
        comparison.observations
    )?;
    writeln!(
        out,
        "{:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10}  within 1e-5 + 1e-5 |x|",
        "output", "elements", "1", "2", "3", "all", "of allowed"
    )?;
    for output in &comparison.outputs {
        let [one, two, three, all] = output.worst;
        writeln!(
            out,
            "{:<12} {:>9} {one:>9.1e} {two:>9.1e} {three:>9.1e} {all:>9.1e} {:>10.3}  {}",
            output.name,
            output.elements,
            output.of_tolerance,
            verdict(output)
        )?;
    }
    if comparison.sampled {
        writeln!(out, "raw_action of the reference is sampled: log_prob is that of its actions")?;
    }
    let same = if comparison.identical { "the same bits" } else { "not the same bits" };
    writeln!(out, "all batch sizes gave {same}")
}

fn verdict(output: &Compared) -> String {
    let ties = match output.ties {
        0 => String::new(),
        ties => format!(", {ties} ties"),
    };
    match output.outside {
        0 => format!("yes{ties}"),
        outside => format!("no: {outside} of {}{ties}", output.elements),
    }
}

fn object(comparison: &Comparison) -> serde_json::Value {
    let outputs: Vec<_> = comparison
        .outputs
        .iter()
        .map(|output| {
            let [one, two, three, all] = output.worst;
            json!({
                "name": output.name,
                "elements": output.elements,
                "worst": {"1": one, "2": two, "3": three, "all": all},
                "of_tolerance": output.of_tolerance,
                "ties": output.ties,
                "outside": output.outside,
                "first": output.first,
            })
        })
        .collect();
    json!({
        "ok": comparison.is_within(),
        "observations": comparison.observations,
        "raw_action_sampled": comparison.sampled,
        "identical": comparison.identical,
        "outputs": outputs,
    })
}
