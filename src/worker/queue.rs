//! The batcher with a clock and a lock: the network thread pushes, the device thread takes.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::pending::Pending;
use crate::{
    batch::{Batch, Batcher, Full, Limits},
    wire::health::QueueHealth,
};

pub struct Queue {
    started: Instant,
    state: Mutex<QueueState>,
    changed: Condvar,
}

struct QueueState {
    batcher: Batcher<Arc<Pending>>,
    /// The device thread sleeps, so somebody must wake it.
    idle: bool,
    closed: bool,
}

impl Queue {
    pub fn new(limits: Limits) -> Self {
        let state = QueueState { batcher: Batcher::new(limits), idle: false, closed: false };
        Self { started: Instant::now(), state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The worker's clock: time since its start.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Queues a request; the device hears of it at the next [`Queue::wake`], so that a burst of
    /// requests can become one batch.
    ///
    /// # Errors
    /// The queue is full.
    pub fn push(&self, pending: Arc<Pending>) -> Result<(), Full<Arc<Pending>>> {
        let (rows, arrived) = (pending.rows.count, pending.to.arrived);
        self.lock().batcher.push(pending, rows, arrived)
    }

    /// Tells an idle device that something was pushed.
    pub fn wake(&self) {
        if self.lock().idle {
            self.changed.notify_one();
        }
    }

    /// Blocks until a batch is due; `None` once closed. For the device thread.
    pub fn next(&self) -> Option<Batch<Arc<Pending>>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let now = self.now();
            if let Some(batch) = state.batcher.take(now) {
                return Some(batch);
            }
            state.idle = true;
            let deadline = state.batcher.next_deadline();
            state = self.wait(state, deadline.map(|deadline| deadline.saturating_sub(now)));
            state.idle = false;
        }
    }

    pub fn rows(&self) -> usize {
        self.lock().batcher.rows()
    }

    /// What waits, for whoever looks from outside.
    pub fn look(&self, limit: usize) -> QueueHealth {
        let state = self.lock();
        QueueHealth {
            requests: state.batcher.requests() as u64,
            rows: state.batcher.rows() as u64,
            limit: limit as u64,
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
        self.lock().batcher.abandon();
    }

    /// Ends the device thread after its current batch.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
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
