//! What a worker has done at the end.

use std::collections::BTreeMap;

use crate::telemetry::{Outcome, Tally};

/// What a worker has done. Every request that it took is in one of the others once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stopped {
    pub received: u64,
    /// Replies by outcome: `ok`, or the error's code.
    pub answered: BTreeMap<&'static str, u64>,
    /// Requests without a reply subject that could be used.
    pub ignored: u64,
}

impl Stopped {
    pub fn of(tally: &Tally) -> Self {
        let is_answer = |outcome: &Outcome| matches!(outcome, Outcome::Ok | Outcome::Error(_));
        let answered = Outcome::all().filter(is_answer);
        let answered = answered.map(|outcome| (outcome.name(), tally.count(outcome)));
        Self {
            received: tally.received,
            answered: answered.filter(|(_, count)| *count > 0).collect(),
            ignored: tally.count(Outcome::NoReplySubject),
        }
    }
}
