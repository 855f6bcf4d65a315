//! The end of a process that would not end by itself.

use std::{sync::Arc, time::Duration};

use crate::{failure::Failure, telemetry::Vitals};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// A serving thread that lives gives a stuck device up after twice the patience and has the last
/// words with those who wait; one that has not done so by this many times is stuck itself.
const GIVE_UP: u32 = 4;

/// A thread that looks whether the worker makes progress, and gives it up if not.
pub struct Watchdog;

impl Watchdog {
    /// `give_up` is called at most once, with the reason.
    ///
    /// # Errors
    /// [`Failure::Defect`]: the system gives no thread.
    pub fn start(
        vitals: Arc<Vitals>,
        give_up: impl FnOnce(&str) + Send + 'static,
    ) -> Result<(), Failure> {
        let thread = std::thread::Builder::new().name("watchdog".into());
        let thread = thread.spawn(move || give_up(&stuck_for_good(&vitals)));
        thread.map(|_| ()).map_err(|error| Failure::Defect(format!("no watchdog: {error}")))
    }
}

/// Waits until the worker has been stuck for too long. Counts looks, which pass only while this
/// process runs: one that was stopped and goes on looks stuck for a moment.
fn stuck_for_good(vitals: &Vitals) -> String {
    let mut looks = 0;
    loop {
        std::thread::sleep(LOOK);
        match vitals.stuck() {
            Some(why) if LOOK * looks >= vitals.patience() * GIVE_UP => return why,
            Some(_) => looks += 1,
            None => looks = 0,
        }
    }
}
