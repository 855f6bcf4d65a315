//! From checked observations to actions: normalisation, network, action head, post-processing.
//!
//! A [`Policy`] computes one batch at a time on one thread. Rows never influence each other: what
//! a row gives does not depend on its batch-mates, and a sampled row is drawn from its seed and
//! its index alone.

mod activation;
mod batch_renorm;
mod branch;
mod convolution;
pub mod device;
mod draw;
mod encoder;
mod extractor;
mod head;
mod linear;
mod lstm;
mod memory;
mod neural;
mod normalizer;
mod postprocess;
mod product;
pub mod spec;
mod squash;
#[cfg(test)]
mod tests;
mod weights;

pub use neural::NeuralPolicy;
pub use spec::PolicySpec;
pub use weights::Weights;

use std::ops::Range;

use crate::wire::{Observations, Wants};

/// Computes actions. The one seam between serving and models.
pub trait Policy: Send {
    /// What it takes and gives.
    fn spec(&self) -> &PolicySpec;

    /// Whether any thread may compute a batch, and it waits for nothing but its own arithmetic.
    fn runs_inline(&self) -> bool {
        false
    }

    /// One forward pass over `input.modes.len()` rows.
    ///
    /// # Errors
    /// Only what the device reports; a row whose result is no number is marked in
    /// [`Output::sound`].
    fn forward(&mut self, input: &Input) -> candle_core::Result<Output>;
}

/// The rows of one batch.
#[derive(Debug)]
pub struct Input {
    /// Row-major, `modes.len()` rows of the observation space's size.
    pub observations: Observations,
    pub modes: Vec<Mode>,
    /// What any row of the batch wants besides its action.
    pub wants: Wants,
    /// Of a recurrent policy: what each row remembers ([`PolicySpec::state_size`] numbers), zeros
    /// where an episode starts. `None`: all start.
    pub states: Option<Vec<f32>>,
    /// Of a policy that takes masks: 1 for each allowed action of each row
    /// ([`PolicySpec::mask_size`]), 0 for others. `None`: all are allowed.
    pub masks: Option<Vec<u8>>,
    /// Raw actions to evaluate in place of drawing or choosing any: their log-probs are what is
    /// asked for, as of Stable-Baselines3's `evaluate_actions`. For heads that have log-probs.
    pub raw_actions: Option<Actions>,
}

/// How a row's action comes from its distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The mean, or the most likely action.
    Deterministic,
    /// Row `row` of a request with this seed.
    Sample { seed: u64, row: u64 },
}

/// What one forward pass gives, row-major. Optional fields are there if they were wanted and the
/// policy has them ([`PolicySpec::wants`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// In environment units.
    pub action: Actions,
    /// Before clipping or rescaling.
    pub raw_action: Actions,
    pub value: Option<Vec<f32>>,
    /// Natural logarithm of the density or probability of `raw_action`.
    pub log_prob: Option<Vec<f32>>,
    pub probs: Option<Vec<f32>>,
    pub q_values: Option<Vec<f32>>,
    /// Of a recurrent policy, what each row remembers from now on.
    pub state: Option<Vec<f32>>,
    /// Whether all numbers of a row are finite. The others must not leave the worker.
    pub sound: Vec<bool>,
}

/// Actions of a box or of bits (f32), or of choices (i64).
#[derive(Clone, Debug, PartialEq)]
pub enum Actions {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

impl Input {
    /// Without rows.
    pub fn empty(spec: &PolicySpec) -> Self {
        Self::new(Observations::empty(&spec.observation_space), vec![], Wants::default())
    }

    /// Without a memory, without masks, and with actions to be found.
    pub fn new(observations: Observations, modes: Vec<Mode>, wants: Wants) -> Self {
        Self { observations, modes, wants, states: None, masks: None, raw_actions: None }
    }
}

impl Output {
    /// Rows `rows` alone.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let all = self.sound.len();
        let slice = |values: &Vec<f32>| values[scaled(&rows, values.len() / all)].to_vec();
        Self {
            action: self.action.rows(&rows, all),
            raw_action: self.raw_action.rows(&rows, all),
            value: self.value.as_ref().map(slice),
            log_prob: self.log_prob.as_ref().map(slice),
            probs: self.probs.as_ref().map(slice),
            q_values: self.q_values.as_ref().map(slice),
            state: self.state.as_ref().map(slice),
            sound: self.sound[rows.clone()].to_vec(),
        }
    }

    /// Puts the rows of `other`, from the same policy and with the same wants, behind these.
    pub fn append(&mut self, other: Self) {
        self.action.append(other.action);
        self.raw_action.append(other.raw_action);
        append_optional(&mut self.value, other.value);
        append_optional(&mut self.log_prob, other.log_prob);
        append_optional(&mut self.probs, other.probs);
        append_optional(&mut self.q_values, other.q_values);
        append_optional(&mut self.state, other.state);
        self.sound.extend(other.sound);
    }
}

impl Actions {
    /// Rows `rows` of `all` alone.
    pub fn rows(&self, rows: &Range<usize>, all: usize) -> Self {
        match self {
            Actions::F32(values) => Actions::F32(values[scaled(rows, values.len() / all)].to_vec()),
            Actions::I64(values) => Actions::I64(values[scaled(rows, values.len() / all)].to_vec()),
        }
    }

    fn append(&mut self, other: Self) {
        match (self, other) {
            (Actions::F32(to), Actions::F32(from)) => to.extend(from),
            (Actions::I64(to), Actions::I64(from)) => to.extend(from),
            // One policy gives one kind.
            (Actions::F32(_), Actions::I64(_)) | (Actions::I64(_), Actions::F32(_)) => {}
        }
    }
}

/// What an error of candle says, without the trace of code that `RUST_BACKTRACE` adds to it.
pub fn message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(inner),
        other => other.to_string(),
    }
}

fn scaled(rows: &Range<usize>, size: usize) -> Range<usize> {
    rows.start * size..rows.end * size
}

/// A later batch may leave out what no request of it wanted; then nobody wants it here either.
fn append_optional(to: &mut Option<Vec<f32>>, from: Option<Vec<f32>>) {
    match (to.as_mut(), from) {
        (Some(to), Some(from)) => to.extend(from),
        _ => *to = None,
    }
}
