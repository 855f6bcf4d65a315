//! PPO, A2C, TRPO, MaskablePPO and RecurrentPPO.

use super::{checkpoint::Checkpoint, features, lstm};
use crate::{
    artifact::import::error::{ImportError, Result},
    policy::{
        PolicySpec,
        spec::{Activation, Features, Head, Lstm, NetworkSpec, Postprocess, ValueMemory},
    },
    wire::Space,
};

/// Takes all layers of the policy.
///
/// # Errors
/// Layers are missing, of other shapes, or made with options that this program does not have.
pub fn take(checkpoint: &mut Checkpoint, (masked, recurrent): (bool, bool)) -> Result<PolicySpec> {
    let (features, separate, mut width) = take_features(checkpoint)?;
    let lstm = match recurrent {
        true => Some(take_memory(checkpoint, width)?),
        false => None,
    };
    width = lstm.map_or(width, |lstm| lstm.size);
    let state_dict = &mut checkpoint.state_dict;
    let shared = state_dict.hidden("mlp_extractor.shared_net", "shared", width)?;
    let width = shared.last().copied().unwrap_or(width);
    let policy = state_dict.hidden("mlp_extractor.policy_net", "policy", width)?;
    let value = state_dict.hidden("mlp_extractor.value_net", "value", width)?;
    let latent = policy.last().copied().unwrap_or(width);
    state_dict.linear("action_net", "action", latent)?;
    state_dict.linear("value_net", "value", value.last().copied().unwrap_or(width))?;
    let head = take_head(checkpoint, masked)?;
    let squash = matches!(head, Head::Gsde { squash: true, .. });
    Ok(PolicySpec {
        observation_space: checkpoint.observation_space.clone(),
        action_space: checkpoint.action_space.clone(),
        normalize: None,
        network: NetworkSpec {
            features,
            separate_value_features: separate,
            lstm,
            shared,
            ..NetworkSpec::mlp(
                checkpoint.settings.activation.unwrap_or(Activation::Tanh),
                policy,
                Some(value),
            )
        },
        head,
        postprocess: if squash { Postprocess::Rescale } else { Postprocess::Clip },
    })
}

/// Before version 1.7 there was one extractor; since then there are three names for it, or two
/// extractors with one of the names left over.
fn take_features(checkpoint: &mut Checkpoint) -> Result<(Features, bool, usize)> {
    let (space, settings) = (&checkpoint.observation_space, &checkpoint.settings);
    let state_dict = &mut checkpoint.state_dict;
    let (both, policy, value) =
        ("features_extractor", "pi_features_extractor", "vf_features_extractor");
    let own = state_dict.has_below(policy);
    let from = if own { policy } else { both };
    let separate = own && state_dict.has_below(value) && !state_dict.is_same(policy, value)?;
    let (taken, width) = features::take(state_dict, (from, "features"), space, settings)?;
    if separate {
        features::take(state_dict, (value, "value_features"), space, settings)?;
    }
    for name in [both, policy, value].into_iter().filter(|name| own || *name != both) {
        ignore_twins(checkpoint, name);
    }
    Ok((taken, separate, width))
}

/// What is left of an extractor is the same once more, unless it has other layers than those taken.
fn ignore_twins(checkpoint: &mut Checkpoint, name: &str) {
    let state_dict = &mut checkpoint.state_dict;
    let known = [".cnn.0.", ".cnn.2.", ".cnn.4.", ".linear.0."];
    let names: Vec<String> = state_dict.names().into_iter().map(String::from).collect();
    let below = names.iter().filter(|key| key.starts_with(&format!("{name}.")));
    for key in below.filter(|key| known.iter().any(|part| key.contains(part))) {
        state_dict.ignore(key);
    }
}

fn take_memory(checkpoint: &mut Checkpoint, width: usize) -> Result<Lstm> {
    if let Some(option) = checkpoint.settings.lstm.first() {
        return Err(ImportError::new(format!("lstm_kwargs has {option}: not supported")));
    }
    let state_dict = &mut checkpoint.state_dict;
    let (size, layers) = lstm::take(state_dict, ("lstm_actor", "lstm"), width)?;
    let value = if state_dict.has_below("lstm_critic") {
        let own = lstm::take(state_dict, ("lstm_critic", "value_lstm"), width)?;
        if own != (size, layers) {
            return Err(ImportError::new("lstm_critic has other sizes than lstm_actor"));
        }
        ValueMemory::Own
    } else if state_dict.has_below("critic") {
        state_dict.linear("critic", "value_linear", width)?;
        ValueMemory::Linear
    } else {
        ValueMemory::Shared
    };
    Ok(Lstm { size, layers, value })
}

fn take_head(checkpoint: &mut Checkpoint, masked: bool) -> Result<Head> {
    let settings = &checkpoint.settings;
    match &checkpoint.action_space {
        Space::Box { .. } => {
            let shape = checkpoint.state_dict.rename_one("log_std", "log_std")?;
            match shape.len() {
                1 => Ok(Head::DiagonalGaussian { squash: false, log_std: None }),
                _ => Ok(Head::Gsde {
                    squash: settings.squash_output.unwrap_or(false),
                    expln: settings.use_expln.unwrap_or(false),
                    clip_mean: None,
                }),
            }
        }
        Space::Discrete { .. } => Ok(Head::Categorical { masked }),
        Space::MultiDiscrete { .. } => Ok(Head::MultiCategorical { masked }),
        // With masks, a bit is a choice of two.
        Space::MultiBinary { .. } if masked => Ok(Head::MultiCategorical { masked }),
        Space::MultiBinary { .. } => Ok(Head::Bernoulli),
        Space::Dict { .. } => Err(ImportError::new("actions of a dict are not supported")),
    }
}
