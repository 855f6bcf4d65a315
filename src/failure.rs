//! How the program can fail, and with which exit code.

use std::fmt;

/// Why a command could not start or go on. Each kind has its exit code (sysexits.h).
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// Settings, artifact or credentials: starting again changes nothing.
    Configuration(String),
    /// The broker can't be reached.
    Unreachable(String),
    /// A defect here, or a device that fails.
    Defect(String),
    /// Not a failure of this command: the worker that it asked about is not well.
    Unhealthy(String),
    /// Nor this: what it compared is not the same.
    Different(String),
}

impl Failure {
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Configuration(_) => 78,
            Failure::Unreachable(_) => 75,
            Failure::Defect(_) => 70,
            // What container runtimes read as unhealthy, and diff says of files that differ.
            Failure::Unhealthy(_) | Failure::Different(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Configuration(why)
            | Failure::Unreachable(why)
            | Failure::Defect(why)
            | Failure::Unhealthy(why)
            | Failure::Different(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Failure {}
