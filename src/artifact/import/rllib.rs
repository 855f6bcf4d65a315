//! `module_state.pkl` of RLlib's new API stack: a dict of numpy arrays by the names of the layers.

use candle_core::Tensor;

use super::{
    Imported, Pickle, Value,
    error::{ImportError, Result},
    numpy,
    sb3::features,
    spec_file::SpecFile,
    state_dict::StateDict,
    torch::MAX_ELEMENTS,
};
use crate::{
    policy::{
        PolicySpec,
        spec::{Head, LogStdRange, NetworkSpec, Postprocess},
    },
    wire::Space,
};

/// The file in a checkpoint's folder.
pub const FILE: &str = "module_state.pkl";
/// Where a checkpoint of the whole algorithm has it.
pub const BELOW: &str = "learner_group/learner/rl_module/default_policy";
/// What RLlib's distribution clamps `log_std` to.
const LOG_STD: LogStdRange = LogStdRange { low: -20.0, high: 20.0 };

/// # Errors
/// It is no dict of arrays, or they have too many elements together.
pub fn read(pickle: &Pickle) -> Result<StateDict> {
    StateDict::new(arrays(pickle, MAX_ELEMENTS)?)
}

/// Many names may share one array of the file, and each becomes a tensor of its own.
fn arrays(pickle: &Pickle, most: usize) -> Result<Vec<(String, Tensor)>> {
    let root = pickle.root();
    let wrong = || ImportError::expected("a dict of names to numpy arrays", root);
    let (mut tensors, mut elements) = (Vec::new(), 0);
    for (key, value) in root.entries().ok_or_else(wrong)? {
        let name = key.as_str().ok_or_else(wrong)?;
        let tensor = tensor(name, value)?;
        elements += tensor.elem_count();
        if elements > most {
            return Err(ImportError::new(format!("more than {most} elements in all arrays")));
        }
        tensors.push((name.to_owned(), tensor));
    }
    Ok(tensors)
}

fn tensor(name: &str, value: Value<'_>) -> Result<Tensor> {
    let tensor = numpy::tensor(value).map_err(|error| error.within(name))?;
    tensor.ok_or_else(|| ImportError::expected("a numpy array", value).within(name))
}

/// Whether the names are those of RLlib's default module.
pub fn is_known(state_dict: &StateDict) -> bool {
    state_dict.has("pi.net.mlp.0.weight") && state_dict.has_below("encoder")
}

/// # Errors
/// The spec lacks a field, or the layers are others than those of the default module.
pub fn import(mut state_dict: StateDict, given: &SpecFile) -> Result<Imported> {
    let (observation_space, action_space) = (given.observation_space()?, given.action_space()?);
    let inputs = features::encoded_size(&observation_space);
    let separate = state_dict.has_below("encoder.actor_encoder");
    let mut network = NetworkSpec::mlp(given.activation()?, vec![], None);
    let (policy_width, value_width);
    if separate {
        network.policy = state_dict.hidden("encoder.actor_encoder.net.mlp", "policy", inputs)?;
        policy_width = network.policy.last().copied().unwrap_or(inputs);
        let value = state_dict.hidden("encoder.critic_encoder.net.mlp", "value", inputs)?;
        value_width = value.last().copied().unwrap_or(inputs);
        network.value = Some(value);
    } else {
        network.shared = state_dict.hidden("encoder.encoder.net.mlp", "shared", inputs)?;
        policy_width = network.shared.last().copied().unwrap_or(inputs);
        value_width = policy_width;
        network.value = Some(vec![]);
    }
    state_dict.linear("vf.net.mlp.0", "value", value_width)?;
    let (head, postprocess) = take_head(&mut state_dict, &action_space, policy_width)?;
    let spec =
        PolicySpec { observation_space, action_space, normalize: None, network, head, postprocess };
    let source = "a module state of RLlib".into();
    let mut imported = Imported::new("PPO".into(), source, spec, state_dict.finish()?);
    imported.warnings.push(
        "observation filters and action transforms of RLlib live in its connectors, not in this file: normalize and postprocess of the spec must say what they did".into(),
    );
    Ok(imported)
}

/// Of a box, half of the outputs are means and half logarithms of standard deviations.
fn take_head(
    state_dict: &mut StateDict,
    actions: &Space,
    inputs: usize,
) -> Result<(Head, Postprocess)> {
    let from = "pi.net.mlp.0";
    match actions {
        Space::Discrete { .. } => {
            state_dict.linear(from, "action", inputs)?;
            Ok((Head::Categorical { masked: false }, Postprocess::None))
        }
        Space::MultiDiscrete { .. } => {
            state_dict.linear(from, "action", inputs)?;
            Ok((Head::MultiCategorical { masked: false }, Postprocess::None))
        }
        Space::Box { .. } => {
            let size = actions.size();
            let weight = state_dict.take(&format!("{from}.weight"))?;
            let bias = state_dict.take(&format!("{from}.bias"))?;
            if weight.dims() != [2 * size, inputs] || bias.dims() != [2 * size] {
                return Err(ImportError::new(format!(
                    "{from}.weight has shape {:?}, expected ({}, {inputs}): means and log_std of {size} actions",
                    weight.dims(),
                    2 * size
                )));
            }
            for (name, start) in [("action", 0), ("log_std", size)] {
                state_dict.put(&format!("{name}.weight"), &weight.narrow(0, start, size)?)?;
                state_dict.put(&format!("{name}.bias"), &bias.narrow(0, start, size)?)?;
            }
            let head = Head::DiagonalGaussian { squash: false, log_std: Some(LOG_STD) };
            Ok((head, Postprocess::Rescale))
        }
        other => Err(ImportError::new(format!(
            "action_space: RLlib's {} actions are not supported",
            other.name()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_so_many_elements_and_no_more() {
        let file = include_bytes!("../../../tests/data/policies/rllib_box/module_state.pkl");
        let pickle = Pickle::read(file).unwrap();
        let all: usize = arrays(&pickle, usize::MAX)
            .unwrap()
            .iter()
            .map(|(_, tensor)| tensor.elem_count())
            .sum();
        assert!(arrays(&pickle, all).is_ok());
        assert!(arrays(&pickle, all - 1).unwrap_err().to_string().contains("elements"));
    }
}
