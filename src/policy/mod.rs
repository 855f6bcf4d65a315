//! From checked observations to actions: normalisation, network, action head, post-processing.
//!
//! A [`Policy`] computes one batch at a time on one thread. Rows never influence each other: what
//! a row gives does not depend on its batch-mates, and a sampled row is drawn from its seed and
//! its index alone.

mod activation;
mod batch_renorm;
mod branch;
mod convolution;
mod curve;
pub mod device;
mod dots;
mod draw;
mod encoder;
mod epilogue;
mod exponential;
mod extractor;
mod head;
mod linear;
mod lstm;
mod matrix;
mod memory;
mod network;
mod neural;
mod normalizer;
mod output;
mod postprocess;
mod product;
mod source;
pub mod spec;
mod squash;
#[cfg(test)]
mod tests;
pub mod threads;
mod weights;

pub use neural::NeuralPolicy;
pub use output::{Actions, Output};
pub use spec::PolicySpec;
pub use weights::Weights;

use crate::wire::{Observations, Wants};

/// Computes actions. The one seam between serving and models.
pub trait Policy: Send {
    /// What it takes and gives.
    fn spec(&self) -> &PolicySpec;

    /// Whether any thread may compute a batch, and it waits for nothing but its own arithmetic.
    fn runs_inline(&self) -> bool {
        false
    }

    /// One forward pass over `input.modes.len()` rows. Whatever `output` holds goes, but its memory
    /// is used again.
    ///
    /// # Errors
    /// Only what the device reports, and then `output` holds nothing of use; a row whose result is no
    /// number is marked in [`Output::sound`].
    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()>;
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

/// What an error of candle says, without the trace of code that `RUST_BACKTRACE` adds to it.
pub fn message(error: &candle_core::Error) -> String {
    match error {
        candle_core::Error::WithBacktrace { inner, .. } => message(inner),
        other => other.to_string(),
    }
}
