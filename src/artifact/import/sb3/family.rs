//! Which algorithm a checkpoint is of. The algorithm is not saved: its policy's class is, and
//! names of what it was constructed with; a bare policy has only its layers.

use super::checkpoint::Checkpoint;
use crate::artifact::import::error::{ImportError, Result};

/// Policies that are built alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// PPO, A2C, TRPO and their kin, with masks or with a memory.
    ActorCritic { masked: bool, recurrent: bool },
    /// DQN.
    QNetwork,
    /// QR-DQN.
    Quantiles,
    /// SAC, TQC and CrossQ: a squashed normal distribution.
    SquashedGaussian,
    /// TD3 and DDPG.
    Deterministic,
    /// ARS, with or without hidden layers.
    Ars { linear: bool },
}

/// Modules of policies, with the family, and the algorithm if it is the only one with such.
const MODULES: [(&str, Family, &str); 9] = [
    (
        "stable_baselines3.common.policies",
        Family::ActorCritic { masked: false, recurrent: false },
        "",
    ),
    (
        "sb3_contrib.common.maskable.policies",
        Family::ActorCritic { masked: true, recurrent: false },
        "MaskablePPO",
    ),
    (
        "sb3_contrib.common.recurrent.policies",
        Family::ActorCritic { masked: false, recurrent: true },
        "RecurrentPPO",
    ),
    ("stable_baselines3.dqn.policies", Family::QNetwork, "DQN"),
    ("sb3_contrib.qrdqn.policies", Family::Quantiles, "QRDQN"),
    ("stable_baselines3.sac.policies", Family::SquashedGaussian, "SAC"),
    ("sb3_contrib.tqc.policies", Family::SquashedGaussian, "TQC"),
    ("sb3_contrib.crossq.policies", Family::SquashedGaussian, "CrossQ"),
    ("stable_baselines3.td3.policies", Family::Deterministic, ""),
];
const ARS: &str = "sb3_contrib.ars.policies";

/// Classes in those modules.
const CLASSES: [&str; 18] = [
    "ActorCriticPolicy",
    "ActorCriticCnnPolicy",
    "MultiInputActorCriticPolicy",
    "MaskableActorCriticPolicy",
    "MaskableActorCriticCnnPolicy",
    "MaskableMultiInputActorCriticPolicy",
    "RecurrentActorCriticPolicy",
    "RecurrentActorCriticCnnPolicy",
    "RecurrentMultiInputActorCriticPolicy",
    "DQNPolicy",
    "QRDQNPolicy",
    "SACPolicy",
    "TQCPolicy",
    "CrossQPolicy",
    "TD3Policy",
    "CnnPolicy",
    "MultiInputPolicy",
    "MlpPolicy",
];

impl Family {
    /// The family, and the algorithm's name as far as it can be told.
    ///
    /// # Errors
    /// The policy is of no class that this program knows, or has no layers by which to tell.
    pub fn of(checkpoint: &Checkpoint) -> Result<(Self, String)> {
        let Some((module, name)) = &checkpoint.policy_class else {
            return Self::by_layers(checkpoint);
        };
        if module == ARS && name.starts_with("ARS") {
            return Ok((Family::Ars { linear: name == "ARSLinearPolicy" }, "ARS".into()));
        }
        let known = MODULES.iter().find(|(known, ..)| known == module);
        match known.filter(|_| CLASSES.contains(&name.as_str())) {
            Some((_, family, "")) => Ok((*family, algorithm(*family, checkpoint))),
            Some((_, family, algorithm)) => Ok((*family, (*algorithm).into())),
            None => Err(ImportError::new(format!(
                "the policy is of the class {module}.{name}, none of Stable-Baselines3's or sb3-contrib's own: what it computes can't be told from its weights"
            ))),
        }
    }

    fn by_layers(checkpoint: &Checkpoint) -> Result<(Self, String)> {
        let has = |prefix: &str| checkpoint.state_dict.has_below(prefix);
        let plain = has("action_net") && has("value_net");
        let (family, name) = if has("lstm_actor") {
            (Family::ActorCritic { masked: false, recurrent: true }, "RecurrentPPO")
        } else if plain && !checkpoint.has_key("use_sde") {
            (Family::ActorCritic { masked: true, recurrent: false }, "MaskablePPO")
        } else if plain {
            (Family::ActorCritic { masked: false, recurrent: false }, "PPO, A2C or TRPO")
        } else if has("q_net") {
            (Family::QNetwork, "DQN")
        } else if has("quantile_net") {
            (Family::Quantiles, "QRDQN")
        } else if has("actor.mu")
            && (has("actor.log_std") || checkpoint.state_dict.has("actor.log_std"))
        {
            (Family::SquashedGaussian, squashed_name(checkpoint))
        } else if has("actor.mu") {
            (Family::Deterministic, "TD3 or DDPG")
        } else if has("action_net") {
            let linear = !checkpoint.state_dict.has("action_net.0.bias")
                && checkpoint.state_dict.places("action_net").len() == 1;
            (Family::Ars { linear }, "ARS")
        } else {
            let names = checkpoint.state_dict.names();
            let some = names.into_iter().take(8).collect::<Vec<_>>().join(", ");
            return Err(ImportError::new(format!(
                "no policy of Stable-Baselines3 has layers like {some}"
            )));
        };
        Ok((family, name.into()))
    }
}

fn algorithm(family: Family, checkpoint: &Checkpoint) -> String {
    let has = |name: &str| checkpoint.has_key(name);
    let name = match family {
        Family::Deterministic if checkpoint.number("target_noise_clip") == Some(0.0) => "DDPG",
        Family::Deterministic => "TD3",
        _ if has("cg_max_steps") => "TRPO",
        _ if has("clip_range") => "PPO",
        _ => "A2C",
    };
    name.into()
}

fn squashed_name(checkpoint: &Checkpoint) -> &'static str {
    match (checkpoint.has_key("batch_norm"), checkpoint.settings.n_quantiles) {
        (true, _) => "CrossQ",
        (false, Some(_)) => "TQC",
        (false, None) => "SAC",
    }
}
