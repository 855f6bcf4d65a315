//! Log lines on standard error and, if wanted, in a file.
//!
//! Writing happens on threads of its own, behind bounded channels that drop what does not fit: a
//! terminal that is stopped or a disk that is full must not stop the serving.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, LevelFilter, Targets, filter_fn},
    layer::{Filter, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use super::{
    repeats::{Repeats, Reporter},
    rotation::Rotating,
};
use crate::settings::{LogFormat, Logging};

/// Lines that may wait for one destination: some megabytes, and seconds of a loud worker.
const WAITING_LINES: usize = 8192;
/// How long the end of the process waits for a standard error that takes nothing.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Says what was left out, then writes out what is still buffered, when it is dropped.
pub struct Guard {
    counts: Counts,
    open: Option<Open>,
}

struct Open {
    // In this order: the reporter's last lines are to be written, too.
    _reporter: Reporter,
    _writers: Vec<WorkerGuard>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let open = self.open.take();
        // On a thread that may be left behind: a destination that takes nothing must not keep us.
        in_time("log end", move || drop(open));
    }
}

impl Guard {
    /// To be read at any time, from any thread.
    pub fn counts(&self) -> Counts {
        self.counts.clone()
    }
}

/// How many lines are missing.
#[derive(Clone)]
pub struct Counts {
    stderr: Lost,
    file: Option<Lost>,
    repeats: Repeats,
}

impl Counts {
    /// Lines that their destination did not take, by destination: `stderr`, `file`.
    pub fn dropped(&self) -> [(&'static str, u64); 2] {
        let file = self.file.as_ref().map_or(0, Lost::lines);
        [("stderr", self.stderr.lines()), ("file", file)]
    }

    /// Lines left out because the same had been written many times shortly before.
    pub fn repeats(&self) -> u64 {
        self.repeats.left_out()
    }
}

/// Lines lost on the way to one destination.
#[derive(Clone)]
struct Lost {
    /// For want of room, while it took none.
    dropped: ErrorCounter,
    /// As it refused them: a full disk, a closed pipe.
    failed: Arc<AtomicU64>,
}

impl Lost {
    fn lines(&self) -> u64 {
        self.dropped.dropped_lines() as u64 + self.failed.load(Ordering::Relaxed)
    }
}

/// Installs the logs of this process.
///
/// # Errors
/// The file can't be opened, logs are installed already, or the system gives no thread.
pub fn install(logging: &Logging) -> Result<Guard, String> {
    let (stderr, stderr_lost, stderr_guard) = background(io::stderr());
    let text = match logging.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let mut writers = vec![stderr_guard];
    let mut file_lost = None;
    let mut layers = vec![layer(stderr, text, std::io::stderr().is_terminal())];
    if let Some(path) = &logging.file_path {
        let (file, lost, guard) = background(open(path, logging)?);
        file_lost = Some(lost);
        writers.push(guard);
        layers.push(layer(file, logging.format == LogFormat::Text, false));
    }
    let repeats = Repeats::new();
    let filter = filter(logging.level.clone(), repeats.clone());
    let subscriber = tracing_subscriber::registry().with(layers.with_filter(filter));
    subscriber.try_init().map_err(|error| error.to_string())?;
    let reporter = repeats.report().map_err(|error| error.to_string())?;
    let counts = Counts { stderr: stderr_lost, file: file_lost, repeats };
    Ok(Guard { counts, open: Some(Open { _reporter: reporter, _writers: writers }) })
}

/// What the level refuses is refused where it is written, at the cost of a comparison: all parts
/// of the filter give a hint, and none asks for the lines that another refuses.
fn filter<S: Subscriber>(level: Targets, repeats: Repeats) -> impl Filter<S> {
    let discreet = filter_fn(is_discreet).with_max_level_hint(LevelFilter::TRACE);
    level.and(discreet).and(repeats)
}

/// The client library's finer lines hold the broker's address with its password.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("async_nats") || *metadata.level() <= Level::INFO
}

/// Writes to standard error past the logs, just before the process ends; not if that takes nothing.
pub fn last_words(text: String) {
    in_time("last words", move || eprintln!("{text}"));
}

