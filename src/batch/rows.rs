//! What the queue gives out, and why at that moment.

use std::{ops::Range, sync::Arc};

/// Rows to be computed together.
#[derive(Debug, PartialEq)]
pub struct Batch<T> {
    pub parts: Vec<Part<T>>,
    pub rows: usize,
    pub closed: Closed,
    /// The simulators whose requests end with this batch.
    pub simulators: Vec<Arc<str>>,
}

/// Why a batch did not wait for more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It, or the queue, holds no more.
    Full,
    /// Its oldest row has waited for [`super::Limits::max_delay`].
    Delay,
    /// A row would miss its deadline.
    Deadline,
    /// Every simulator that is there has a request in the queue.
    Lockstep,
    /// Nothing waits for company, and the device is free.
    Idle,
    /// The queue is being emptied.
    Drain,
}

impl Closed {
    pub const ALL: [Closed; 6] = [
        Closed::Full,
        Closed::Delay,
        Closed::Deadline,
        Closed::Lockstep,
        Closed::Idle,
        Closed::Drain,
    ];

    /// The metrics' label.
    pub fn name(self) -> &'static str {
        match self {
            Closed::Full => "full",
            Closed::Delay => "delay",
            Closed::Deadline => "deadline",
            Closed::Lockstep => "lockstep",
            Closed::Idle => "idle",
            Closed::Drain => "drain",
        }
    }
}

/// Some or all rows of one request. The parts of a request come in the order of its rows.
#[derive(Debug, PartialEq)]
pub struct Part<T> {
    pub item: T,
    pub rows: Range<usize>,
}
