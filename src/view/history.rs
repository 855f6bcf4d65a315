//! How a worker's figures went, for its curves.

use std::{collections::VecDeque, time::Duration};

use super::Moment;
use crate::wire::Health;

/// Ten minutes, more than a terminal is wide.
const KEPT: usize = 300;
/// Between two health messages.
const INTERVAL: Duration = Duration::from_secs(2);

/// One point for each health message; those that did not come are holes.
#[derive(Clone, Debug, Default)]
pub struct History {
    points: VecDeque<Point>,
    last: Option<Moment>,
}

/// `None` where nothing was heard, or nothing was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Requests per second.
    pub rate: Option<f64>,
    pub p99_ms: Option<f64>,
}

impl History {
    pub fn push(&mut self, health: &Health, now: Moment) {
        let passed = self.last.map(|last| now.saturating_sub(last)).unwrap_or(INTERVAL);
        if passed < INTERVAL / 2 {
            // A change of state brings a message of its own: it is the same point, better known.
            self.points.pop_back();
        } else {
            self.last = Some(now);
        }
        for _ in 0..missed(passed) {
            self.add(Point::default());
        }
        self.add(Point { rate: Some(health.rate), p99_ms: health.p99_ms });
    }

    /// The last `count` points, oldest first.
    pub fn last(&self, count: usize) -> impl Iterator<Item = Point> {
        self.points.iter().skip(self.points.len().saturating_sub(count)).copied()
    }

    fn add(&mut self, point: Point) {
        if self.points.len() == KEPT {
            self.points.pop_front();
        }
        self.points.push_back(point);
    }
}

/// Messages that should have come in `passed`, but the one that did.
fn missed(passed: Duration) -> usize {
    let intervals = (passed.as_secs_f64() / INTERVAL.as_secs_f64()).round();
    (intervals as usize).saturating_sub(1).min(KEPT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::said;

    fn rates(history: &History) -> Vec<Option<f64>> {
        history.last(KEPT).map(|point| point.rate).collect()
    }

    fn heard(moments: &[u64]) -> History {
        let mut history = History::default();
        for (i, milliseconds) in moments.iter().enumerate() {
            let health = Health { rate: i as f64, ..said::health("a") };
            history.push(&health, Duration::from_millis(*milliseconds));
        }
        history
    }

    #[test]
    fn each_message_is_a_point_even_if_it_is_a_little_early_or_late() {
        let history = heard(&[0, 1_700, 4_600, 6_100]);
        assert_eq!(rates(&history), [Some(0.0), Some(1.0), Some(2.0), Some(3.0)]);
    }

    #[test]
    fn messages_that_did_not_come_are_holes() {
        assert_eq!(rates(&heard(&[0, 6_000])), [Some(0.0), None, None, Some(1.0)]);
    }

    #[test]
    fn a_message_for_a_change_of_state_takes_the_place_of_the_one_just_before() {
        assert_eq!(rates(&heard(&[0, 300, 2_000])), [Some(1.0), Some(2.0)]);
    }

    #[test]
    fn no_more_is_kept_than_is_shown() {
        let moments: Vec<_> = (0..400).map(|i| i * 2_000).collect();
        assert_eq!(rates(&heard(&moments)).len(), KEPT);
        assert_eq!(rates(&heard(&[0, 3_600_000])).len(), KEPT);
    }
}
