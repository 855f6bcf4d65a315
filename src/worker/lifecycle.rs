//! A worker's states.

use std::fmt;

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
