//! The live view: keys and messages in, pictures out.

use std::{
    io,
    time::{Duration, Instant},
};

use ratatui::DefaultTerminal;
use tokio::{
    sync::watch as stopping,
    time::{MissedTickBehavior, interval},
};

use super::{
    feed::Feed,
    keyboard::{self, Input},
    screen,
    watch::Watch,
};
use crate::failure::Failure;

/// Between two pictures, unless a key is pressed.
const PICTURE: Duration = Duration::from_millis(250);

/// Shows `watch` with all that `feed` tells until the person leaves or `stop` becomes true.
///
/// # Errors
/// The terminal can't be used, or the feed has ended.
pub async fn show(
    mut watch: Watch,
    mut feed: Feed,
    mut stop: stopping::Receiver<bool>,
) -> Result<(), Failure> {
    let mut screen = Screen::open().map_err(unusable)?;
    let mut inputs = keyboard::listen();
    let started = Instant::now();
    let mut pictures = interval(PICTURE);
    pictures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_due = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            input = inputs.recv() => match input {
                None => return Ok(()),
                Some(Input::Resized) => true,
                Some(Input::Key(key)) => {
                    if watch.browser.press(key, &watch.pool, started.elapsed()) {
                        return Ok(());
                    }
                    true
                }
            },
            _ = pictures.tick() => true,
            heard = feed.recv() => {
                // The feed always says why it ends.
                let Some(heard) = heard else { return Ok(()) };
                watch.hear(&heard?, started.elapsed());
                false
            }
        };
        if is_due {
            watch.pool.forget(started.elapsed());
            screen.draw(&watch, started.elapsed()).map_err(unusable)?;
        }
    }
}

/// The terminal in raw mode, as it was before when this is dropped, and on a panic.
struct Screen(DefaultTerminal);

impl Screen {
    fn open() -> io::Result<Self> {
        let screen = ratatui::try_init();
        if screen.is_err() {
            // It may have come half the way.
            let _ = ratatui::try_restore();
        }
        screen.map(Self)
    }

    fn draw(&mut self, watch: &Watch, now: Duration) -> io::Result<()> {
        self.0.draw(|frame| screen::draw(frame, watch, now)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // There is nobody to tell, and the cursor may be hidden.
        let _ = self.0.show_cursor();
        let _ = ratatui::try_restore();
    }
}

fn unusable(error: io::Error) -> Failure {
    Failure::Configuration(format!("the terminal can't be drawn on: {error}; use --once"))
}
