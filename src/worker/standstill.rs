//! When a request came, of which nothing is known but when it was read.
//!
//! After a process was stopped and goes on, requests are read within milliseconds that have waited
//! in its socket, and at the broker, for as long as it stood still. Those who asked have given up:
//! with the moment of reading for their arrival, all would be computed for nobody.

use std::time::Duration;

/// The serving thread turns ten times a second at least; one that has not for so long stood still.
const LONG: Duration = Duration::from_millis(500);
/// How long after that there may be old requests under way from the broker.
const UNDER_WAY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Standstill {
    /// Of the serving thread, on the worker's clock.
    last_turn: Duration,
    /// When it stood still, until when, while there may be requests from that time.
    stood: Option<(Duration, Duration)>,
    /// When the last request was read.
    last_read: Duration,
}

impl Standstill {
    /// The serving thread begins to turn.
    pub fn new(now: Duration) -> Self {
        Self { last_turn: now, stood: None, last_read: now }
    }

    /// The serving thread turns.
    pub fn turn(&mut self, now: Duration) {
        if now.saturating_sub(self.last_turn) > LONG {
            tracing::warn!(
                elapsed_ms = now.saturating_sub(self.last_turn).as_millis() as u64,
                "this process stood still; requests that are read now count as old"
            );
            self.stood = Some((self.last_turn, now));
        } else if now >= self.last_read + UNDER_WAY {
            self.caught_up(now);
        }
        self.last_turn = now;
    }

    /// When a request that is read now has come, at the earliest.
    pub fn arrival(&mut self, now: Duration) -> Duration {
        self.last_read = now;
        self.stood.map_or(now, |(since, _)| since)
    }

    /// There is nothing to be read at the moment.
    pub fn caught_up(&mut self, now: Duration) {
        self.stood = self.stood.filter(|(_, until)| now < *until + UNDER_WAY);
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
            standstill.turn(now);
            assert_eq!(standstill.arrival(now), now);
        }
    }

    #[test]
    fn after_a_standstill_what_is_read_is_as_old_as_that_until_nothing_more_comes() {
        let mut standstill = Standstill::new(MS(0));
        standstill.turn(MS(100));
        standstill.turn(MS(3000));
        standstill.caught_up(MS(3001));
        assert_eq!(standstill.arrival(MS(3050)), MS(100), "more may be under way");
        standstill.turn(MS(3090));
        assert_eq!(standstill.arrival(MS(3200)), MS(100), "there has always been something");
        standstill.caught_up(MS(3200));
        assert_eq!(standstill.arrival(MS(3201)), MS(3201));
    }

    #[test]
    fn a_standstill_in_which_nobody_asked_makes_no_later_request_old() {
        let mut standstill = Standstill::new(MS(0));
        standstill.turn(MS(3000));
        standstill.turn(MS(3050));
        standstill.turn(MS(3150));
        assert_eq!(standstill.arrival(MS(3160)), MS(3160));
    }
}
