//! The batcher with a clock and a lock: the network thread pushes, the device thread takes.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::pending::Pending;
use crate::{
    batch::{Batch, Batcher, Cost, Limits, Refused},
    wire::health::QueueHealth,
};

pub struct Queue {
    pub limits: Limits,
    started: Instant,
    state: Mutex<QueueState>,
    changed: Condvar,
    /// When the next request expires, in µs; [`NEVER`] if none does.
    next_expiry: AtomicU64,
}

/// What there is to do for the device.
pub enum Next {
    Batch(Batch<Arc<Pending>>),
    /// There has been nothing for so long as it may rest.
    Rested,
    /// The queue is closed.
    End,
}

const NEVER: u64 = u64::MAX;
/// How long the device thread waits at a time while the serving thread computes.
const LENT: Duration = Duration::from_millis(1);

struct QueueState {
    batcher: Batcher<Arc<Pending>>,
    /// The device thread sleeps, so somebody must wake it.
    idle: bool,
    /// The serving thread computes a batch itself.
    lent: bool,
    /// When the last batch ended, or a rest of the device.
    ended: Duration,
    closed: bool,
}

impl Queue {
    pub fn new(limits: Limits) -> Self {
        let state = QueueState {
            batcher: Batcher::new(limits),
            idle: false,
            lent: false,
            ended: Duration::ZERO,
            closed: false,
        };
        Self {
            limits,
            started: Instant::now(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            next_expiry: AtomicU64::new(NEVER),
        }
    }

    /// The worker's clock: time since its start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What the device has shown in its warm-up.
    pub fn know(&self, cost: Cost) {
        self.lock().batcher.know(cost);
    }

    /// Queues requests; the device hears of them at the next [`Queue::wake`], so that a burst of
    /// requests can become one batch. `told`: for each the request whose place it takes, if any, or
    /// that there is no place for it.
    pub fn push_all(
        &self,
        requests: impl Iterator<Item = Arc<Pending>>,
        mut told: impl FnMut(Result<Option<Arc<Pending>>, Refused<Arc<Pending>>>),
    ) {
        let mut state = self.lock();
        let now = self.now();
        for pending in requests {
            let request = pending.request();
            told(state.batcher.push(pending, request, now));
        }
        self.note_expiry(&state);
    }

    /// Tells an idle device that something waits.
    pub fn wake(&self) {
        let state = self.lock();
        if state.idle && state.batcher.rows() > 0 {
            self.changed.notify_one();
        }
    }

    /// The next batch for the serving thread, if one is due that takes no longer than `most` and the
    /// device thread has nothing to do.
    pub fn take_brief(&self, most: Duration) -> Option<Batch<Arc<Pending>>> {
        let mut state = self.lock();
        if !state.idle || state.closed {
            return None;
        }
        let batch = state.batcher.take_brief(self.now(), most);
        state.lent = batch.is_some();
        self.note_expiry(&state);
        batch
    }

    /// Blocks until there is something to do. For the device thread. `rest`: how long it may do
    /// nothing.
    pub fn next(&self, rest: Option<Duration>) -> Next {
        let mut state = self.lock();
        loop {
            if state.closed {
                return Next::End;
            }
            let now = self.now();
            let rested = rest.map(|rest| state.ended + rest);
            let due = match state.lent {
                // It ends in a moment, and whoever computes it looks what there is to do then.
                true => Some(now + LENT),
                false => {
                    let batch = state.batcher.take(now);
                    self.note_expiry(&state);
                    if let Some(batch) = batch {
                        return Next::Batch(batch);
                    }
                    if rested.is_some_and(|rested| rested <= now) {
                        state.ended = now;
                        return Next::Rested;
                    }
                    [state.batcher.next_due(now), rested].into_iter().flatten().min()
                }
            };
            state.idle = true;
            state = self.wait(state, due.map(|due| due.saturating_sub(now)));
            state.idle = false;
        }
    }

    /// The device has computed a batch.
    pub fn computed(&self, batch: &Batch<Arc<Pending>>, took: Duration) {
        let mut state = self.lock();
        state.batcher.computed(batch.rows, took, &batch.simulators);
        state.ended = self.now();
        state.lent = false;
    }

    /// When to look for expired requests, on the worker's clock.
    pub fn next_expiry(&self) -> Option<Duration> {
        match self.next_expiry.load(Ordering::Relaxed) {
            NEVER => None,
            us => Some(Duration::from_micros(us)),
        }
    }

    /// The requests that have expired while they waited.
    pub fn take_expired(&self) -> Vec<Arc<Pending>> {
        let mut state = self.lock();
        let expired = state.batcher.take_expired(self.now());
        self.note_expiry(&state);
        expired
    }

    pub fn rows(&self) -> usize {
        self.lock().batcher.rows()
    }

    /// What waits, for whoever looks from outside.
    pub fn look(&self) -> QueueHealth {
        let state = self.lock();
        QueueHealth {
            requests: state.batcher.requests() as u64,
            rows: state.batcher.rows() as u64,
            limit: self.limits.queue_rows as u64,
            oldest_ms: state.batcher.oldest_age(self.now()).as_micros() as f64 / 1e3,
        }
    }

    /// From now on nothing waits for company.
    pub fn drain(&self) {
        self.lock().batcher.drain();
        self.changed.notify_one();
    }

    /// Takes everything out that no batch has begun to compute.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.batcher.abandon();
        self.note_expiry(&state);
    }

    /// Ends the device thread after its current batch.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn note_expiry(&self, state: &QueueState) {
        // Looking a little late finds all that are due; looking early would find none.
        let us = |at: Duration| u64::try_from(at.as_micros()).unwrap_or(NEVER).saturating_add(1);
        let next = state.batcher.next_expiry().map_or(NEVER, us);
        self.next_expiry.store(next, Ordering::Relaxed);
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, QueueState>,
        timeout: Option<Duration>,
    ) -> MutexGuard<'a, QueueState> {
        match timeout {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }

    /// The state is whole after every call of the batcher, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
