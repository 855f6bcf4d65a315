//! When a worker makes no progress.

use std::time::Duration;

/// A slow model is well as long as a batch takes no longer than so many of its slow ones.
const STALL_BATCHES: u32 = 20;

/// How long the device may stand still: `stall`, or as long as a slow model needs, of which a slow
/// batch takes `slow`.
pub fn patience(stall: Duration, slow: Duration) -> Duration {
    stall.max(slow * STALL_BATCHES)
}

/// Whether the thread that answers requests stands still, which has made no turn for so long.
pub fn runtime_stalled(without_turn: Duration, stall: Duration) -> Option<String> {
    let seconds = without_turn.as_secs_f64();
    (without_turn > stall)
        .then(|| format!("the thread that answers requests has made no turn for {seconds:.1} s"))
}

/// Whether the device stands still: for how long the current batch has been computed, and for how
/// long rows wait for an idle device.
pub fn device_stalled(
    computing: Duration,
    waiting: Duration,
    patience: Duration,
) -> Option<String> {
    if waiting > patience {
        let seconds = waiting.as_secs_f64();
        return Some(format!("the device has left requests waiting for {seconds:.1} s"));
    }
    let seconds = computing.as_secs_f64();
    (computing > patience).then(|| format!("the device has computed one batch for {seconds:.1} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_thread_without_turns_a_batch_without_end_and_a_queue_without_a_taker_are_stuck() {
        assert_eq!(runtime_stalled(S(5), S(5)), None);
        assert_eq!(device_stalled(S(5), S(5), S(5)), None);
        let runtime = runtime_stalled(S(6), S(5)).unwrap();
        assert!(runtime.contains("no turn for 6.0 s"), "{runtime}");
        let device = device_stalled(S(6), S(0), S(5)).unwrap();
        assert!(device.contains("one batch for 6.0 s"), "{device}");
        let idle = device_stalled(S(0), S(6), S(5)).unwrap();
        assert!(idle.contains("waiting for 6.0 s"), "{idle}");
    }

    #[test]
    fn a_model_whose_batches_take_seconds_is_not_stuck_by_that() {
        let patience = patience(S(5), S(2));
        assert_eq!(device_stalled(S(39), S(39), patience), None);
        assert!(device_stalled(S(41), S(0), patience).is_some());
    }
}
