//! Which lines of each kind are written, and which are only counted: all of what [`super::repeats`]
//! decides, with the time passed in.

use std::{collections::HashMap, time::Duration};

use tracing::{Level, callsite::Identifier};

/// Lines of a kind that are written within [`WINDOW`].
pub const LINES: u64 = 10;
/// Counted from the first line of a kind.
pub const WINDOW: Duration = Duration::from_secs(10);

/// The windows of all kinds of lines. There are as many kinds as places in the source and outcomes.
#[derive(Default)]
pub struct Kinds {
    windows: HashMap<Kind, Window>,
    /// Nobody asks for what was left out any more.
    pub closed: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Kind {
    pub callsite: Identifier,
    /// Empty if the line has none.
    pub outcome: String,
}

struct Window {
    since: Duration,
    lines: u64,
    left_out: Option<LeftOut>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    Write,
    LeaveOut {
        /// In its window.
        first: bool,
    },
}

/// What is said of lines that were left out.
#[derive(Debug, PartialEq)]
pub struct LeftOut {
    pub level: Level,
    pub message: String,
    /// Empty if they have none.
    pub outcome: String,
    pub lines: u64,
}

impl Kinds {
    /// What to do with a line; `describe` is asked for the first one that is left out.
    pub fn admit(
        &mut self,
        kind: Kind,
        now: Duration,
        describe: impl FnOnce() -> LeftOut,
    ) -> Verdict {
        let new = || Window { since: now, lines: 0, left_out: None };
        let window = self.windows.entry(kind).or_insert_with(new);
        // With lines left out, the window stays until that has been said.
        if now.saturating_sub(window.since) >= WINDOW && window.left_out.is_none() {
            *window = new();
        }
        window.lines += 1;
        if window.lines <= LINES {
            return Verdict::Write;
        }
        let first = window.left_out.is_none();
        window.left_out.get_or_insert_with(describe).lines += 1;
        Verdict::LeaveOut { first }
    }

    /// Ends the windows that have passed by `now`, with what they left out.
    pub fn pass(&mut self, now: Duration) -> Vec<LeftOut> {
        let passed = |window: &Window| now.saturating_sub(window.since) >= WINDOW;
        let ended = self.windows.extract_if(|_, window| passed(window));
        ended.filter_map(|(_, window)| window.left_out).collect()
    }

    /// When the next window in which lines were left out will have passed.
    pub fn next_end(&self) -> Option<Duration> {
        let with_left_out = self.windows.values().filter(|window| window.left_out.is_some());
        with_left_out.map(|window| window.since + WINDOW).min()
    }
}
