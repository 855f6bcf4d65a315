//! A worker's states, and what it has done at the end.

use std::{collections::BTreeMap, fmt};

/// starting → ready ⇄ saturated → draining → stopped. Only a ready worker is, or is about to be,
/// a member of the queue group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Starting,
    Ready,
    /// The queue stays near its limit: other workers shall get the requests.
    Saturated,
    Draining,
    Stopped,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Starting => "starting",
            State::Ready => "ready",
            State::Saturated => "saturated",
            State::Draining => "draining",
            State::Stopped => "stopped",
        })
    }
}

/// What a worker has done. Every request that it took is in `answered` once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stopped {
    pub received: u64,
    /// Replies by outcome: `ok`, or the error's code.
    pub answered: BTreeMap<&'static str, u64>,
    /// Requests without a reply subject that could be used.
    pub ignored: u64,
}
