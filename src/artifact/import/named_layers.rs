//! State dicts with names of their own: fully connected layers in the order that a spec gives.

use super::{
    Imported,
    error::{ImportError, Result},
    sb3::features,
    spec_file::{EXAMPLE, LayerNames, SpecFile},
    state_dict::StateDict,
};
use crate::{
    policy::{
        PolicySpec,
        spec::{Head, NetworkSpec, Postprocess},
    },
    wire::Space,
};

/// The line that names layers.
const LAYERS: &str = "    layers: {policy: [fc1, fc2, out], value: [v1, v2], log_std: log_std}";

/// # Errors
/// The spec lacks a field, a layer is missing or of another shape, or tensors are left over.
pub fn import(mut state_dict: StateDict, given: &SpecFile) -> Result<Imported> {
    let Some(layers) = &given.layers else {
        let names = state_dict.names().into_iter().take(12).collect::<Vec<_>>().join(", ");
        let problem = format!(
            "nothing known has layers of these names: {names}. Name them in a file with --spec, the outputs last."
        );
        return Err(ImportError::with_lines(problem, &format!("{EXAMPLE}\n{LAYERS}")));
    };
    let (observation_space, action_space) = (given.observation_space()?, given.action_space()?);
    let inputs = features::encoded_size(&observation_space);
    let policy = take(&mut state_dict, &layers.policy, ("policy", "action"), inputs)?;
    let value = match layers.value.is_empty() {
        true => None,
        false => Some(take(&mut state_dict, &layers.value, ("value", "value"), inputs)?),
    };
    let head = head(&action_space, layers);
    if let Some(name) = &layers.log_std {
        let log_std = state_dict.take(name)?;
        state_dict.put("log_std", &log_std.flatten_all()?)?;
    }
    let spec = PolicySpec {
        observation_space,
        action_space,
        normalize: None,
        network: NetworkSpec::mlp(given.activation()?, policy, value),
        head,
        postprocess: Postprocess::Clip,
    };
    Ok(Imported::new("unknown".into(), "a state dict".into(), spec, state_dict.finish()?))
}

fn take(
    state_dict: &mut StateDict,
    layers: &[String],
    (hidden, last): (&str, &str),
    inputs: usize,
) -> Result<Vec<usize>> {
    let Some((end, before)) = layers.split_last() else {
        return Err(ImportError::new("layers.policy of the spec names no layer"));
    };
    let widths = state_dict.stack(before, hidden, inputs)?;
    state_dict.linear(end, last, widths.last().copied().unwrap_or(inputs))?;
    Ok(widths)
}

/// The plainest distribution over such actions.
fn head(actions: &Space, layers: &LayerNames) -> Head {
    match actions {
        Space::Box { .. } if layers.log_std.is_some() => {
            Head::DiagonalGaussian { squash: false, log_std: None }
        }
        Space::Box { .. } | Space::Dict { .. } => Head::Deterministic { squash: false },
        Space::Discrete { .. } => Head::Categorical { masked: false },
        Space::MultiDiscrete { .. } => Head::MultiCategorical { masked: false },
        Space::MultiBinary { .. } => Head::Bernoulli,
    }
}
