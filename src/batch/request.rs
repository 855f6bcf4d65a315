//! What the queue needs to know of a request, and why it may not take one.

use std::{sync::Arc, time::Duration};

use super::Moment;

/// Priorities go from 0, the highest, to one below this.
pub const PRIORITIES: u8 = 10;

/// A request that asks for a place in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    pub rows: usize,
    /// 0 is the highest; what is too low counts as the lowest.
    pub priority: u8,
    /// When it is of no more use; `None` for never.
    pub deadline: Option<Moment>,
    /// Whose it is; `None` for somebody's of whom nothing else is known.
    pub simulator: Option<Arc<str>>,
}

/// A request that gets no place, handed back.
#[derive(Debug, PartialEq)]
pub struct Refused<T> {
    pub item: T,
    pub reason: Reason,
    /// When the same request would probably be taken, if nobody else came.
    pub retry_after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// More rows would wait than may.
    Full,
    /// What is before it takes so long that it would be done this much after its deadline.
    Late(Duration),
    /// Its simulator has as many requests open as it may have.
    Simulator,
}

impl Reason {
    /// The metrics' labels, by [`Reason::index`].
    pub const NAMES: [&'static str; 3] = ["full", "late", "simulator"];

    pub fn index(self) -> usize {
        match self {
            Reason::Full => 0,
            Reason::Late(_) => 1,
            Reason::Simulator => 2,
        }
    }
}
