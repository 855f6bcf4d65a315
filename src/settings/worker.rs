//! The worker's own life.

use std::time::Duration;

use super::key::Key;
use super::nats::token;
use super::problem::Expected;
use super::values::Values;

const NAME: Key = Key::optional_text("worker", "name");

/// No process supervisor waits longer than an hour for a process to stop.
const DRAIN_TIMEOUT_S: Key = Key::seconds("worker", "drain_timeout_s", (0.0, 3_600.0));

/// 0 for never.
const CANARY_S: Key = Key::seconds("worker", "canary_s", (0.0, 3_600.0));

/// Every health message holds it.
const LONGEST_NAME: usize = 64;

pub(super) const KEYS: &[Key] = &[NAME, DRAIN_TIMEOUT_S, CANARY_S];

/// Section `worker`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worker {
    /// One token of a subject, unique in the pool; `None` makes one up at each start.
    pub name: Option<String>,
    /// How long a stop waits for rows that were accepted.
    pub drain_timeout: Duration,
    /// After how long without a batch a golden row is computed.
    pub canary: Option<Duration>,
}

impl Worker {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let name = values.optional(&NAME, name);
        let drain_timeout = values.seconds(&DRAIN_TIMEOUT_S);
        let canary = values.seconds(&CANARY_S);
        let canary = canary.map(|after| (!after.is_zero()).then_some(after));
        Some(Self { name: name?, drain_timeout: drain_timeout?, canary: canary? })
    }
}

fn name(text: &str) -> Result<String, Expected> {
    match text.len() <= LONGEST_NAME {
        true => token(text),
        false => Err(Expected(format!("at most {LONGEST_NAME} letters, digits, _ and -"))),
    }
}
