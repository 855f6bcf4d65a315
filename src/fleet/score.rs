//! How a drive went: requests, replies, round trips.

use std::{collections::BTreeMap, time::Duration};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Round trips are kept with three digits, up to a minute.
const LONGEST_US: u64 = 60_000_000;

/// The counts of a whole drive, and those since the last look.
pub struct Score {
    all: Part,
    recent: Part,
    errors: BTreeMap<String, u64>,
    seconds: f64,
}

struct Part {
    requests: u64,
    replies: u64,
    errors: u64,
    late: u64,
    round_trip: Histogram<u64>,
    /// Replies that told their batch's size, and the batches they stand for: a reply from a batch
    /// of eight is an eighth of a batch.
    told: u64,
    batches: f64,
}

/// How it goes right now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Snapshot {
    pub on_road: usize,
    /// Since the last one.
    pub requests: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub batch_rows_mean: Option<f64>,
    pub late: u64,
    pub errors: u64,
}

/// Round trips from request to reply, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RoundTrip {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
    pub max: u64,
}

/// The end of a drive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub vehicles: usize,
    /// Absent if each asks as soon as it can.
    pub hz: Option<f64>,
    pub duration_s: f64,
    pub requests: u64,
    /// With an action.
    pub replies: u64,
    /// Replies with an error.
    pub errors: u64,
    pub errors_by_code: BTreeMap<String, u64>,
    /// Neither the one nor the other.
    pub unanswered: u64,
    /// Ticks at which a vehicle held its last controls; in environments, which wait, replies that
    /// came when the next tick was due.
    pub late: u64,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub round_trip_us: RoundTrip,
    /// Rows in a batch, on average over the batches; absent in the CarlaRL form, which does not
    /// tell.
    pub batch_rows_mean: Option<f64>,
}

/// What became of the vehicles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// How many did, of our own.
    LeftRoad(usize),
    /// What they did in environments that end and begin anew.
    Episodes(Episodes),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Episodes {
    pub count: u64,
    /// Absent before the first one has ended.
    pub mean_return: Option<f64>,
    pub mean_length: Option<f64>,
    pub crashed: u64,
}

impl Episodes {
    /// One more has ended.
    pub fn add(&mut self, total: f64, length: u64, crashed: bool) {
        self.count += 1;
        self.crashed += u64::from(crashed);
        let mean = |old: Option<f64>, new: f64| {
            let old = old.unwrap_or_default();
            Some(old + (new - old) / self.count as f64)
        };
        self.mean_return = mean(self.mean_return, total);
        self.mean_length = mean(self.mean_length, length as f64);
    }
}

impl Default for Score {
    fn default() -> Self {
        Self { all: Part::new(), recent: Part::new(), errors: BTreeMap::new(), seconds: 0.0 }
    }
}

impl Score {
    pub fn asked(&mut self) {
        self.both(|part| part.requests += 1);
    }

    /// An action came.
    pub fn told(&mut self, round_trip: Duration, batch_rows: Option<u64>) {
        let micros = u64::try_from(round_trip.as_micros()).unwrap_or(LONGEST_US);
        self.both(|part| {
            part.replies += 1;
            part.round_trip.saturating_record(micros);
            if let Some(rows) = batch_rows {
                part.told += 1;
                part.batches += 1.0 / rows.max(1) as f64;
            }
        });
    }

    pub fn failed(&mut self, code: String) {
        self.both(|part| part.errors += 1);
        *self.errors.entry(code).or_default() += 1;
    }

    pub fn late(&mut self) {
        self.both(|part| part.late += 1);
    }

    pub fn driven(&mut self, duration: Duration) {
        self.seconds = duration.as_secs_f64();
    }

    /// What happened since the last look.
    pub fn snapshot(&mut self, on_road: usize) -> Snapshot {
        let recent = std::mem::replace(&mut self.recent, Part::new());
        Snapshot {
            on_road,
            requests: recent.requests,
            p50_us: recent.round_trip.value_at_quantile(0.5),
            p99_us: recent.round_trip.value_at_quantile(0.99),
            batch_rows_mean: recent.batch_rows_mean(),
            late: recent.late,
            errors: recent.errors,
        }
    }

