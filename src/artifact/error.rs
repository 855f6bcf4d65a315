//! Why an artifact can't be used.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Names the folder or file, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArtifactError {
    pub path: PathBuf,
    pub problem: String,
}

impl ArtifactError {
    pub fn new(path: &Path, problem: impl fmt::Display) -> Self {
        Self { path: path.to_owned(), problem: problem.to_string() }
    }
}

impl fmt::Display for ArtifactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.problem)
    }
}

impl std::error::Error for ArtifactError {}
