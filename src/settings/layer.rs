//! One layer of settings: a file, the environment, or the flags.

use std::fmt;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::key::{self, Key, Kind};
use super::problem::Problems;
use super::servers::redact;

/// Sections of known keys with values, each of which carries its origin. Types and ranges are not
/// checked yet.
#[derive(Clone, Default)]
pub(super) struct Layer(Map<String, Value>);

impl Layer {
    /// Sets a known key from the text of an environment variable or a flag.
    pub(super) fn set_text(&mut self, key: &Key, origin: &str, text: &str) {
        self.set(key, origin, typed(key, text));
    }

    /// Sets `path`, a `section.field`, from the text of a flag.
    pub(super) fn add_text(
        &mut self,
        origin: &str,
        path: &str,
        text: &str,
        problems: &mut Problems,
    ) {
        let (section, field) = path.split_once('.').unwrap_or((path, ""));
        if is_known(origin, section, problems)
            && let Some(key) = known(origin, section, field, problems)
        {
            self.set_text(key, origin, text);
        }
    }

    pub(super) fn set(&mut self, key: &Key, origin: &str, value: ValueKind) {
        let section = self
            .0
            .entry(key.section.to_owned())
            .or_insert_with(|| Map::<String, Value>::new().into());
        if let ValueKind::Table(fields) = &mut section.kind {
            fields.insert(key.field.to_owned(), Value::new(Some(&origin.to_owned()), value));
        }
    }

    pub(super) fn sections(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Whether there is such a section; a problem says if not.
pub(super) fn is_known(origin: &str, section: &str, problems: &mut Problems) -> bool {
    let known = key::sections().contains(&section);
    if !known {
        let nearest = key::nearest_section(section);
        let message = format!("unknown section; the nearest known one is {nearest}");
        problems.push(origin, Some(redact(section)), message);
    }
    known
}

/// The key of this name in a known section; a problem says if there is none.
pub(super) fn known(
    origin: &str,
    section: &str,
    field: &str,
    problems: &mut Problems,
) -> Option<&'static Key> {
    let key = key::find(section, field);
    if key.is_none() {
        let nearest = key::nearest(section, field);
        let message = format!("unknown key; the nearest known one is {nearest}");
        problems.push(origin, Some(format!("{section}.{}", redact(field))), message);
    }
    key
}

/// Text as the key's kind, and as it is where that fails: the reader then says what was expected.
/// `null` stands for no value where that is allowed (a file of that name is `./null`).
fn typed(key: &Key, text: &str) -> ValueKind {
    let integer = || text.parse().ok().map(ValueKind::I64);
    let number = || text.parse().ok().map(ValueKind::Float);
    let value = match key.kind {
        Kind::Text if key.optional && text == "null" => Some(ValueKind::Nil),
        Kind::Text => None,
        // Python's spelling, too.
        Kind::Switch => text.to_ascii_lowercase().parse().ok().map(ValueKind::Boolean),
        Kind::Integer { .. } | Kind::Count { .. } => integer(),
        Kind::Seconds { .. } | Kind::Ratio => integer().or_else(number),
    };
    value.unwrap_or_else(|| ValueKind::String(text.to_owned()))
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    /// Leaves out values that are mappings, which no key takes: merging would strip their origin,
    /// and whoever read this layer has reported them.
    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut sections = self.0.clone();
        for section in sections.values_mut() {
            if let ValueKind::Table(fields) = &mut section.kind {
                fields.retain(|_, value| !matches!(value.kind, ValueKind::Table(_)));
            }
        }
        Ok(sections)
    }
}

/// Names only: a value may hold a password.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
