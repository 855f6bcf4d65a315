//! What is counted of the spec subject.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Outcome;

/// Requests on the spec subject, by how they ended. Each is answered as soon as it is taken, so none
/// waits and there is no total to hold these against.
#[derive(Debug, Default)]
pub struct Specs {
    ended: [AtomicU64; Outcome::COUNT],
    /// What the answered ones took.
    ns: AtomicU64,
}

impl Specs {
    /// How they can end: nothing in them could be wrong.
    const OUTCOMES: [Outcome; 3] = [Outcome::Ok, Outcome::NoReplySubject, Outcome::PublishFailed];

    /// One has ended, after so long.
    pub fn ended(&self, outcome: Outcome, took: Duration) {
        self.ended[outcome.index()].fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Ok {
            let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    pub fn count(&self, outcome: Outcome) -> u64 {
        self.ended[outcome.index()].load(Ordering::Relaxed)
    }

    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::OUTCOMES.into_iter().map(|outcome| (outcome.name(), self.count(outcome)))
    }

    pub fn total(&self) -> u64 {
        self.outcomes().map(|(_, count)| count).sum()
    }

    /// What all answers took, in ns.
    pub fn spent_ns(&self) -> u64 {
        self.ns.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_answered_has_taken_time() {
        let specs = Specs::default();
        let took = Duration::from_nanos(7);
        for end in [Outcome::Ok, Outcome::Ok, Outcome::NoReplySubject] {
            specs.ended(end, took);
        }
        assert_eq!((specs.total(), specs.spent_ns()), (3, 14));
        let counted: Vec<_> = specs.outcomes().collect();
        assert_eq!(counted, [("ok", 2), ("no_reply_subject", 1), ("publish_failed", 0)]);
    }
}
