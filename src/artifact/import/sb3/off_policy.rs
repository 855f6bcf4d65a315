//! DQN, QR-DQN, SAC, TQC, CrossQ, TD3, DDPG and ARS.

use super::{checkpoint::Checkpoint, features};
use crate::{
    artifact::import::error::{ImportError, Result},
    policy::{
        PolicySpec,
        spec::{Activation, Features, Head, LogStdRange, NetworkSpec, Postprocess},
    },
    wire::Space,
};

/// What SAC and its kin clamp `log_std` to.
const LOG_STD: LogStdRange = LogStdRange { low: -20.0, high: 2.0 };
/// What they clip the mean to with gSDE, unless told otherwise.
const CLIP_MEAN: f64 = 2.0;
/// CrossQ's, unless told otherwise.
const BATCH_NORM_EPS: f64 = 1e-3;

/// DQN's `q_net`, QR-DQN's `quantile_net`. Its target network is for training.
///
/// # Errors
/// Layers are missing or of other shapes.
pub fn take_q_network(checkpoint: &mut Checkpoint, name: &str) -> Result<PolicySpec> {
    checkpoint.state_dict.ignore(&format!("{name}_target"));
    let (features, width) = take_features(checkpoint, name)?;
    let layers = format!("{name}.{name}");
    let (hidden, outputs) = checkpoint.state_dict.branch(&layers, ("policy", "action"), width)?;
    let Space::Discrete { n, .. } = &checkpoint.action_space else {
        return Err(ImportError::new("Q-values of actions that are not discrete"));
    };
    let actions = (*n as usize).max(1);
    if outputs % actions != 0 {
        return Err(ImportError::new(format!(
            "{layers} has {outputs} outputs for {actions} actions"
        )));
    }
    let exploration_rate = checkpoint.number("exploration_rate").unwrap_or(0.0);
    let head = Head::QValues { quantiles: outputs / actions, exploration_rate };
    Ok(spec(checkpoint, Activation::Relu, (features, hidden), (head, Postprocess::None)))
}

/// The actor of SAC, TQC and CrossQ. Critics are for training.
///
/// # Errors
/// Layers are missing or of other shapes.
pub fn take_squashed_gaussian(checkpoint: &mut Checkpoint) -> Result<PolicySpec> {
    ignore_critics(checkpoint);
    let (features, width) = take_features(checkpoint, "actor")?;
    let is_renormed = checkpoint.state_dict.has("actor.latent_pi.0.ra_mean");
    let hidden = match is_renormed {
        true => take_renormed(checkpoint, width)?,
        false => checkpoint.state_dict.hidden("actor.latent_pi", "policy", width)?,
    };
    let latent = hidden.last().copied().unwrap_or(width);
    let settings = &checkpoint.settings;
    let state_dict = &mut checkpoint.state_dict;
    // A clipped mean is a layer and its clipping.
    let clipped = state_dict.has("actor.mu.0.weight");
    state_dict.linear(if clipped { "actor.mu.0" } else { "actor.mu" }, "action", latent)?;
    let head = if state_dict.has("actor.log_std") {
        state_dict.rename_one("actor.log_std", "log_std")?;
        let clip_mean = clipped.then(|| settings.clip_mean.unwrap_or(CLIP_MEAN));
        Head::Gsde { squash: true, expln: settings.use_expln.unwrap_or(false), clip_mean }
    } else {
        state_dict.linear("actor.log_std", "log_std", latent)?;
        Head::DiagonalGaussian { squash: true, log_std: Some(LOG_STD) }
    };
    let epsilon = checkpoint.settings.batch_norm_eps.unwrap_or(BATCH_NORM_EPS);
    let layers = (features, hidden);
    let mut spec = spec(checkpoint, Activation::Relu, layers, (head, Postprocess::Rescale));
    spec.network.batch_renorm = is_renormed.then_some(epsilon);
    Ok(spec)
}

/// CrossQ's layers: a batch renormalisation before each, and one behind the last activation.
fn take_renormed(checkpoint: &mut Checkpoint, inputs: usize) -> Result<Vec<usize>> {
    let state_dict = &mut checkpoint.state_dict;
    let mut widths: Vec<usize> = Vec::new();
    loop {
        let at = 3 * widths.len();
        let (from, to) = (format!("actor.latent_pi.{at}"), format!("policy_norm.{}", widths.len()));
        for (part, ours) in
            [("ra_mean", "mean"), ("ra_var", "var"), ("scale", "scale"), ("bias", "bias")]
        {
            state_dict.rename_one(&format!("{from}.{part}"), &format!("{to}.{ours}"))?;
        }
        state_dict.ignore(&format!("{from}.steps"));
        let layer = format!("actor.latent_pi.{}", at + 1);
        if !state_dict.has(&format!("{layer}.weight")) {
            return Ok(widths);
        }
        let inputs = widths.last().copied().unwrap_or(inputs);
        let to = format!("policy.{}", widths.len());
        widths.push(state_dict.linear(&layer, &to, inputs)?);
    }
}

/// The actor of TD3 and DDPG: its last activation is tanh.
///
/// # Errors
/// Layers are missing or of other shapes.
pub fn take_deterministic(checkpoint: &mut Checkpoint) -> Result<PolicySpec> {
    ignore_critics(checkpoint);
    let (features, width) = take_features(checkpoint, "actor")?;
    let (hidden, _) = checkpoint.state_dict.branch("actor.mu", ("policy", "action"), width)?;
    let head = (Head::Deterministic { squash: true }, Postprocess::Rescale);
    Ok(spec(checkpoint, Activation::Relu, (features, hidden), head))
}

/// ARS: one network, squashed or clipped.
///
/// # Errors
/// Layers are missing or of other shapes.
pub fn take_ars(checkpoint: &mut Checkpoint, linear: bool) -> Result<PolicySpec> {
    let width = features::encoded_size(&checkpoint.observation_space);
    checkpoint.state_dict.biasless = true;
    let (hidden, _) = checkpoint.state_dict.branch("action_net", ("policy", "action"), width)?;
    let squash = checkpoint.settings.squash_output.unwrap_or(!linear);
    let head = match (&checkpoint.action_space, squash) {
        (Space::Discrete { .. }, _) => {
            (Head::QValues { quantiles: 1, exploration_rate: 0.0 }, Postprocess::None)
        }
        (_, true) => (Head::Deterministic { squash }, Postprocess::Rescale),
        (_, false) => (Head::Deterministic { squash }, Postprocess::Clip),
    };
    Ok(spec(checkpoint, Activation::Relu, (Features::flat(), hidden), head))
}

fn ignore_critics(checkpoint: &mut Checkpoint) {
    for name in ["critic", "critic_target", "actor_target"] {
        checkpoint.state_dict.ignore(name);
    }
}

fn take_features(checkpoint: &mut Checkpoint, network: &str) -> Result<(Features, usize)> {
    let from = format!("{network}.features_extractor");
    let (space, settings) = (&checkpoint.observation_space, &checkpoint.settings);
    features::take(&mut checkpoint.state_dict, (&from, "features"), space, settings)
}

fn spec(
    checkpoint: &Checkpoint,
    activation: Activation,
    (features, policy): (Features, Vec<usize>),
    (head, postprocess): (Head, Postprocess),
) -> PolicySpec {
    let activation = checkpoint.settings.activation.unwrap_or(activation);
    PolicySpec {
        observation_space: checkpoint.observation_space.clone(),
        action_space: checkpoint.action_space.clone(),
        normalize: None,
        network: NetworkSpec { features, ..NetworkSpec::mlp(activation, policy, None) },
        head,
        postprocess,
    }
}
