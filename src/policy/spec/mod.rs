//! How a policy is built: what its card says under `policy`.

mod check;
mod flops;
mod head;
mod network;

pub use head::{Head, LogStdRange};
pub use network::{
    Activation, Convolution, Features, IMAGE, ImageNetwork, Lstm, NetworkSpec, ValueMemory,
};

use serde::{Deserialize, Serialize};

use crate::wire::{Space, Wants};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    pub observation_space: Space,
    pub action_space: Space,
    /// Absent: observations go into the network as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    pub network: NetworkSpec,
    pub head: Head,
    #[serde(default)]
    pub postprocess: Postprocess,
}

/// `clip((x - mean) / sqrt(var + epsilon), -clip, clip)`, with the statistics of the weights file,
/// as in Stable-Baselines3's `VecNormalize`: `observation.mean` and `observation.var`, or of a dict
/// `observation.<key>.mean` and `observation.<key>.var`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    pub epsilon: f64,
    pub clip: f64,
    /// The spaces of a dict that are normalised; the others are left alone. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<String>>,
    /// Whether elements are first clipped to `observation.low` and `observation.high`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clip_inputs: bool,
}

/// From the distribution's action to environment units. Discrete actions are left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Postprocess {
    /// Clip to the action space's bounds.
    #[default]
    Clip,
    /// Clip to [-1, 1], and from there to the action space's bounds.
    Rescale,
    None,
}

impl PolicySpec {
    /// The extra reply fields that the policy has.
    pub fn wants(&self) -> Wants {
        Wants {
            value: self.network.value.is_some(),
            log_prob: self.head.has_log_prob(),
            raw_action: true,
            probs: self.head.has_probs(),
            q_values: matches!(self.head, Head::QValues { .. }),
        }
    }

    /// Numbers that the network gives for one row.
    pub fn head_size(&self) -> usize {
        match &self.head {
            Head::QValues { quantiles, .. } => self.choices().iter().sum::<usize>() * quantiles,
            _ => self.distribution_size(),
        }
    }

    /// Elements of `probs`, `q_values` or of the mean: what golden outputs hold for one row.
    pub fn distribution_size(&self) -> usize {
        let choices = self.choices();
        if choices.is_empty() { self.action_space.size() } else { choices.iter().sum() }
    }

    /// How many actions there are to choose from, for each element that is a choice; none for a
    /// box and for independent bits.
    pub fn choices(&self) -> Vec<usize> {
        match (&self.action_space, &self.head) {
            (Space::Discrete { n, .. }, _) => vec![*n as usize],
            (Space::MultiDiscrete { nvec }, _) => nvec.iter().map(|n| *n as usize).collect(),
            (space @ Space::MultiBinary { .. }, Head::MultiCategorical { .. }) => {
                vec![2; space.size()]
            }
            _ => vec![],
        }
    }

    /// Elements of one row's action mask, for a policy that takes masks.
    pub fn mask_size(&self) -> Option<usize> {
        self.head.is_masked().then(|| self.choices().iter().sum())
    }

    /// Numbers that a recurrent policy remembers of one row.
    pub fn state_size(&self) -> Option<usize> {
        let lstm = self.network.lstm.as_ref()?;
        let networks = match lstm.value {
            ValueMemory::Own if self.network.value.is_some() => 2,
            _ => 1,
        };
        Some(networks * lstm.layers * 2 * lstm.size)
    }
}
