//! The one queue. Pure: it knows no messages, no device and no clock; `now` is passed in.
//!
//! Requests come in with a number of rows and leave in batches: by priority, in turns among
//! simulators, the nearest deadline first. Work-conserving: with no delay set, whatever waits is
//! due as soon as somebody asks for it.

mod batcher;
mod cost;
mod line;
mod request;
mod rows;
mod simulators;
mod sorted;

use std::time::Duration;

pub use batcher::{Batcher, Limits};
pub use cost::Cost;
pub use request::{PRIORITIES, Reason, Refused, Request};
pub use rows::{Batch, Closed, Part};

/// Moments are durations since any fixed one, the same for all calls.
type Moment = Duration;

/// The sizes of batches by which others tell them apart: powers of two below the largest, and it.
pub fn sizes(largest: usize) -> impl Iterator<Item = usize> {
    let powers = std::iter::successors(Some(1usize), |rows| rows.checked_mul(2));
    powers.take_while(move |rows| *rows < largest).chain([largest])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two_and_the_largest() {
        let all = |largest| sizes(largest).collect::<Vec<_>>();
        assert_eq!((all(1), all(8), all(10)), (vec![1], vec![1, 2, 4, 8], vec![1, 2, 4, 8, 10]));
    }
}
