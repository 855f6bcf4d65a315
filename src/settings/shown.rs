//! Values as people may see them.

use config::{Value, ValueKind};

use super::key::Key;
use super::{servers, values};

/// One key's value as it was given, safe to print: passwords are replaced by `***`.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    pub key: &'static Key,
    pub value: serde_json::Value,
    /// `default`, a file, an environment variable or a flag.
    pub origin: String,
}

impl Shown {
    /// `None` for what no key takes: a mapping or a list.
    pub(super) fn new(key: &'static Key, given: &Value) -> Option<Self> {
        let value = match &given.kind {
            ValueKind::String(text) if key.secret => servers::shown(text).into(),
            ValueKind::String(text) => text.as_str().into(),
            ValueKind::I64(integer) => (*integer).into(),
            ValueKind::Float(number) => (*number).into(),
            ValueKind::Boolean(switch) => (*switch).into(),
            ValueKind::Nil => serde_json::Value::Null,
            _ => return None,
        };
        Some(Self { key, value, origin: values::origin(given) })
    }
}
