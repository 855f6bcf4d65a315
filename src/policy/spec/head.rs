//! From the network's numbers to a distribution over actions.

use serde::{Deserialize, Serialize};

/// The distribution over actions, or what stands in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Head {
    /// Independent normal distributions over a box.
    DiagonalGaussian {
        /// Whether tanh follows the draw, as in SAC.
        #[serde(default)]
        squash: bool,
        /// `log_std` comes from a layer of its own and is clamped to this range. Absent: it is one
        /// vector of the weights file, for all observations.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_std: Option<LogStdRange>,
    },
    /// Generalised state-dependent exploration over a box (Raffin, Kober and Stulp 2020): the noise
    /// is a random matrix times the action branch's last hidden layer.
    Gsde {
        #[serde(default)]
        squash: bool,
        /// Whether the standard deviation grows like a logarithm above 1, in place of `exp`.
        #[serde(default)]
        expln: bool,
        /// The mean is clipped to ± this before the noise is added.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip_mean: Option<f64>,
    },
    /// One of `n` actions by the softmax of the network's outputs.
    Categorical {
        /// Whether requests may rule out actions.
        #[serde(default)]
        masked: bool,
    },
    /// A categorical distribution for each element of a multi-discrete space, or for each bit of a
    /// multi-binary one (of two outputs each).
    MultiCategorical {
        #[serde(default)]
        masked: bool,
    },
    /// Each bit of a multi-binary space by the sigmoid of one output.
    Bernoulli,
    /// The action of the highest value.
    QValues {
        /// Outputs for each action, of which the mean counts.
        #[serde(default = "one")]
        quantiles: usize,
        /// The share of sampled actions that are drawn from all, whatever their values.
        #[serde(default)]
        exploration_rate: f64,
    },
    /// The network's outputs are the action of a box. There is nothing to sample.
    Deterministic {
        /// Whether tanh follows.
        #[serde(default)]
        squash: bool,
    },
}

/// The range that a `log_std` from the network is clamped to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogStdRange {
    pub low: f64,
    pub high: f64,
}

fn one() -> usize {
    1
}

impl Head {
    pub fn name(&self) -> &'static str {
        match self {
            Head::DiagonalGaussian { .. } => "diagonal_gaussian",
            Head::Gsde { .. } => "gsde",
            Head::Categorical { .. } => "categorical",
            Head::MultiCategorical { .. } => "multi_categorical",
            Head::Bernoulli => "bernoulli",
            Head::QValues { .. } => "q_values",
            Head::Deterministic { .. } => "deterministic",
        }
    }

    pub fn is_masked(&self) -> bool {
        matches!(self, Head::Categorical { masked: true } | Head::MultiCategorical { masked: true })
    }

    pub(super) fn has_log_prob(&self) -> bool {
        !matches!(self, Head::QValues { .. } | Head::Deterministic { .. })
    }

    pub(super) fn has_probs(&self) -> bool {
        matches!(self, Head::Categorical { .. } | Head::MultiCategorical { .. } | Head::Bernoulli)
    }
}
