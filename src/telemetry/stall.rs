//! When a worker makes no progress.

use std::time::Duration;

/// Nothing that is well takes that long.
const STALL: Duration = Duration::from_secs(5);
/// A slow model is well as long as a batch takes no longer than so many of its slow ones.
const STALL_BATCHES: u32 = 20;

/// What stands still: for how long the serving thread has made no turn, how long the current batch
/// has been computed, how long rows wait for an idle device, and how long a slow batch takes.
pub fn stalled(
    runtime: Duration,
    computing: Duration,
    waiting: Duration,
    slow: Duration,
) -> Option<String> {
    if runtime > STALL {
        let seconds = runtime.as_secs_f64();
        return Some(format!(
            "the thread that answers requests has made no turn for {seconds:.1} s"
        ));
    }
    let patience = STALL.max(slow * STALL_BATCHES);
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
        assert_eq!(stalled(S(5), S(5), S(5), S(0)), None);
        let runtime = stalled(S(6), S(0), S(0), S(0)).unwrap();
        assert!(runtime.contains("no turn for 6.0 s"), "{runtime}");
        let device = stalled(S(0), S(6), S(0), S(0)).unwrap();
        assert!(device.contains("one batch for 6.0 s"), "{device}");
        let idle = stalled(S(0), S(0), S(6), S(0)).unwrap();
        assert!(idle.contains("waiting for 6.0 s"), "{idle}");
    }

    #[test]
    fn a_model_whose_batches_take_seconds_is_not_stuck_by_that() {
        assert_eq!(stalled(S(0), S(39), S(39), S(2)), None);
        assert!(stalled(S(0), S(41), S(0), S(2)).is_some());
    }
}
