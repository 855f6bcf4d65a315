//! Reading typed values out of a layer, or out of all of them merged.

use std::fmt::Display;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Duration;

use config::{Map, Value, ValueKind};

use super::key::{Key, Kind};
use super::problem::{Expected, Problems};
use super::servers::redact;

/// Sections of values, and the list to which what is wrong with them is added.
///
/// A getter gives `None` for a key that is absent, which is no problem (a layer holds only some
/// keys), and for one that is wrong, which is.
pub(super) struct Values<'a> {
    sections: &'a Map<String, Value>,
    problems: &'a mut Problems,
}

impl<'a> Values<'a> {
    pub(super) fn new(sections: &'a Map<String, Value>, problems: &'a mut Problems) -> Self {
        Self { sections, problems }
    }

    /// A text that `parse` understands.
    pub(super) fn text<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let given = self.get(key)?;
        let parsed = match &given.kind {
            ValueKind::String(text) => parse(text),
            ValueKind::I64(_) | ValueKind::Float(_) | ValueKind::Boolean(_) => {
                Err(Expected("text (write it in quotes)".to_owned()))
            }
            _ => Err(Expected("text".to_owned())),
        };
        parsed.map_err(|Expected(what)| self.reject(key, what)).ok()
    }

    /// A text that `parse` understands, or `null`.
    pub(super) fn optional<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<Option<T>> {
        match self.get(key)?.kind {
            ValueKind::Nil => Some(None),
            _ => self.text(key, parse).map(Some),
        }
    }

    /// `true` or `false`.
    pub(super) fn switch(&mut self, key: &Key) -> Option<bool> {
        match self.get(key)?.kind {
            ValueKind::Boolean(switch) => Some(switch),
            _ => {
                self.reject(key, "true or false");
                None
            }
        }
    }

    /// An integer within the key's range.
    pub(super) fn integer(&mut self, key: &Key) -> Option<usize> {
        let Kind::Integer { min, max, unit } = key.kind else {
            return None;
        };
        let integer = match self.get(key)?.kind {
            ValueKind::I64(integer) if (min..=max).contains(&integer) => {
                usize::try_from(integer).ok()
            }
            _ => None,
        };
        if integer.is_none() {
            self.reject(key, format!("an integer from {min} to {max} ({unit})"));
        }
        integer
    }

    /// A count within the key's range, or `auto`, which is an inner `None`.
    pub(super) fn count(&mut self, key: &Key) -> Option<Option<NonZero<usize>>> {
        let Kind::Count { max, unit } = key.kind else {
            return None;
        };
        let count = match &self.get(key)?.kind {
            ValueKind::String(text) if text == "auto" => return Some(None),
            ValueKind::I64(count) if *count <= max => usize::try_from(*count).ok(),
            _ => None,
        };
        let count = count.and_then(NonZero::new);
        if count.is_none() {
            self.reject(key, format!("auto or an integer from 1 to {max} ({unit})"));
        }
        count.map(Some)
    }

    /// Seconds within the key's range, which keeps the duration from overflowing.
    pub(super) fn seconds(&mut self, key: &Key) -> Option<Duration> {
        let Kind::Seconds { min, max } = key.kind else {
            return None;
        };
        let seconds = number(self.get(key)?);
        if (min..=max).contains(&seconds) {
            return Duration::try_from_secs_f64(seconds).ok();
        }
        self.reject(key, format!("a number from {min} to {max} (seconds)"));
        None
    }

    /// A share from 0 to 1.
    pub(super) fn ratio(&mut self, key: &Key) -> Option<f64> {
        let ratio = number(self.get(key)?);
        if (0.0..=1.0).contains(&ratio) {
            return Some(ratio);
        }
        self.reject(key, "a number from 0 to 1");
        None
    }

    /// Reports that `key` holds something else than `expected`.
    pub(super) fn reject(&mut self, key: &Key, expected: impl Display) {
        if let Some(given) = self.get(key) {
            let message = format!("expected {expected}, got {}", described(key, given));
            self.problems.push(&origin(given), Some(key.path()), message);
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<&'a Value> {
        match &self.sections.get(key.section)?.kind {
            ValueKind::Table(fields) => fields.get(key.field),
            _ => None,
        }
    }
}

