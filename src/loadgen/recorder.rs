//! What became of the requests of a measured window.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use serde::{Deserialize, Serialize};

use super::latency::Times;

/// Requests that were due within the window; what came before or after it was warm-up or rest.
#[derive(Clone, Debug)]
pub struct Recorder {
    window: Range<Duration>,
    pub times: Times,
    pub counts: Counts,
    /// Answers that came within the window, whenever they were asked for.
    completed: u64,
    /// Requests without an answer so far, whenever they were due.
    open: u64,
}

/// `sent` is the sum of `answered`, `errors` and `unanswered`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub sent: u64,
    /// With what was asked for.
    pub answered: u64,
    /// By code: the protocol's, or `no_responders`, `unreadable`, `wrong_answer`.
    pub errors: BTreeMap<String, u64>,
    pub unanswered: u64,
    /// Due, but not sent: too many were unanswered.
    pub withheld: u64,
    /// The most that were unanswered at any moment.
    pub outstanding: u64,
}

impl Counts {
    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Whether every request that was due got what it asked for.
    pub fn is_clean(&self) -> bool {
        self.failed() == 0 && self.unanswered == 0 && self.withheld == 0
    }

    pub fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.answered += other.answered;
        for (code, count) in &other.errors {
            *self.errors.entry(code.clone()).or_default() += count;
        }
        self.unanswered += other.unanswered;
        self.withheld += other.withheld;
        self.outstanding = self.outstanding.max(other.outstanding);
    }
}

impl Recorder {
    pub fn new(window: Range<Duration>) -> Self {
        let (times, counts) = (Times::default(), Counts::default());
        Self { window, times, counts, completed: 0, open: 0 }
    }

    /// A request was sent that was due at that moment. It ends in one of the ways below.
    pub fn sent(&mut self, due: Duration) {
        self.open += 1;
        if self.window.contains(&due) {
            self.counts.sent += 1;
            self.counts.outstanding = self.counts.outstanding.max(self.open);
        }
    }

    pub fn answered(&mut self, due: Duration, now: Duration) {
        self.open = self.open.saturating_sub(1);
        if self.window.contains(&now) {
            self.completed += 1;
        }
        if self.window.contains(&due) {
            self.counts.answered += 1;
            // From when it was due, not from when it could be sent: a load generator that is held
            // up must not hide that.
            self.times.record(now.saturating_sub(due));
        }
    }

    pub fn failed(&mut self, due: Duration, code: &str) {
        self.open = self.open.saturating_sub(1);
        if !self.window.contains(&due) {
            return;
        }
        match self.counts.errors.get_mut(code) {
            Some(count) => *count += 1,
            None => _ = self.counts.errors.insert(code.to_owned(), 1),
        }
    }

    pub fn unanswered(&mut self, due: Duration) {
        self.open = self.open.saturating_sub(1);
        self.counts.unanswered += u64::from(self.window.contains(&due));
    }

    /// A request was due that can't be sent.
    pub fn withheld(&mut self, due: Duration) {
        self.counts.withheld += u64::from(self.window.contains(&due));
    }

    /// Adds what another thread recorded at the same time, so that what was open adds up.
    pub fn join(&mut self, other: &Self) {
        let outstanding = self.counts.outstanding + other.counts.outstanding;
        self.times.add(&other.times);
        self.counts.add(&other.counts);
        self.counts.outstanding = outstanding;
        self.completed += other.completed;
    }

    /// Answers a second.
    pub fn throughput(&self) -> f64 {
        let seconds = (self.window.end - self.window.start).as_secs_f64();
        self.completed as f64 / seconds
    }

    pub fn completed(&self) -> u64 {
        self.completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn recorder() -> Recorder {
        Recorder::new(MS(100)..MS(1100))
    }

    #[test]
    fn what_was_due_before_or_after_the_window_does_not_count() {
        let mut recorder = recorder();
        for due in [99, 1100] {
            recorder.sent(MS(due));
            recorder.answered(MS(due), MS(due));
            recorder.failed(MS(due), "internal");
            recorder.unanswered(MS(due));
            recorder.withheld(MS(due));
        }
        assert_eq!((recorder.counts, recorder.times.count()), (Counts::default(), 0));
    }

    #[test]
    fn throughput_is_of_what_came_within_the_window() {
        let mut recorder = recorder();
        for (due, now) in [(50, 150), (200, 300), (1000, 1200)] {
            recorder.sent(MS(due));
            recorder.answered(MS(due), MS(now));
        }
        assert_eq!((recorder.throughput(), recorder.counts.answered), (2.0, 2));
    }

    #[test]
    fn time_counts_from_when_a_request_was_due() {
        let mut recorder = recorder();
        recorder.sent(MS(200));
        recorder.answered(MS(200), MS(700));
        let p50 = recorder.times.latency().unwrap().p50;
        assert!((p50 / 500_000.0 - 1.0).abs() < 2e-3, "{p50}");
    }

    #[test]
    fn the_most_that_is_open_holds_what_was_asked_before_the_window() {
        let mut recorder = recorder();
        (0..3).for_each(|_| recorder.sent(MS(50)));
        recorder.answered(MS(50), MS(60));
        recorder.sent(MS(200));
        recorder.unanswered(MS(50));
        recorder.sent(MS(300));
        assert_eq!(recorder.counts.outstanding, 3);
    }

    #[test]
    fn nothing_is_dropped_in_silence() {
        let mut recorder = recorder();
        (0..6).for_each(|_| recorder.sent(MS(200)));
        recorder.answered(MS(200), MS(201));
        for code in ["internal", "overloaded", "internal"] {
            recorder.failed(MS(200), code);
        }
        (0..2).for_each(|_| recorder.unanswered(MS(200)));
        let counts = &recorder.counts;
        assert_eq!(counts.sent, counts.answered + counts.failed() + counts.unanswered);
        assert_eq!(counts.errors, [("internal".into(), 2), ("overloaded".into(), 1)].into());
        assert!(!counts.is_clean());
    }

    #[test]
    fn threads_add_up() {
        let (mut one, mut other) = (recorder(), recorder());
        (0..3).for_each(|_| one.sent(MS(200)));
        one.answered(MS(200), MS(300));
        (0..4).for_each(|_| other.sent(MS(200)));
        other.failed(MS(200), "internal");
        one.join(&other);
        let Counts { sent, answered, outstanding, .. } = one.counts;
        assert_eq!((sent, answered, one.counts.failed(), outstanding), (7, 1, 1, 7));
    }
}
