//! One worker of the pool as it was heard.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Serialize, Serializer};

use super::{Moment, history::History, series};
use crate::{
    telemetry::names::{BATCH_SIZE, PROCESS_CPU, PROCESS_MEMORY, REQUESTS},
    wire::{Health, Quantiles, Snapshot, State},
};

/// Five health messages that did not come.
pub const GONE_AFTER: Duration = Duration::from_secs(10);
/// Closer than this, two counts of CPU time say more about the messages' delays than about the
/// worker.
const CPU_SPAN: Duration = Duration::from_secs(1);

/// What one start of a worker has said, and when that came.
#[derive(Clone, Debug)]
pub struct Member {
    pub health: Health,
    pub measured: Measured,
    pub history: History,
    /// When the last message came, of either kind.
    pub heard: Moment,
    /// Starts seen before this one.
    pub restarts: u64,
    /// When `health` came.
    told: Moment,
}

/// What is shown of a worker's counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Cores used between the last two messages: 1 is one core, always busy.
    pub cpu_cores: Option<f64>,
    pub memory_bytes: Option<f64>,
    /// Rows of a batch.
    pub batch_size: Option<Quantiles>,
    /// Requests that ended since the start of the process, by outcome.
    pub outcomes: BTreeMap<String, f64>,
    cpu_seconds: Option<(f64, Moment)>,
}

/// A worker's state as far as one can tell from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    Told(State),
    /// It said nothing for ten seconds, and had not said that it ends.
    Gone,
}

impl Member {
    pub fn new(health: Health, measured: Measured, now: Moment) -> Self {
        let mut history = History::default();
        history.push(&health, now);
        Self { health, measured, history, heard: now, restarts: 0, told: now }
    }

    pub fn hear(&mut self, health: Health, now: Moment) {
        self.history.push(&health, now);
        self.health = health;
        (self.heard, self.told) = (now, now);
    }

    pub fn standing(&self, now: Moment) -> Standing {
        match self.health.state {
            ended @ (State::Stopped | State::Failed) => Standing::Told(ended),
            _ if now.saturating_sub(self.heard) >= GONE_AFTER => Standing::Gone,
            state => Standing::Told(state),
        }
    }

    /// Seconds since its start, by now.
    pub fn uptime(&self, now: Moment) -> f64 {
        self.health.uptime_s + now.saturating_sub(self.told).as_secs_f64()
    }
}

impl Measured {
    /// The next message of the same start.
    pub fn hear(&mut self, snapshot: &Snapshot, now: Moment) {
        self.memory_bytes = series::first(&snapshot.gauges, &PROCESS_MEMORY);
        self.batch_size = series::first(&snapshot.quantiles, &BATCH_SIZE);
        self.outcomes = series::by_label(&snapshot.counters, &REQUESTS, "outcome");
        if let Some(seconds) = series::first(&snapshot.counters, &PROCESS_CPU) {
            self.hear_cpu(seconds, now);
        }
    }

    fn hear_cpu(&mut self, seconds: f64, now: Moment) {
        if let Some((before, then)) = self.cpu_seconds {
            let passed = now.saturating_sub(then);
            if passed < CPU_SPAN {
                return;
            }
            self.cpu_cores = Some((seconds - before).max(0.0) / passed.as_secs_f64());
        }
        self.cpu_seconds = Some((seconds, now));
    }
}

impl Standing {
    /// In the order in which people look for them: trouble first.
    pub const ALL: [Standing; 8] = [
        Standing::Told(State::Failed),
        Standing::Gone,
        Standing::Told(State::Degraded),
        Standing::Told(State::Saturated),
        Standing::Told(State::Starting),
        Standing::Told(State::Draining),
        Standing::Told(State::Ready),
        Standing::Told(State::Stopped),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Standing::Told(state) => state.name(),
            Standing::Gone => "gone",
        }
    }

    /// Whether the figures are of now.
    pub fn is_live(self) -> bool {
        !matches!(self, Standing::Gone | Standing::Told(State::Stopped | State::Failed))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said;

    const fn seconds(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_worker_unheard_for_ten_seconds_is_gone_whatever_time_its_messages_bore() {
        let health = Health { time: "1970-01-01T00:00:00Z".into(), ..said::health("a") };
        let mut worker = Member::new(health.clone(), Measured::default(), seconds(5));
        assert_eq!(worker.standing(seconds(14)), Standing::Told(State::Ready));
        assert_eq!(worker.standing(seconds(15)), Standing::Gone);
        worker.hear(health, seconds(16));
        assert_eq!(worker.standing(seconds(16)), Standing::Told(State::Ready));
    }

    #[test]
    fn a_worker_that_said_how_it_ended_is_never_gone() {
        for state in [State::Stopped, State::Failed] {
            let health = Health { state, ..said::health("a") };
            let worker = Member::new(health, Measured::default(), seconds(0));
            assert_eq!(worker.standing(seconds(0)), Standing::Told(state));
            assert_eq!(worker.standing(seconds(99)), Standing::Told(state));
        }
    }

    #[test]
    fn every_state_has_its_place_in_the_order() {
        for state in State::ALL {
            assert!(Standing::ALL.contains(&Standing::Told(state)), "{state}");
        }
    }

    #[test]
    fn cpu_is_the_difference_of_two_counts_over_their_distance() {
        let mut measured = Measured::default();
        measured.hear(&said::snapshot("a", 10.0), seconds(100));
        assert_eq!(measured.cpu_cores, None);
        measured.hear(&said::snapshot("a", 12.0), seconds(105));
        assert_eq!(measured.cpu_cores, Some(0.4));
    }

    #[test]
    fn two_counts_that_come_together_do_not_make_a_peak() {
        let mut measured = Measured::default();
        for (count, milliseconds) in [(10.0, 0), (15.0, 10_000), (15.1, 10_001)] {
            measured.hear(&said::snapshot("a", count), Duration::from_millis(milliseconds));
        }
        assert_eq!(measured.cpu_cores, Some(0.5));
    }

    #[test]
    fn memory_batches_and_outcomes_come_from_their_series() {
        let mut measured = Measured::default();
        measured.hear(&said::snapshot("a", 1.0), seconds(0));
        assert_eq!(measured.memory_bytes, Some(134_217_728.0));
        assert_eq!(measured.batch_size.map(|sizes| sizes.p90), Some(16.0));
        assert_eq!((measured.outcomes["ok"], measured.outcomes["overloaded"]), (5000.0, 12.0));
    }
}
