//! The machine, opcode by opcode, and what it must not do.

mod hostile;
mod opcodes;
mod protocols;

use super::*;
use crate::artifact::import::tests::{assert_says, pickle};

fn read(bytes: &[u8]) -> Pickle {
    Pickle::read(bytes).unwrap()
}

#[track_caller]
fn assert_refused(bytes: &[u8], word: &str) {
    assert_says(Pickle::read(bytes), &[word]);
}

/// A value as text: every kind looks different.
fn shown(value: Value<'_>) -> String {
    if let Some(entries) = value.entries() {
        let entries = entries.into_iter().map(|(k, v)| format!("{}: {}", shown(k), shown(v)));
        return format!("{{{}}}", entries.collect::<Vec<_>>().join(", "));
    }
    let items = value.elements();
    let items = items.map(|items| items.into_iter().map(shown).collect::<Vec<_>>().join(", "));
    match (value.describe(), items, value.as_bytes()) {
        (kind, Some(items), _) if kind.starts_with("a tuple") => format!("({items})"),
        (kind, Some(items), _) if kind.starts_with("a list") => format!("[{items}]"),
        (_, Some(items), _) => format!("<{items}>"),
        (_, _, Some(bytes)) => format!("b{:?}", String::from_utf8_lossy(&bytes)),
        (kind, ..) => kind,
    }
}
