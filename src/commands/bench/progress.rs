//! How far the bench is, on standard error.

use indicatif::{ProgressBar, ProgressStyle};

pub struct Progress(ProgressBar);

impl Progress {
    pub fn new(steps: usize) -> Self {
        let bar = ProgressBar::new(steps as u64);
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {msg}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    /// The next window begins. Where there is no terminal for a bar, a line.
    pub fn step(&self, what: String) {
        if self.0.is_hidden() {
            let (at, all) = (self.0.position() + 1, self.0.length().unwrap_or_default());
            eprintln!("{at}/{all} {what}");
        }
        self.0.set_message(what);
    }

    pub fn done(&self) {
        self.0.inc(1);
    }

    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}
