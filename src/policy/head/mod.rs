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

use candle_core::Result;

use super::{
    Actions, Mode, Output, PolicySpec,
    device::Place,
    linear::Linear,
    matrix::{Buffers, Matrix},
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
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The last layer's numbers.
    pub outputs: &'a [f32],
    /// What a head that asks for more took from the action's branch, empty for others.
    pub more: &'a [f32],
    /// 1 for actions that are allowed; of policies that take masks.
    pub masks: Option<&'a [u8]>,
    /// Actions to evaluate in place of drawing any, of the whole batch.
    pub raw_actions: Option<&'a Actions>,
    /// The row of the batch that is the first one here.
    pub first: usize,
    pub modes: &'a [Mode],
}

impl<'a> Given<'a> {
    /// The action to evaluate in row `row` of a head over floats.
    fn floats(&self, row: usize, size: usize) -> Option<&'a [f32]> {
        let row = self.first + row;
        match self.raw_actions? {
            Actions::F32(values) => values.get(row * size..(row + 1) * size),
            Actions::I64(_) => None,
        }
    }

    /// The same of a head over choices: of its `size` elements, that one.
    fn choice(&self, row: usize, size: usize, element: usize) -> Option<i64> {
        let at = (self.first + row) * size + element;
        match self.raw_actions? {
            Actions::F32(values) => values.get(at).map(|x| *x as i64),
            Actions::I64(values) => values.get(at).copied(),
        }
    }
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

    /// Puts the rows' actions behind those that `output` holds, and what else it has place for. Its
    /// last rows, one for each mode, stay sound only if all of the network's numbers and the actions
    /// are finite.
    pub fn decide(&self, given: &Given, output: &mut Output) {
        match self {
            ActionHead::Gaussian(head) => head.decide(given, output),
            ActionHead::Gsde(head) => head.decide(given, output),
            ActionHead::Categorical(head) => head.decide(given, output),
            ActionHead::Bernoulli(head) => head.decide(given, output),
            ActionHead::QValues(head) => head.decide(given, output),
            ActionHead::Deterministic(head) => head.decide(given, output),
        }
        let rows = given.modes.len();
        output.check(rows, given.outputs);
        output.check(rows, given.more);
        output.check_actions(rows);
    }
}

impl More {
    /// What the head is given besides, of what goes into the last layer.
    ///
    /// # Errors
    /// What the device reports.
    pub fn of(&self, latent: &Matrix, buffers: &mut Buffers) -> Result<Option<Matrix>> {
        match self {
            More::Nothing => Ok(None),
            More::Latent => Ok(Some(latent.copy(buffers))),
            More::Layer(layer) => layer.forward(latent, Activation::Identity, buffers).map(Some),
        }
    }
}

/// Continuous actions: the raw ones that have none yet, within the bounds.
fn bound(output: &mut Output, size: usize, bounds: &Bounds) {
    let (action, raw_action) = (output.action.floats_mut(), output.raw_action.floats_mut());
    for raw in raw_action[action.len()..].chunks_exact(size) {
        action.extend(raw.iter().enumerate().map(|(element, raw)| bounds.apply(element, *raw)));
    }
}

/// The first on ties, as in PyTorch's and numpy's argmax.
fn first_maximum(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best })
}

/// All that a head gives for these rows.
#[cfg(test)]
fn decided(head: &ActionHead, given: &Given) -> Output {
    let mut output = Output::default();
    let all = crate::wire::Wants {
        value: false,
        log_prob: true,
        raw_action: true,
        probs: true,
        q_values: true,
    };
    output.renew(all, false);
    output.sound.resize(given.modes.len(), true);
    head.decide(given, &mut output);
    output
}