    pub fn summary(&self, vehicles: usize, hz: Option<f64>, outcome: Outcome) -> Summary {
        let Part { requests, replies, errors, late, round_trip, .. } = &self.all;
        Summary {
            vehicles,
            hz,
            duration_s: self.seconds,
            requests: *requests,
            replies: *replies,
            errors: *errors,
            errors_by_code: self.errors.clone(),
            unanswered: requests.saturating_sub(replies + errors),
            late: *late,
            outcome,
            round_trip_us: RoundTrip {
                p50: round_trip.value_at_quantile(0.5),
                p95: round_trip.value_at_quantile(0.95),
                p99: round_trip.value_at_quantile(0.99),
                max: round_trip.max(),
            },
            batch_rows_mean: self.all.batch_rows_mean(),
        }
    }

    fn both(&mut self, mut change: impl FnMut(&mut Part)) {
        change(&mut self.all);
        change(&mut self.recent);
    }
}

impl Part {
    fn new() -> Self {
        // The bounds are constants within what the histogram takes.
        let round_trip = Histogram::new_with_max(LONGEST_US, 3).expect("valid bounds");
        Self { requests: 0, replies: 0, errors: 0, late: 0, round_trip, told: 0, batches: 0.0 }
    }

    fn batch_rows_mean(&self) -> Option<f64> {
        (self.told > 0).then(|| self.told as f64 / self.batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_batch_counts_each_batch_once() {
        let mut score = Score::default();
        // One batch of eight and one of two: ten replies, two batches.
        for _ in 0..8 {
            score.told(Duration::from_micros(100), Some(8));
        }
        for _ in 0..2 {
            score.told(Duration::from_micros(300), Some(2));
        }
        let summary = score.summary(10, None, Outcome::LeftRoad(0));
        assert_eq!(summary.batch_rows_mean, Some(5.0));
        assert_eq!((summary.round_trip_us.p50, summary.round_trip_us.max), (100, 300));
    }

    #[test]
    fn what_got_neither_action_nor_error_is_unanswered() {
        let mut score = Score::default();
        (0..5).for_each(|_| score.asked());
        score.told(Duration::from_micros(100), None);
        score.failed("overloaded".into());
        let summary = score.summary(1, None, Outcome::LeftRoad(0));
        assert_eq!((summary.replies, summary.errors, summary.unanswered), (1, 1, 3));
        assert_eq!(summary.errors_by_code["overloaded"], 1);
    }

    #[test]
    fn a_snapshot_starts_the_recent_counts_anew() {
        let mut score = Score::default();
        score.asked();
        assert_eq!(score.snapshot(1).requests, 1);
        assert_eq!(score.snapshot(1).requests, 0);
        assert_eq!(score.summary(1, None, Outcome::LeftRoad(0)).requests, 1);
    }

    #[test]
    fn episodes_are_averaged() {
        let mut episodes = Episodes::default();
        for (total, length, crashed) in [(20.0, 30, false), (5.0, 8, true), (23.0, 31, false)] {
            episodes.add(total, length, crashed);
        }
        assert_eq!((episodes.count, episodes.crashed), (3, 1));
        assert_eq!((episodes.mean_return, episodes.mean_length), (Some(16.0), Some(23.0)));
    }

    #[test]
    fn a_summary_tells_one_outcome() {
        let told = |outcome| serde_json::json!(Score::default().summary(1, None, outcome));
        let road = told(Outcome::LeftRoad(2));
        assert_eq!((&road["left_road"], road.get("episodes")), (&2.into(), None));
        let gym = told(Outcome::Episodes(Episodes::default()));
        assert_eq!((&gym["episodes"]["count"], gym.get("left_road")), (&0.into(), None));
    }
}
