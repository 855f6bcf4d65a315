//! How much the worker takes in before it says no.

use super::key::Key;
use super::values::Values;

const QUEUE_ROWS: Key = Key::integer("limits", "queue_rows", (1, 1_000_000), "rows");
const REQUEST_ROWS: Key = Key::integer("limits", "request_rows", (1, 65_536), "rows");
const REQUEST_BYTES: Key = Key::integer("limits", "request_bytes", (1, 67_108_864), "bytes");

pub(super) const KEYS: &[Key] = &[QUEUE_ROWS, REQUEST_ROWS, REQUEST_BYTES];

/// Section `limits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most rows that wait in the queue; at least `request_rows`.
    pub queue_rows: usize,
    /// Most rows in one request.
    pub request_rows: usize,
    /// Most bytes in one request's body.
    pub request_bytes: usize,
}

impl Limits {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let queue_rows = values.integer(&QUEUE_ROWS);
        let request_rows = values.integer(&REQUEST_ROWS);
        let request_bytes = values.integer(&REQUEST_BYTES);
        Some(Self {
            queue_rows: queue_rows?,
            request_rows: request_rows?,
            request_bytes: request_bytes?,
        })
    }
}

/// A request larger than the queue could never be served. This holds for the layers together: one
/// of them may well set a single side.
pub(super) fn check_order(values: &mut Values) {
    if let (Some(queue), Some(request)) =
        (values.integer(&QUEUE_ROWS), values.integer(&REQUEST_ROWS))
        && queue < request
    {
        values.reject(&QUEUE_ROWS, format!("at least limits.request_rows ({request})"));
    }
}
