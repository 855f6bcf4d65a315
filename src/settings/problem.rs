//! What is wrong with the settings, said to the person who can mend it.

use std::fmt::{self, Display};

use serde::Serialize;

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, environment variable or flag that holds it.
    pub origin: String,
    /// The setting as `section.field`, or the section; `None` if the whole file is meant.
    pub key: Option<String>,
    /// What was expected and what came.
    pub message: String,
}

impl Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, key, message } = self;
        match key {
            Some(key) => write!(f, "{origin}: {key}: {message}"),
            None => write!(f, "{origin}: {message}"),
        }
    }
}

/// All that is wrong, in the order of the layers. Prints one problem a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    /// A value is read once in its layer and once in the outcome: it counts once.
    pub(super) fn push(&mut self, origin: &str, key: Option<String>, message: String) {
        let problem = Problem { origin: origin.to_owned(), key, message };
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }
}

impl Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.iter().map(Problem::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Why a text is not a value: what was expected in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected(pub String);

impl Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.0)
    }
}

impl std::error::Error for Expected {}
