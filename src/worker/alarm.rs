//! A timer for moments that mostly move on before they come.

use std::{pin::Pin, time::Duration};

use tokio::time::{Instant, Sleep, sleep};

/// Setting a timer of the runtime anew for each request costs more than reading the request, so it is
/// set for the nearest moment that there was, and may ring for one that is none any more.
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set_for: Option<Duration>,
}

impl Alarm {
    pub fn new() -> Self {
        Self { sleep: Box::pin(sleep(Duration::ZERO)), set_for: None }
    }

    /// Until a moment on a clock that shows `now`, or an earlier one that was given before; pending
    /// if there is none.
    pub async fn ring(&mut self, moment: Option<Duration>, now: Duration) {
        let Some(moment) = moment else { return std::future::pending().await };
        if self.set_for.is_none_or(|set_for| moment < set_for) {
            self.set_for = Some(moment);
            self.sleep.as_mut().reset(Instant::now() + moment.saturating_sub(now));
        }
        self.sleep.as_mut().await;
        self.set_for = None;
    }
}