/// Not a number, which is in no range, for what is none.
fn number(given: &Value) -> f64 {
    match given.kind {
        ValueKind::I64(number) => number as f64,
        ValueKind::Float(number) => number,
        _ => f64::NAN,
    }
}

/// Where a value was given.
pub(super) fn origin(value: &Value) -> String {
    value.origin().unwrap_or_default().to_owned()
}

/// What came, for an error message: without a password, even one that strayed into another key.
fn described(key: &Key, given: &Value) -> String {
    match &given.kind {
        ValueKind::String(_) if key.secret => {
            "a text that is not shown, as it may hold a password".to_owned()
        }
        ValueKind::String(text) if text.contains("-----BEGIN") => {
            "a text that is not shown, as it may hold a key".to_owned()
        }
        ValueKind::String(text) => format!("{:?}{}", redact(text), quotes_hint(key, text)),
        _ => kind(given),
    }
}

fn quotes_hint(key: &Key, text: &str) -> &'static str {
    let is_text_of_a_number = !matches!(key.kind, Kind::Text | Kind::Switch)
        && text.parse::<f64>().is_ok_and(f64::is_finite);
    if is_text_of_a_number { " in quotes" } else { "" }
}

/// A value that is no text, or the name of what it is.
pub(super) fn kind(given: &Value) -> String {
    match &given.kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::Table(_) => "a mapping".to_owned(),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::String(_) => "a text".to_owned(),
        // With its point: 64.0 is no integer.
        ValueKind::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// A file or folder name.
pub(super) fn path(text: &str) -> Result<PathBuf, Expected> {
    match text {
        "" => Err(Expected("a path".to_owned())),
        _ => Ok(PathBuf::from(text)),
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::key::{Key, Kind, all};
    use crate::settings::{Settings, Sources};

    #[test]
    fn a_count_may_be_left_to_the_program() {
        let key = Key::count("model", "threads", (1024, "threads"));
        for (text, valid) in [("auto", true), ("16", true), ("Auto", false), ("1.5", false)] {
            assert_eq!(rejected(&key, text), !valid, "{text}");
        }
    }

    #[test]
    fn values_at_the_ends_of_their_ranges_pass_and_those_beyond_fail() {
        for key in all() {
            let (low, high, below, above) = match key.kind {
                Kind::Integer { min, max, .. } => {
                    (min as f64, max as f64, min as f64 - 1.0, max as f64 + 1.0)
                }
                Kind::Count { max, .. } => (1.0, max as f64, 0.0, max as f64 + 1.0),
                Kind::Seconds { min, max } => (min, max, min - 0.1, max + 0.1),
                Kind::Ratio => (0.0, 1.0, -0.1, 1.1),
                Kind::Text | Kind::Switch => continue,
            };
            for (value, valid) in [(low, true), (high, true), (below, false), (above, false)] {
                assert_eq!(rejected(key, &value.to_string()), !valid, "{} {value}", key.path());
            }
            for text in
                ["NaN", "inf", "1e999", "0x10", " 1", "1 s", "true", "99999999999999999999999"]
            {
                assert!(rejected(key, text), "{} {text}", key.path());
            }
        }
    }

    #[test]
    fn a_key_in_place_of_its_file_is_refused_and_not_repeated() {
        let root = tempfile::tempdir().unwrap();
        let secret = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAcanary\n-----END PRIVATE KEY-----";
        for key in all().filter(|key| key.field.ends_with("_file")) {
            let name = key.variable();
            let variables = [(name.as_str(), secret)];
            let problems = Settings::load(&Sources::isolated(root.path(), &variables)).unwrap_err();
            assert!(!problems.to_string().contains("canary"), "{problems}");
        }
    }

    fn rejected(key: &Key, text: &str) -> bool {
        let root = tempfile::tempdir().unwrap();
        let (name, path) = (key.variable(), key.path());
        // The largest queue, lest the order of the limits be what is refused.
        let variables =
            [("LIMITS_QUEUE_ROWS", "1000000"), ("LIMITS_REQUEST_ROWS", "1"), (name.as_str(), text)];
        let problems =
            Settings::load(&Sources::isolated(root.path(), &variables)).err().unwrap_or_default();
        problems.iter().any(|problem| problem.key.as_ref() == Some(&path))
    }
}
