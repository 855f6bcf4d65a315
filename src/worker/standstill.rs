//! When a request came, of which nothing is known but when it was read.
//!
//! After a process was stopped and goes on, requests are read that have waited in its socket, and at
//! the broker, for as long as it stood still. Those who asked have given up: with the moment of
//! reading for their arrival, all would be computed for nobody. A round trip tells when the last of
//! them is here: the broker sends its answer behind them.

use std::time::Duration;

/// The serving thread turns ten times a second at least; one that has not for so long stood still.
const LONG: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub struct Standstill {
    /// Of the serving thread, on the worker's clock.
    last_turn: Duration,
    /// Since when it stood still, while there may be requests from that time.
    since: Option<Duration>,
}

impl Standstill {
    /// The serving thread begins to turn.
    pub fn new(now: Duration) -> Self {
        Self { last_turn: now, since: None }
    }

    /// The serving thread turns; whether it stood still until now.
    pub fn turn(&mut self, now: Duration) -> bool {
        let spent = now.saturating_sub(self.last_turn);
        let stood = spent > LONG;
        if stood {
            let elapsed_ms = spent.as_millis() as u64;
            tracing::warn!(
                elapsed_ms,
                "this process stood still; requests that are read now count as old"
            );
            self.since = self.since.or(Some(self.last_turn));
        }
        self.last_turn = now;
        stood
    }

    /// When a request that is read now has come, at the earliest.
    pub fn arrival(&self, now: Duration) -> Duration {
        self.since.unwrap_or(now)
    }

    /// All requests from that time have been read.
    pub fn end(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn while_the_thread_turns_a_request_came_when_it_is_read() {
        let mut standstill = Standstill::new(MS(0));
        for now in (0..2000).step_by(100).map(MS) {
            assert!(!standstill.turn(now));
            assert_eq!(standstill.arrival(now), now);
        }
    }

    #[test]
    fn after_a_standstill_what_is_read_is_as_old_as_that_until_all_of_it_is_here() {
        let mut standstill = Standstill::new(MS(0));
        standstill.turn(MS(100));
        assert!(standstill.turn(MS(3000)));
        assert!(!standstill.turn(MS(3400)));
        assert!(standstill.turn(MS(4000)), "it may stand still again before");
        assert_eq!(standstill.arrival(MS(4050)), MS(100));
        standstill.end();
        assert_eq!(standstill.arrival(MS(4051)), MS(4051));
    }
}
