//! What a worker has done so far, counted where it happens.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use super::{
    distribution::{Distribution, SLOTS},
    names::{self, Metric},
    outcome::Outcome,
};
use crate::batch::{Closed, Reason};

/// One lock holds all of it, so that a look from outside sees numbers that belong together.
pub struct Tally {
    pub received: u64,
    pub request_bytes: u64,
    pub response_bytes: u64,
    pub malformed_traceparents: u64,
    ended: [u64; Outcome::COUNT],
    batches: [u64; Closed::ALL.len()],
    refusals: [u64; Reason::NAMES.len()],
    pub busy: Duration,
    pub device_errors: u64,
    pub device_panics: u64,
    /// Golden rows that an idle device computed, and those that it got wrong.
    pub canaries: u64,
    pub canary_failures: u64,
    /// Batches in a row that failed.
    pub failing: u64,
    pub last_batch: Option<SystemTime>,
    /// The time that the slowest of the last batches took, or of the warm-up.
    slow_forward: Duration,
    /// The last error's code that a request was answered with.
    pub last_error: Option<&'static str>,
    pub request_duration: Distribution,
    pub queue_wait: Distribution,
    pub batch_size: Distribution,
    pub decode: Distribution,
    pub assemble: Distribution,
    pub forward: Distribution,
    pub encode: Distribution,
    pub publish: Distribution,
    /// The counts at the last turns, oldest first.
    turns: VecDeque<Counts>,
}

/// A batch that was computed, with the time that each step took.
pub struct Computed {
    pub rows: usize,
    pub closed: Closed,
    pub assemble: Duration,
    pub forward: Duration,
    pub result: Result<(), DeviceError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceError {
    Reported,
    Panicked,
}

/// Of the last ten seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests that ended per second.
    pub ended: f64,
    /// Of these with an error, or without a reply.
    pub failed: f64,
    /// Mean rows of a batch, if there was one.
    pub batch_rows: Option<f64>,
}

#[derive(Clone, Copy)]
struct Counts {
    at: Instant,
    ended: u64,
    ok: u64,
    batches: u64,
    rows: f64,
}

impl Tally {
    pub fn new(now: Instant) -> Self {
        let mut tally = Self {
            received: 0,
            request_bytes: 0,
            response_bytes: 0,
            malformed_traceparents: 0,
            ended: [0; Outcome::COUNT],
            batches: [0; Closed::ALL.len()],
            refusals: [0; Reason::NAMES.len()],
            busy: Duration::ZERO,
            device_errors: 0,
            device_panics: 0,
            canaries: 0,
            canary_failures: 0,
            failing: 0,
            last_batch: None,
            slow_forward: Duration::ZERO,
            last_error: None,
            request_duration: Distribution::seconds(),
            queue_wait: Distribution::seconds(),
            batch_size: Distribution::rows(),
            decode: Distribution::seconds(),
            assemble: Distribution::seconds(),
            forward: Distribution::seconds(),
            encode: Distribution::seconds(),
            publish: Distribution::seconds(),
            turns: VecDeque::with_capacity(SLOTS + 1),
        };
        tally.turns.push_back(tally.counts(now));
        tally
    }

    /// Messages were taken off the subject, with bodies of so many bytes in all.
    pub fn received(&mut self, messages: u64, bytes: usize) {
        self.received += messages;
        self.request_bytes += bytes as u64;
    }

    /// A request ended.
    pub fn ended(&mut self, outcome: Outcome) {
        self.ended[outcome.index()] += 1;
        if let Outcome::Error(code) = outcome {
            self.last_error = Some(code.name());
        }
    }

    /// The queue had no place for a request.
    pub fn refused(&mut self, reason: Reason) {
        self.refusals[reason.index()] += 1;
    }

    pub fn refusals(&self, reason: Reason) -> u64 {
        self.refusals[reason.index()]
    }

    /// How many requests the queue refused for what.
    pub fn refused_for(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Reason::NAMES.into_iter().zip(self.refusals)
    }

