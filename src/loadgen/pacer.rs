//! What wakes the lines of an open loop on time.
//!
//! The timers of the runtime tick once a millisecond, in which thousands of requests may be due. A
//! thread that sleeps is on time to some ten microseconds, and never spins: the pool may need the
//! processor. What it oversleeps counts as time that the requests took.

use std::{
    io,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::UnboundedSender;

use super::arrivals::Schedule;

/// Tells each line when its requests are due, until all are told or the lines are gone.
///
/// # Errors
/// The system gives no thread.
pub fn start(
    schedule: Schedule,
    began: Instant,
    lines: Vec<UnboundedSender<Duration>>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("pacer".into()).spawn(move || {
        for arrival in schedule {
            let wait = (began + arrival.at).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            if lines[arrival.connection].send(arrival.at).is_err() {
                return;
            }
        }
    })
}
