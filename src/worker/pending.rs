//! A request that was taken and waits for its reply.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderValue, Subject};

use crate::{
    batch,
    telemetry::traces::Traced,
    wire::{Encoding, Rows, Scalar, Schedule, TraceContext, Wants},
};

/// Everything that batching and replying need; nothing of the message it came in.
#[derive(Debug)]
pub struct Pending {
    /// Unique in this worker.
    pub number: u64,
    pub to: ReplyTo,
    pub form: Form,
    pub rows: Rows,
    /// What a recurrent policy remembers of each row.
    pub states: Option<Vec<f32>>,
    /// The actions that each row allows.
    pub masks: Option<Vec<u8>>,
    /// `None`: deterministic.
    pub seed: Option<u64>,
    pub wants: Wants,
    pub schedule: Schedule,
    pub id: Option<Scalar>,
}

impl Pending {
    /// What the queue is to know of it.
    pub fn request(&self) -> batch::Request {
        batch::Request {
            rows: self.rows.count,
            priority: self.schedule.priority,
            deadline: self.deadline(),
            simulator: self.schedule.env_id.clone(),
        }
    }

    /// On the worker's clock.
    pub fn deadline(&self) -> Option<Duration> {
        self.schedule.budget.map(|budget| self.to.arrived + budget)
    }
}

/// Where and how the client wants to hear from us.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    pub inbox: Subject,
    pub encoding: Encoding,
    /// On the worker's clock.
    pub arrived: Duration,
    /// Echoed as it came.
    pub request_id: Option<HeaderValue>,
    /// Most requests have none.
    pub trace: Option<Arc<Trace>>,
}

/// The trace that a request is part of.
#[derive(Debug)]
pub struct Trace {
    pub context: TraceContext,
    /// `None`: it goes unrecorded.
    pub traced: Option<Traced>,
    /// Passed on as it came.
    pub state: Option<String>,
}

/// Observations and actions by position or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Tensor,
    Named,
}
