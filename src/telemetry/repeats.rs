//! Log lines that come again and again: of each kind a few are written, the rest is counted.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Metadata,
    field::{Field, Visit},
    level_filters::LevelFilter,
    subscriber::Interest,
};
use tracing_subscriber::layer::{Context, Filter};

use super::windows::{Kind, Kinds, LeftOut, Verdict};

/// Leaves out repeats. Lines are of one kind if the same place in the source wrote them, with the
/// same `outcome` if they have one. Debug lines all stay: who asks for them looks for a certain one.
#[derive(Clone)]
pub struct Repeats(Arc<Shared>);

struct Shared {
    clock: Box<dyn Fn() -> Duration + Send + Sync>,
    kinds: Mutex<Kinds>,
    changed: Condvar,
    left_out: AtomicU64,
}

impl Repeats {
    pub fn new() -> Self {
        let start = Instant::now();
        Self::with_clock(move || start.elapsed())
    }

    fn with_clock(clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            clock: Box::new(clock),
            kinds: Mutex::default(),
            changed: Condvar::new(),
            left_out: AtomicU64::new(0),
        }))
    }

    /// Lines left out so far.
    pub fn left_out(&self) -> u64 {
        self.0.left_out.load(Ordering::Relaxed)
    }

    /// Says from now on what was left out, each time when a window has passed.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn report(&self) -> std::io::Result<Reporter> {
        let repeats = self.clone();
        let thread = std::thread::Builder::new().name("log repeats".into()).spawn(move || {
            while let Some(passed) = repeats.passed() {
                passed.iter().for_each(LeftOut::write);
            }
        })?;
        Ok(Reporter { repeats: self.clone(), thread: Some(thread) })
    }

    /// Waits until windows have passed in which lines were left out; `None` once closed.
    fn passed(&self) -> Option<Vec<LeftOut>> {
        let mut kinds = self.kinds();
        while !kinds.closed {
            let now = (self.0.clock)();
            let passed = kinds.pass(now);
            if !passed.is_empty() {
                return Some(passed);
            }
            kinds = match kinds.next_end() {
                None => self.0.changed.wait(kinds).unwrap_or_else(PoisonError::into_inner),
                Some(end) => {
                    let wait = end.saturating_sub(now);
                    let woken = self.0.changed.wait_timeout(kinds, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        None
    }

    fn kinds(&self) -> MutexGuard<'_, Kinds> {
        // Whoever panicked while holding it left counts behind, which are as good as others.
        self.0.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what was left out, the last time when it is dropped.
pub struct Reporter {
    repeats: Repeats,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.repeats.kinds().closed = true;
        self.repeats.0.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // Its lines go into channels that never block.
            let _ = thread.join();
        }
        let rest = self.repeats.kinds().pass(Duration::MAX);
        rest.iter().for_each(LeftOut::write);
    }
}

impl LeftOut {
    fn write(&self) {
        let Self { level, message: repeated, outcome, lines: suppressed } = self;
        let outcome = Some(outcome).filter(|outcome| !outcome.is_empty());
        // An event's level is part of its place in the source.
        match *level {
            Level::ERROR => tracing::error!(suppressed, outcome, repeated, "lines left out"),
            Level::WARN => tracing::warn!(suppressed, outcome, repeated, "lines left out"),
            _ => tracing::info!(suppressed, outcome, repeated, "lines left out"),
        }
    }
}

impl<S> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    /// Not `always`: `enabled` is to be asked each time, since only that makes the registry forget
    /// that it refused an event, and all later ones of this thread would be refused with it.
    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    /// Of all levels, as far as this filter goes: what others refuse costs nothing then.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == module_path!() {
            return true;
        }
        let outcome = match metadata.fields().field("outcome") {
            Some(_) => text(event, "outcome"),
            None => String::new(),
        };
        let kind = Kind { callsite: metadata.callsite(), outcome: outcome.clone() };
        let message = || text(event, "message");
        let describe =
            || LeftOut { level: *metadata.level(), message: message(), outcome, lines: 0 };
        let verdict = self.kinds().admit(kind, (self.0.clock)(), describe);
        if let Verdict::LeaveOut { first } = verdict {
            self.0.left_out.fetch_add(1, Ordering::Relaxed);
            if first {
                self.0.changed.notify_all();
            }
        }
        verdict == Verdict::Write
    }
}

/// The text of one field of an event.
fn text(event: &Event<'_>, name: &'static str) -> String {
    let mut found = Text { name, text: String::new() };
    event.record(&mut found);
    found.text
}

