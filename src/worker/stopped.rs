//! What a worker has done at the end.

use std::collections::BTreeMap;

/// What a worker has done. Every request that it took is in `answered` once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stopped {
    pub received: u64,
    /// Replies by outcome: `ok`, or the error's code.
    pub answered: BTreeMap<&'static str, u64>,
    /// Requests without a reply subject that could be used.
    pub ignored: u64,
}
