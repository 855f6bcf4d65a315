//! Action distributions: from the network's numbers of one row to an action and its log-prob.
//!
//! A log-prob is always that of the action as it is returned, in f32: what `evaluate_actions` of
//! Stable-Baselines3 says of it.

mod bernoulli;
mod categorical;
mod deterministic;
mod gaussian;
mod gsde;
mod q_values;
#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use super::{
    Actions, Mode, PolicySpec,
    device::Place,
    linear::Linear,
    postprocess::Bounds,
    spec::{Activation, Head},
    weights::Weights,
};
use bernoulli::Bernoulli;
use categorical::Categorical;
use deterministic::Deterministic;
use gaussian::DiagonalGaussian;
use gsde::Gsde;
use q_values::QValues;

/// What a head is given: row-major, one row for each mode.
pub struct Given<'a> {
    /// The last layer's numbers.
    pub outputs: &'a [f32],
    /// What a head that asks for more took from the action's branch, empty for others.
    pub more: &'a [f32],
    /// 1 for actions that are allowed; of policies that take masks.
    pub masks: Option<&'a [u8]>,
    /// Actions to evaluate in place of drawing any.
    pub raw_actions: Option<&'a Actions>,
    pub modes: &'a [Mode],
}

impl<'a> Given<'a> {
    /// The action to evaluate in row `row` of a head over floats.
    fn floats(&self, row: usize, size: usize) -> Option<&'a [f32]> {
        match self.raw_actions? {
            Actions::F32(values) => values.get(row * size..(row + 1) * size),
            Actions::I64(_) => None,
        }
    }

    /// The same of a head over choices.
    fn choice(&self, at: usize) -> Option<i64> {
        match self.raw_actions? {
            Actions::F32(values) => values.get(at).map(|x| *x as i64),
            Actions::I64(values) => values.get(at).copied(),
        }
    }
}

/// What a head gives for all rows of a batch.
pub struct Decided {
    pub action: Actions,
    pub raw_action: Actions,
    pub log_prob: Option<Vec<f32>>,
    pub probs: Option<Vec<f32>>,
    pub q_values: Option<Vec<f32>>,
    pub sound: Vec<bool>,
}

pub enum ActionHead {
    Gaussian(DiagonalGaussian),
    Gsde(Gsde),
    Categorical(Categorical),
    Bernoulli(Bernoulli),
    QValues(QValues),
    Deterministic(Deterministic),
}

/// What a head wants of the action's branch besides its last layer.
pub enum More {
    Nothing,
    /// What goes into the last layer.
    Latent,
    /// The outputs of one more layer beside the last one.
    Layer(Linear),
}

impl ActionHead {
    /// Takes the head's own tensors; `width` columns go into the last layer.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        spec: &PolicySpec,
        weights: &mut Weights,
        width: usize,
        place: &Place,
    ) -> Result<(Self, More)> {
        let size = spec.head_size();
        let bounds = || Bounds::new(&spec.action_space, spec.postprocess);
        let (choices, start) = (spec.choices(), spec.action_space.start());
        let head = match &spec.head {
            Head::DiagonalGaussian { squash, log_std: Some(range) } => {
                let layer = Linear::load(weights, "log_std", (width, size), place)?;
                let log_std = gaussian::LogStd::Given { low: range.low, high: range.high };
                let head = DiagonalGaussian { log_std, size, squash: *squash, bounds: bounds() };
                return Ok((ActionHead::Gaussian(head), More::Layer(layer)));
            }
            Head::DiagonalGaussian { squash, log_std: None } => {
                let log_std = gaussian::LogStd::Fixed(weights.take_vec("log_std", size)?);
                let head = DiagonalGaussian { log_std, size, squash: *squash, bounds: bounds() };
                ActionHead::Gaussian(head)
            }
            Head::Gsde { squash, expln, clip_mean } => {
                let deviation = gsde::deviation(weights, (width, size), *expln)?;
                let (squash, clip_mean) = (*squash, *clip_mean);
                let head = Gsde { deviation, size, squash, clip_mean, bounds: bounds() };
                return Ok((ActionHead::Gsde(head), More::Latent));
            }
            Head::Categorical { .. } | Head::MultiCategorical { .. } => {
                let bits = matches!(spec.action_space, crate::wire::Space::MultiBinary { .. });
                ActionHead::Categorical(Categorical { choices, start, bits })
            }
            Head::Bernoulli => ActionHead::Bernoulli(Bernoulli { size }),
            Head::QValues { quantiles, exploration_rate } => {
                let actions = size / quantiles;
                let (quantiles, rate) = (*quantiles, *exploration_rate);
                ActionHead::QValues(QValues { actions, start, quantiles, rate })
            }
            Head::Deterministic { squash } => {
                ActionHead::Deterministic(Deterministic { squash: *squash, size, bounds: bounds() })
            }
        };
        Ok((head, More::Nothing))
    }

    pub fn decide(&self, given: &Given) -> Decided {
        match self {
            ActionHead::Gaussian(head) => head.decide(given),
            ActionHead::Gsde(head) => head.decide(given),
            ActionHead::Categorical(head) => head.decide(given),
            ActionHead::Bernoulli(head) => head.decide(given),
            ActionHead::QValues(head) => head.decide(given),
            ActionHead::Deterministic(head) => head.decide(given),
        }
    }
}

impl More {
    /// What to read back for the head, of what goes into the last layer.
    ///
    /// # Errors
    /// What the device reports.
    pub fn of(&self, latent: &Tensor) -> Result<Option<Tensor>> {
        match self {
            More::Nothing => Ok(None),
            More::Latent => Ok(Some(latent.clone())),
            More::Layer(layer) => layer.forward(latent, Activation::Identity).map(Some),
        }
    }
}

impl Decided {
    /// Continuous actions, and whether each row is sound: finite before and behind the bounds.
    fn continuous(raw_action: Vec<f32>, size: usize, bounds: &Bounds) -> Self {
        let apply = |(i, raw): (usize, &f32)| bounds.apply(i % size, *raw);
        let action: Vec<f32> = raw_action.iter().enumerate().map(apply).collect();
        let rows = raw_action.chunks_exact(size).zip(action.chunks_exact(size));
        let sound = rows.map(|(raw, action)| is_finite(raw) && is_finite(action)).collect();
        let (action, raw_action) = (Actions::F32(action), Actions::F32(raw_action));
        Self { action, raw_action, log_prob: None, probs: None, q_values: None, sound }
    }

    /// Actions that are what the distribution gave.
    fn chosen(action: Actions, sound: Vec<bool>) -> Self {
        let raw_action = action.clone();
        Self { action, raw_action, log_prob: None, probs: None, q_values: None, sound }
    }
}

fn is_finite(row: &[f32]) -> bool {
    row.iter().all(|x| x.is_finite())
}

/// Whether the network gave a number for each output of a row.
fn finite_rows(outputs: &[f32], size: usize) -> Vec<bool> {
    outputs.chunks_exact(size).map(is_finite).collect()
}

/// The first on ties, as in PyTorch's and numpy's argmax.
fn first_maximum(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}