    /// An idle device computed a golden row.
    pub fn canary(&mut self, right: bool) {
        self.canaries += 1;
        self.canary_failures += u64::from(!right);
    }

    /// The device was warmed up; its slowest batch took so long.
    pub fn warmed_up(&mut self, slowest: Duration) {
        self.slow_forward = slowest;
    }

    /// What a slow batch takes, of those of the last ten seconds, or of the last ones there were.
    pub fn slow_forward(&self) -> Duration {
        self.slow_forward
    }

    /// A batch was computed.
    pub fn computed(&mut self, batch: &Computed) {
        self.batches[batch.closed as usize] += 1;
        self.busy += batch.assemble + batch.forward;
        self.last_batch = Some(SystemTime::now());
        self.batch_size.record(batch.rows as f64);
        self.assemble.record(batch.assemble.as_secs_f64());
        self.forward.record(batch.forward.as_secs_f64());
        match batch.result {
            Ok(()) => self.failing = 0,
            Err(DeviceError::Reported) => self.device_errors += 1,
            Err(DeviceError::Panicked) => self.device_panics += 1,
        }
        self.failing += u64::from(batch.result.is_err());
    }

    pub fn count(&self, outcome: Outcome) -> u64 {
        self.ended[outcome.index()]
    }

    /// How many requests ended how.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::all().map(|outcome| (outcome.name(), self.count(outcome)))
    }

    /// How many batches were closed by what.
    pub fn closed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Closed::ALL.into_iter().map(|closed| (closed.name(), self.batches[closed as usize]))
    }

    /// Requests that ended in whatever way.
    pub fn all_ended(&self) -> u64 {
        self.ended.iter().sum()
    }

    /// Requests taken and not yet ended: those in the queue, and those in flight. The look at the
    /// queue, a moment ago, may have seen some that have ended since.
    pub fn split(&self, queued: u64) -> (u64, u64) {
        let open = self.received.saturating_sub(self.all_ended());
        let queued = queued.min(open);
        (queued, open - queued)
    }

    /// To be called every [`super::vitals::TURN`].
    pub fn turn(&mut self, now: Instant) {
        self.turns.push_back(self.counts(now));
        if self.turns.len() > SLOTS {
            self.turns.pop_front();
        }
        let slow = self.forward.recent().quantiles().p99;
        if slow > 0.0 {
            self.slow_forward = Duration::from_secs_f64(slow);
        }
        for (_, distribution) in self.distributions() {
            distribution.turn();
        }
    }

    /// Since the turn that is ten seconds ago, or the start.
    pub fn rates(&self, now: Instant) -> Rates {
        let Some(then) = self.turns.front() else { return Rates::default() };
        let seconds = now.saturating_duration_since(then.at).as_secs_f64().max(1e-3);
        let now = self.counts(now);
        let (ended, ok) = (now.ended - then.ended, now.ok - then.ok);
        let batches = now.batches - then.batches;
        let rows = (now.rows - then.rows) / batches as f64;
        Rates {
            ended: ended as f64 / seconds,
            failed: (ended - ok) as f64 / seconds,
            batch_rows: (batches > 0).then_some(rows),
        }
    }

    /// Each with its metric.
    pub fn distributions(&mut self) -> [(&'static Metric, &mut Distribution); 8] {
        [
            (&names::REQUEST_DURATION, &mut self.request_duration),
            (&names::QUEUE_WAIT, &mut self.queue_wait),
            (&names::BATCH_SIZE, &mut self.batch_size),
            (&names::DECODE, &mut self.decode),
            (&names::ASSEMBLE, &mut self.assemble),
            (&names::FORWARD, &mut self.forward),
            (&names::ENCODE, &mut self.encode),
            (&names::PUBLISH, &mut self.publish),
        ]
    }

    fn counts(&self, at: Instant) -> Counts {
        Counts {
            at,
            ended: self.all_ended(),
            ok: self.count(Outcome::Ok),
            batches: self.batches.iter().sum(),
            rows: self.batch_size.sum(),
        }
    }
}
