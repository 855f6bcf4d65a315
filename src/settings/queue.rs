//! Who is served when.

use std::time::Duration;

use super::key::Key;
use super::values::Values;

const DEADLINE_MS: Key = Key::integer("queue", "deadline_ms", (0, 86_400_000), "milliseconds");
const REQUESTS_PER_SIMULATOR: Key =
    Key::integer("queue", "requests_per_simulator", (1, 1_000_000), "requests");
const NEWEST_WINS: Key = Key::switch("queue", "newest_wins");

pub(super) const KEYS: &[Key] = &[DEADLINE_MS, REQUESTS_PER_SIMULATOR, NEWEST_WINS];

/// Section `queue`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How long requests may wait that do not say it themselves; `None` for ever.
    pub deadline: Option<Duration>,
    /// Requests of one simulator that may wait or be computed.
    pub requests_per_simulator: usize,
    /// Whether a simulator's request takes the place of the one that waits.
    pub newest_wins: bool,
}

impl Queue {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let deadline_ms = values.integer(&DEADLINE_MS);
        let requests_per_simulator = values.integer(&REQUESTS_PER_SIMULATOR);
        let newest_wins = values.switch(&NEWEST_WINS);
        let deadline = Duration::from_millis(deadline_ms? as u64);
        Some(Self {
            deadline: (!deadline.is_zero()).then_some(deadline),
            requests_per_simulator: requests_per_simulator?,
            newest_wins: newest_wins?,
        })
    }
}
