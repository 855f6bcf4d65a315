//! How a policy is built: what its card says under `policy`.

use serde::{Deserialize, Serialize};

use crate::wire::{Space, Wants, space::Bound};

/// In one observation or action: more than any camera gives.
const MAX_ELEMENTS: usize = 1 << 24;

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

/// `clip((x - mean) / sqrt(var + epsilon), -clip, clip)`, with the statistics
/// `observation.mean` and `observation.var` of the weights file, as in Stable-Baselines3's
/// `VecNormalize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    pub epsilon: f64,
    pub clip: f64,
}

/// Two separate branches of fully connected layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    pub activation: Activation,
    /// Widths of the hidden layers before the action head.
    pub policy: Vec<usize>,
    /// Widths of the hidden layers before the value. Absent: the policy has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<usize>>,
}

/// After each hidden layer; parameters are PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    Tanh,
    Relu,
    /// With alpha 1.
    Elu,
    /// With slope 0.01.
    LeakyRelu,
    /// The exact one, with the error function.
    Gelu,
    Silu,
    Sigmoid,
}

/// The distribution over actions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// Independent normal distributions with the state-independent `log_std` of the weights file.
    DiagonalGaussian {
        /// Whether tanh follows the draw, as in SAC.
        #[serde(default)]
        squash: bool,
    },
    /// One of `n` actions by the softmax of the network's outputs.
    Categorical,
}

/// From the distribution's action to environment units. Discrete actions are left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Postprocess {
    /// Clip to the action space's bounds.
    #[default]
    Clip,
    /// From [-1, 1] to the action space's bounds.
    Rescale,
    None,
}

impl PolicySpec {
    /// Whether this program can run the policy, and the spec is one.
    ///
    /// # Errors
    /// A sentence that names the key to change.
    pub fn check(&self) -> Result<(), String> {
        self.check_observations()?;
        self.check_actions()?;
        let widths = self.network.policy.iter().chain(self.network.value.iter().flatten());
        match widths.min() {
            Some(0) => Err("policy.network: a hidden layer of width 0".into()),
            _ => self.check_normalize(),
        }
    }

    /// The extra reply fields that the policy has.
    pub fn wants(&self) -> Wants {
        Wants {
            value: self.network.value.is_some(),
            log_prob: true,
            raw_action: true,
            probs: self.head == Head::Categorical,
            q_values: false,
        }
    }

    /// Numbers that the network gives for one row.
    pub fn head_size(&self) -> usize {
        match &self.action_space {
            Space::Discrete { n, .. } => *n as usize,
            other => other.size(),
        }
    }

    fn check_observations(&self) -> Result<(), String> {
        match &self.observation_space {
            Space::Box { dtype, .. } if dtype.is_float() => {
                check_box(&self.observation_space, "policy.observation_space")
            }
            Space::Box { dtype, .. } => Err(format!(
                "policy.observation_space: a box of {} is not supported, only f2, f4 and f8 are",
                dtype.name()
            )),
            other => Err(format!(
                "policy.observation_space: {} is not supported, only box is",
                other.name()
            )),
        }
    }

    fn check_actions(&self) -> Result<(), String> {
        match (&self.action_space, &self.head) {
            (Space::Box { dtype, .. }, Head::DiagonalGaussian { .. }) if dtype.is_float() => {
                check_box(&self.action_space, "policy.action_space")?;
                self.check_rescale()
            }
            (Space::Discrete { n: 1..=0xffff, .. }, Head::Categorical) => Ok(()),
            (Space::Discrete { n, .. }, Head::Categorical) => {
                Err(format!("policy.action_space: n is {n}, expected 1 to 65535"))
            }
            (space, _) => Err(format!(
                "policy.head: {} actions do not fit it, expected a box of floats with diagonal_gaussian or discrete with categorical",
                space.name()
            )),
        }
    }

    /// Rescaling to an unbounded space gives no number.
    fn check_rescale(&self) -> Result<(), String> {
        let (Postprocess::Rescale, Space::Box { low, high, .. }) =
            (self.postprocess, &self.action_space)
        else {
            return Ok(());
        };
        let expand = |bound: &Bound| bound.expand(self.action_space.size()).unwrap_or_default();
        let widths = expand(high).into_iter().zip(expand(low)).map(|(high, low)| high - low);
        match widths.map(|width| width as f32).position(|width| !width.is_finite()) {
            Some(at) => Err(format!(
                "policy.postprocess: rescale needs finite bounds, element {at} of action_space has none"
            )),
            None => Ok(()),
        }
    }

    fn check_normalize(&self) -> Result<(), String> {
        match &self.normalize {
            Some(Normalize { epsilon, clip }) if !(*epsilon >= 0.0 && *clip > 0.0) => {
                Err(format!("policy.normalize: epsilon {epsilon} and clip {clip} must be positive"))
            }
            _ => Ok(()),
        }
    }
}

fn check_box(space: &Space, key: &str) -> Result<(), String> {
    let Space::Box { low, high, .. } = space else { return Ok(()) };
    let size = space.size();
    if !(1..=MAX_ELEMENTS).contains(&size) {
        let shape = space.shape();
        return Err(format!("{key}: shape {shape:?} has not 1 to {MAX_ELEMENTS} elements"));
    }
    let expand = |bound: &Bound, name| {
        bound
            .expand(size)
            .ok_or_else(|| format!("{key}: {name} must be a number or {size} of them"))
    };
    let (low, high) = (expand(low, "low")?, expand(high, "high")?);
    match low.iter().zip(&high).position(|(low, high)| low.is_nan() || high.is_nan() || low > high)
    {
        Some(at) => Err(format!("{key}: low[{at}] is above high[{at}]")),
        None => Ok(()),
    }
}
