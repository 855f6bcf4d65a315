//! Log lines on standard error and, if wanted, in a file.
//!
//! Writing happens on threads of its own, behind bounded channels that drop what does not fit: a
//! terminal that is stopped or a disk that is full must not stop the serving.

use std::{
    fs::{self, OpenOptions},
    io::IsTerminal,
    path::Path,
};

use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::settings::{LogFormat, Logging};

/// Writes out what is still buffered when it is dropped.
pub struct Guard(#[expect(dead_code, reason = "held for its drop")] Vec<WorkerGuard>);

/// Installs the logs of this process.
///
/// # Errors
/// The file can't be opened, or logs are installed already.
pub fn install(logging: &Logging) -> Result<Guard, String> {
    let (stderr, stderr_guard) = background(std::io::stderr());
    let text = match logging.format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let mut guards = vec![stderr_guard];
    let mut layers = vec![layer(stderr, text, std::io::stderr().is_terminal())];
    if let Some(path) = &logging.file_path {
        let (file, guard) = background(open(path)?);
        guards.push(guard);
        layers.push(layer(file, logging.format == LogFormat::Text, false));
    }
    tracing_subscriber::registry()
        .with(layers.with_filter(logging.level.clone().and(filter_fn(is_discreet))))
        .try_init()
        .map_err(|error| error.to_string())?;
    Ok(Guard(guards))
}

/// The client library's finer lines hold the broker's address with its password.
fn is_discreet(metadata: &Metadata<'_>) -> bool {
    !metadata.target().starts_with("async_nats") || *metadata.level() <= Level::INFO
}

fn background(writer: impl std::io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default().lossy(true).finish(writer)
}

fn open(path: &Path) -> Result<fs::File, String> {
    let wrong = |error| format!("{}: {error} (logging.file_path)", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(wrong)
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