/// Waits for `act`, but no longer than [`LAST_WORDS`].
fn in_time(name: &str, act: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let act = move || {
        act();
        // Whoever waited may have gone.
        let _ = done.send(());
    };
    if std::thread::Builder::new().name(name.into()).spawn(act).is_ok() {
        let _ = wait.recv_timeout(LAST_WORDS);
    }
}

fn background(writer: impl Write + Send + 'static) -> (NonBlocking, Lost, WorkerGuard) {
    let failed = Arc::new(AtomicU64::new(0));
    let counted = Counted { writer, failed: failed.clone() };
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(WAITING_LINES);
    let (writer, guard) = builder.finish(counted);
    let lost = Lost { dropped: writer.error_counter(), failed };
    (writer, lost, guard)
}

fn open(path: &Path, logging: &Logging) -> Result<Rotating, String> {
    Rotating::open(path.to_owned(), logging.file_max_bytes, logging.file_keep)
        .map_err(|error| format!("{}: {error} (logging.file_path)", path.display()))
}

/// Counts the lines that `writer` refuses.
struct Counted<W> {
    writer: W,
    failed: Arc<AtomicU64>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.write_all(line).map(|()| line.len())
    }

    fn write_all(&mut self, line: &[u8]) -> io::Result<()> {
        self.writer.write_all(line).inspect_err(|_| {
            self.failed.fetch_add(1, Ordering::Relaxed);
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn layer<S>(writer: NonBlocking, text: bool, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match text {
        true => layer.with_target(false).with_ansi(colours).boxed(),
        false => layer.json().flatten_event(true).with_current_span(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tracing::Event;
    use tracing_subscriber::{Registry, layer::Context};

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_stalls_nobody_and_the_lines_lost_are_counted() {
        let (reader, writer) = io::pipe().unwrap();
        let (writer, lost, guard) = background(writer);
        let subscriber = tracing_subscriber::registry().with(layer(writer, false, false));
        // Far more than the pipe and the line before it hold.
        let lines = 8 * WAITING_LINES as u64;
        tracing::subscriber::with_default(subscriber, || {
            (0..lines).for_each(|number| tracing::info!(number, "a line"));
        });
        let dropped = lost.lines();
        assert!((lines / 2..lines).contains(&dropped), "{dropped}");
        drop(reader);
        drop(guard);
    }

    #[test]
    fn lines_that_are_refused_are_counted_and_the_next_ones_are_tried() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let (mut writer, lost, guard) = background(writer);
        for _ in 0..10 {
            writer.write_all(b"a line\n").unwrap();
        }
        drop(guard);
        assert_eq!(lost.lines(), 10);
    }

    #[test]
    fn what_the_level_refuses_is_refused_where_it_is_written() {
        let level = "info,async_nats=warn".parse().unwrap();
        let filter: Box<dyn Filter<Registry>> = Box::new(filter(level, Repeats::new()));
        assert_eq!(filter.max_level_hint(), Some(LevelFilter::INFO));
        let seen = callsites(|| {
            tracing::debug!("fine");
            tracing::info!("coarse");
            tracing::info!(target: "async_nats::connector", "foreign");
        });
        let is_never: Vec<_> =
            seen.iter().map(|metadata| filter.callsite_enabled(metadata).is_never()).collect();
        assert_eq!(is_never, [true, false, true]);
    }

    /// The places in the source that `write` passes.
    fn callsites(write: impl FnOnce()) -> Vec<&'static Metadata<'static>> {
        struct Seen(Arc<Mutex<Vec<&'static Metadata<'static>>>>);
        impl<S: Subscriber> Layer<S> for Seen {
            fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
                self.0.lock().unwrap().push(event.metadata());
            }
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Seen(seen.clone()));
        tracing::subscriber::with_default(subscriber, write);
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[test]
    fn without_a_file_its_count_is_there_all_the_same() {
        let (_, stderr, _guard) = background(io::sink());
        let counts = Counts { stderr, file: None, repeats: Repeats::new() };
        assert_eq!(counts.dropped(), [("stderr", 0), ("file", 0)]);
        assert_eq!(counts.repeats(), 0);
    }
}
