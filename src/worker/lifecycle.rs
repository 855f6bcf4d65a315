//! A worker's states, and how its life can end.

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

/// Why a worker could not start or go on. Each kind has its exit code (sysexits.h).
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Settings, artifact or credentials: starting again changes nothing.
    Configuration(String),
    /// The broker can't be reached.
    Unreachable(String),
    /// A defect here, or a device that fails.
    Defect(String),
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Configuration(_) => 78,
            Failure::Unreachable(_) => 75,
            Failure::Defect(_) => 70,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Configuration(why) | Failure::Unreachable(why) | Failure::Defect(why) => {
                f.write_str(why)
            }
        }
    }
}

impl std::error::Error for Failure {}
