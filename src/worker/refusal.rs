//! What a request is told that was not computed.

use std::{sync::Arc, time::Duration};

use super::pending::Pending;
use crate::{
    batch::{Limits, Reason, Refused},
    wire::{
        Code, WireError,
        subjects::{DEADLINE_HEADER, ENV_ID_HEADER},
    },
};

/// Bounds of `retry_after_ms`.
const RETRY_MS: (u64, u64) = (1, 60_000);

/// The queue has no place for it.
pub fn overloaded(refused: &Refused<Arc<Pending>>, limits: Limits) -> WireError {
    let error = |message| WireError::new(Code::Overloaded, message);
    let error = match refused.reason {
        Reason::Full => error("this worker's queue is full")
            .expected(format!("room for {} rows", refused.item.rows.count)),
        Reason::Late(late) => in_time(error("it could not be done in time here"), refused, late),
        Reason::Simulator => {
            error("this simulator has too many requests open").field(ENV_ID_HEADER).expected(
                format!("at most {} (queue.requests_per_simulator)", limits.simulator_requests),
            )
        }
    };
    let retry = u64::try_from(refused.retry_after.as_millis()).unwrap_or(u64::MAX);
    error.retry_after_ms(retry.clamp(RETRY_MS.0, RETRY_MS.1))
}

fn in_time(error: WireError, refused: &Refused<Arc<Pending>>, late: Duration) -> WireError {
    let budget = refused.item.schedule.budget.unwrap_or_default();
    error
        .field(DEADLINE_HEADER)
        .expected(format!("an answer within {:.1} ms", ms(budget)))
        .got(format!("some {:.1} ms of work before it and for it", ms(budget + late)))
}

/// Its deadline passed before it was computed.
pub fn expired(pending: &Pending) -> WireError {
    let budget = pending.schedule.budget.unwrap_or_default();
    WireError::new(Code::Expired, "the deadline passed before its turn came; it was not computed")
        .field(DEADLINE_HEADER)
        .expected(format!("a turn within {:.1} ms (else queue.deadline_ms)", ms(budget)))
}

/// A later observation of the same simulator took its place.
pub fn superseded() -> WireError {
    WireError::new(
        Code::Superseded,
        "a later request of this simulator took its place (queue.newest_wins)",
    )
    .field(ENV_ID_HEADER)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
