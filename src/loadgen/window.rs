//! One measured window: what was asked of whom, what came back, and what it cost.

use std::time::Duration;

use super::{Recorder, stages::Sums};

#[derive(Clone, Debug)]
pub struct Window {
    pub recorder: Recorder,
    /// Processor time within the window. `None`: the process is elsewhere.
    pub used: Used,
    /// The most resident memory of who answered so far, bytes.
    pub memory: Option<u64>,
    /// Of the whole machine's processors.
    pub watts: Option<f64>,
    /// Processors that something else than this bench kept busy.
    pub foreign_cores: Option<f64>,
    /// Of a worker.
    pub sums: Option<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub responder: Option<Duration>,
    pub broker: Option<Duration>,
    pub load: Option<Duration>,
}

impl Used {
    pub fn add(&self, other: &Self) -> Self {
        let add = |a: Option<Duration>, b: Option<Duration>| Some(a? + b?);
        Self {
            responder: add(self.responder, other.responder),
            broker: add(self.broker, other.broker),
            load: add(self.load, other.load),
        }
    }
}
