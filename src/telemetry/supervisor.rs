//! Word to a supervisor that started us with `NOTIFY_SOCKET`, as systemd's `Type=notify` does.

use std::time::Duration;

use sd_notify::NotifyState;

use super::vitals::Vitals;
use crate::wire::State;

/// Tells what is new. Without a supervisor all of it does nothing.
#[derive(Default)]
pub struct Supervisor {
    told_ready: bool,
    told: Option<(State, String)>,
}

impl Supervisor {
    /// How often [`Supervisor::tell`] must be called, if a watchdog waits for it: thrice as often as
    /// it looks.
    pub fn watchdog() -> Option<Duration> {
        let mut microseconds = 0;
        let is_watched = sd_notify::watchdog_enabled(false, &mut microseconds);
        is_watched.then(|| Duration::from_micros(microseconds / 3).max(Duration::from_millis(1)))
    }

    /// The worker's state, and a sign of life if there is forward progress.
    pub fn tell(&mut self, vitals: &Vitals) {
        let state = vitals.shown_state();
        if vitals.was_ready() && !self.told_ready {
            self.told_ready = true;
            notify(&[NotifyState::Ready]);
        }
        let status = std::iter::once(state.to_string()).chain(vitals.reasons());
        let status = (state, status.collect::<Vec<_>>().join("; "));
        if self.told.as_ref() != Some(&status) {
            notify(&[NotifyState::Status(&status.1)]);
            if matches!(state, State::Draining | State::Stopped | State::Failed) {
                notify(&[NotifyState::Stopping]);
            }
            self.told = Some(status);
        }
        if vitals.stuck().is_none() {
            notify(&[NotifyState::Watchdog]);
        }
    }
}

fn notify(states: &[NotifyState]) {
    // A supervisor that does not listen will do what it does on silence.
    let _ = sd_notify::notify(false, states);
}
