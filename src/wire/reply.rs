//! What a simulator gets: the action, what it wanted besides, and where the time went.

use serde::Serialize;

use super::{
    scalar::Scalar,
    view::{Bytes, TensorView},
};

/// The reply to a request with `obs`. Absent fields are left out.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    /// In environment units, f4 for a box and for bits, i8 for choices. Shape: the action space's,
    /// with a leading axis of rows if the request had one.
    pub action: TensorView<'a>,
    /// f4, one for each row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<TensorView<'a>>,
    /// f4, the natural logarithm of the density (box) or probability (else) of `raw_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_prob: Option<TensorView<'a>>,
    /// The action before clipping or rescaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_action: Option<TensorView<'a>>,
    /// f4, one for each choice: of all elements of a multi-discrete space in turn, of each bit
    /// that it is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probs: Option<TensorView<'a>>,
    /// f4, one for each action of a discrete space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q_values: Option<TensorView<'a>>,
    /// Of a recurrent policy: to be sent back with the next request ([`super::state`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Bytes<'a>>,
    /// Of a sampled action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub model_version: &'a str,
    /// The first 8 hex digits of the weights' SHA-256.
    pub weights: &'a str,
    pub worker: &'a str,
    /// Rows in the batch that this request was computed in (the last one, if it took several).
    pub batch_rows: usize,
    /// Microseconds from arrival to the start of the forward pass.
    pub queue_us: u64,
    /// Microseconds of the forward pass.
    pub compute_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a Scalar>,
}
