//! What the worker says of itself besides its logs.

use super::key::Key;
use super::values::Values;

const ENABLED: Key = Key::switch("monitoring", "enabled");

pub(super) const KEYS: &[Key] = &[ENABLED];

/// Section `monitoring`.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitoring {
    /// Probes and metrics over HTTP; health, metrics and the services API over NATS.
    pub enabled: bool,
}

impl Monitoring {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let enabled = values.switch(&ENABLED);
        Some(Self { enabled: enabled? })
    }
}
