//! Policies of Stable-Baselines3 and sb3-contrib: `.zip` files of `model.save`, and bare ones of
//! `policy.save`. The layers and their names are those of version 2.9; of what older versions did
//! otherwise, the keys tell.

mod actor_critic;
mod checkpoint;
mod family;
pub mod features;
mod lstm;
mod off_policy;
mod settings;

pub use checkpoint::Checkpoint;
pub use lstm::take as take_lstm;

use super::{
    Imported,
    error::{ImportError, Result},
};
use crate::{
    policy::{PolicySpec, spec::Head},
    wire::Space,
};
use family::Family;

/// The policy in a checkpoint.
///
/// # Errors
/// It has parts that can't be rebuilt from its file.
pub fn import(mut checkpoint: Checkpoint) -> Result<Imported> {
    let (family, algorithm) = Family::of(&checkpoint)?;
    let start = forget_start(&mut checkpoint.action_space);
    check_starts(&checkpoint.observation_space)?;
    features::check_class(&checkpoint.settings, &checkpoint.state_dict)?;
    let spec = match family {
        Family::ActorCritic { masked, recurrent } => {
            actor_critic::take(&mut checkpoint, (masked, recurrent))?
        }
        Family::QNetwork => off_policy::take_q_network(&mut checkpoint, "q_net")?,
        Family::Quantiles => off_policy::take_q_network(&mut checkpoint, "quantile_net")?,
        Family::SquashedGaussian => off_policy::take_squashed_gaussian(&mut checkpoint)?,
        Family::Deterministic => off_policy::take_deterministic(&mut checkpoint)?,
        Family::Ars { linear } => off_policy::take_ars(&mut checkpoint, linear)?,
    };
    let steps = checkpoint.number("num_timesteps").filter(|steps| *steps > 0.0);
    let source = match &checkpoint.version {
        Some(version) => format!("stable_baselines3 {version}"),
        None => "a bare policy of stable_baselines3".into(),
    };
    let warnings = exploration(&spec).into_iter().chain(start).collect();
    let steps = steps.map(|steps| steps as u64);
    let altered = checkpoint.altered;
    let tensors = checkpoint.state_dict.finish()?;
    Ok(Imported { steps, warnings, altered, ..Imported::new(algorithm, source, spec, tensors) })
}

/// `predict` counts actions from 0, whatever the space says.
fn forget_start(actions: &mut Space) -> Option<String> {
    let Space::Discrete { start, .. } = actions else { return None };
    let from = std::mem::take(start);
    (from != 0).then(|| {
        format!("the action space starts at {from}; Stable-Baselines3's predict counts from 0, and so does this policy")
    })
}

/// Stable-Baselines3 makes `one_hot` of a discrete observation as if it started at 0: what the policy
/// learned of one that does not, nobody can tell.
fn check_starts(observations: &Space) -> Result<()> {
    let pieces = observations.pieces();
    match pieces.iter().find(|(_, space)| space.start() != 0) {
        Some((key, space)) => Err(ImportError::new(format!(
            "the discrete observation {} starts at {}: Stable-Baselines3 knows only those that start at 0",
            key.unwrap_or(""),
            space.start()
        ))),
        None => Ok(()),
    }
}

/// A sample of DQN now and then is not what the network says.
fn exploration(spec: &PolicySpec) -> Option<String> {
    match spec.head {
        Head::QValues { exploration_rate, .. } if exploration_rate > 0.0 => Some(format!(
            "{} of the sampled actions are drawn from all (exploration_rate); ask with deterministic: true for the best one",
            percent(exploration_rate)
        )),
        _ => None,
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}