struct Text {
    name: &'static str,
    text: String,
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.name {
            self.text = value.to_owned();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == self.name {
            self.text = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use super::*;
    use crate::telemetry::windows::{LINES, WINDOW};

    /// A clock that stands until a test moves it.
    #[derive(Clone, Default)]
    struct Clock(Arc<AtomicU64>);

    impl Clock {
        fn pass(&self, time: Duration) {
            self.0.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
        }

        fn repeats(&self) -> Repeats {
            let clock = self.clone();
            Repeats::with_clock(move || Duration::from_millis(clock.0.load(Ordering::Relaxed)))
        }
    }

    #[test]
    fn a_few_lines_of_a_place_are_written_and_the_rest_is_counted() {
        let repeats = Clock::default().repeats();
        let lines = lines(&repeats, || fail(1..=25));
        assert_eq!(lines.len(), LINES as usize);
        assert!(lines[9].contains("number=10"), "{lines:?}");
        assert_eq!(repeats.left_out(), 15);
    }

    #[test]
    fn when_the_window_has_passed_the_count_is_said_and_lines_are_written_again() {
        let clock = Clock::default();
        let repeats = clock.repeats();
        let lines = lines(&repeats, || {
            fail(1..=25);
            clock.pass(WINDOW);
            repeats.passed().unwrap().iter().for_each(LeftOut::write);
            fail(26..=26);
        });
        assert_eq!(lines.len(), 12, "{lines:?}");
        assert!(lines[10].contains("ERROR"), "{lines:?}");
        assert!(lines[10].ends_with("lines left out suppressed=15 repeated=\"it failed\""));
        assert!(lines[11].contains("number=26"), "{lines:?}");
    }

    #[test]
    fn a_window_in_which_nothing_was_left_out_ends_without_a_word() {
        let clock = Clock::default();
        let repeats = clock.repeats();
        let lines = lines(&repeats, || {
            for _ in 0..3 {
                fail(1..=10);
                clock.pass(WINDOW);
            }
        });
        assert_eq!((lines.len(), repeats.left_out()), (30, 0));
    }

    #[test]
    fn other_outcomes_and_other_places_are_counted_by_themselves() {
        let clock = Clock::default();
        let repeats = clock.repeats();
        let lines = lines(&repeats, || {
            for _ in 0..20 {
                for outcome in ["overloaded", "malformed"] {
                    tracing::info!(outcome, "answered");
                }
                tracing::info!("elsewhere");
            }
            clock.pass(WINDOW);
            repeats.passed().unwrap().iter().for_each(LeftOut::write);
        });
        for text in
            ["answered outcome=\"overloaded\"", "answered outcome=\"malformed\"", "elsewhere"]
        {
            let count = lines.iter().filter(|line| line.ends_with(text)).count();
            assert_eq!(count, 10, "{text} in {lines:?}");
        }
        let said = |line: &&String| line.contains("suppressed=10 outcome=\"overloaded\"");
        assert_eq!(lines.iter().filter(said).count(), 1, "{lines:?}");
    }

    #[test]
    fn debug_lines_all_stay() {
        let repeats = Clock::default().repeats();
        let lines = lines(&repeats, || (0..25).for_each(|_| tracing::debug!("a detail")));
        assert_eq!(lines.len(), 25);
    }

    #[test]
    fn what_is_left_out_at_the_end_is_said_when_the_reporter_is_dropped() {
        let repeats = Clock::default().repeats();
        let reporter = repeats.report().unwrap();
        let lines = lines(&repeats, || {
            fail(1..=12);
            drop(reporter);
        });
        assert!(lines.last().unwrap().contains("suppressed=2"), "{lines:?}");
    }

    #[test]
    fn who_waits_hears_of_a_window_once_it_has_passed() {
        let clock = Clock::default();
        let repeats = clock.repeats();
        let waiting = std::thread::spawn({
            let repeats = repeats.clone();
            move || repeats.passed()
        });
        lines(&repeats, || fail(1..=12));
        clock.pass(WINDOW);
        // Whoever looked at the clock before has let go of the lock to wait.
        drop(repeats.kinds());
        repeats.0.changed.notify_all();
        assert_eq!(waiting.join().unwrap().unwrap()[0].lines, 2);
    }

    fn fail(numbers: std::ops::RangeInclusive<u32>) {
        for number in numbers {
            tracing::error!(number, "it failed");
        }
    }

    /// The lines that `write` leaves behind this filter.
    fn lines(repeats: &Repeats, write: impl FnOnce()) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let writer = Mutex::new(file.reopen().unwrap());
        let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(repeats.clone()));
        tracing::subscriber::with_default(subscriber, write);
        file.flush().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}
