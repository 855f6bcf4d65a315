//! Why a file of another program can't be read.

use std::fmt;

use super::Value;
use crate::printable::{printable, printable_lines};

/// One sentence for the person who has the file: where, what came, what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportError {
    sentence: String,
}

pub type Result<T> = std::result::Result<T, ImportError>;

impl ImportError {
    pub fn new(problem: impl fmt::Display) -> Self {
        // Names out of the file come along, and whoever wrote it chose them.
        Self { sentence: printable(&problem.to_string()) }
    }

    /// The same with lines of ours behind it.
    pub fn with_lines(problem: impl fmt::Display, lines: &str) -> Self {
        Self { sentence: format!("{}\n{lines}", printable_lines(&problem.to_string())) }
    }

    /// `got` is not what has to be there.
    pub fn expected(what: &str, got: Value<'_>) -> Self {
        Self::new(format!("expected {what}, got {}", got.describe()))
    }

    /// The same problem, seen from further out: `policy.pth: archive/data.pkl: …`.
    pub fn within(self, place: impl fmt::Display) -> Self {
        Self { sentence: format!("{}: {}", printable(&place.to_string()), self.sentence) }
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ImportError {}
