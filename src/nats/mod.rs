//! Connections to the broker: the first one with patience, later ones by the client library.

mod login;
mod tls;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{Client, ConnectError, ConnectErrorKind, ConnectOptions, Event};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::{failure::Failure, settings};

/// Between two attempts at the start.
const RETRY: Duration = Duration::from_millis(500);
/// Between two lines that say that we still wait.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// Between losing the broker and the first attempt to find it again. Time enough for whoever
/// holds a subscription to let go of it first, see [`Link::Down`].
const FIRST_RECONNECT: Duration = Duration::from_millis(100);
const LAST_RECONNECT: Duration = Duration::from_secs(1);
/// How long the broker may take for a round trip.
const ROUND_TRIP: Duration = Duration::from_secs(5);
/// Answers that may wait for the socket. A batch's worth must fit, or publishing it would block.
const COMMANDS: usize = 16_384;
/// The library drops silently what does not fit; our own queue is the one that refuses aloud.
const MESSAGES: usize = 262_144;

/// The names of a worker's connections: requests and replies, the spec subject, and what the worker
/// says of itself.
pub const REQUESTS: &str = "requests";
pub const CONTROL: &str = "control";
pub const MONITORING: &str = "monitoring";

/// A client, and what happens to its connection.
pub struct Connection {
    pub client: Client,
    pub events: mpsc::UnboundedReceiver<Link>,
    pub counts: Arc<Events>,
}

/// How often what has happened to a connection.
#[derive(Debug, Default)]
pub struct Events {
    /// The connection's name, as the broker has it.
    name: String,
    connects: AtomicU64,
    disconnects: AtomicU64,
    refusals: AtomicU64,
    other_errors: AtomicU64,
    lame_ducks: AtomicU64,
    dropped: AtomicU64,
}

impl Events {
    pub fn reconnects(&self) -> u64 {
        self.connects.load(Ordering::Relaxed).saturating_sub(1)
    }

    pub fn disconnects(&self) -> u64 {
        self.disconnects.load(Ordering::Relaxed)
    }

    /// What the broker's permissions did not allow.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Errors that the broker reported, but for refusals.
    pub fn other_errors(&self) -> u64 {
        self.other_errors.load(Ordering::Relaxed)
    }

    /// Announcements of the broker's end.
    pub fn lame_ducks(&self) -> u64 {
        self.lame_ducks.load(Ordering::Relaxed)
    }

    /// Messages that the client library dropped.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// The connection came or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    Up,
    /// A subscription that is still held when the connection comes back is renewed by the library.
    Down,
    /// The server is about to shut down.
    LameDuck,
    /// We may not subscribe to something.
    Refused(String),
    /// We may not publish something: a reply or a report is lost, and nobody else is told.
    Denied(String),
}

/// Connects, waiting for a broker that is not there yet.
///
/// # Errors
/// [`Failure::Unreachable`] after `nats.connect_timeout_s`; [`Failure::Configuration`] if a file is
/// not what it should be, the broker refuses our credentials, or TLS fails.
pub async fn connect(nats: &settings::Nats, name: &str) -> Result<Connection, Failure> {
    let started = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let reason = match attempt(nats, name).await? {
            Ok(connection) => return Ok(connection),
            Err(reason) => reason,
        };
        if nats.connect_timeout.is_some_and(|limit| started.elapsed() >= limit) {
            // A broker that waits for the handshake says nothing to whoever waits for its words.
            let first = if nats.requires_tls() { ", nats.tls_first" } else { "" };
            return Err(Failure::Unreachable(format!(
                "no broker at {} after {:.0} s: {reason} (nats.url, nats.connect_timeout_s{first})",
                nats.servers,
                started.elapsed().as_secs_f64()
            )));
        }
        if said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            tracing::warn!(broker = %nats.servers, connection = name, reason, "waiting for the broker");
            said = Some(Instant::now());
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Connects at the first attempt or not at all: for a person who waits.
///
/// # Errors
/// As [`connect`], but at once.
pub async fn connect_once(nats: &settings::Nats, name: &str) -> Result<Connection, Failure> {
    attempt(nats, name).await?.map_err(|reason| {
        Failure::Unreachable(format!("no broker at {}: {reason} (nats.url)", nats.servers))
    })
}

/// The inner error says why the broker could not be reached this time.
async fn attempt(nats: &settings::Nats, name: &str) -> Result<Result<Connection, String>, Failure> {
    let (events, receiver) = mpsc::unbounded_channel();
    let counts = Arc::new(Events { name: name.to_owned(), ..Events::default() });
    let options = options(nats, name, events, counts.clone())?;
    let error = match options.connect(nats.servers.addresses()).await {
        Ok(client) => return Ok(Ok(Connection { client, events: receiver, counts })),
        Err(error) => error,
    };
    match refusal(&error) {
        None => Ok(Err(reason(&error))),
        Some(why) => {
            let broker = &nats.servers;
            Err(Failure::Configuration(format!("the broker at {broker}: {why}")))
        }
    }
}

/// Waits until the server has done everything that was asked of it on this connection before:
/// its answer to a message to ourselves can't overtake that.
///
/// # Errors
/// A sentence, if nothing comes back within five seconds.
pub async fn round_trip(client: &Client) -> Result<(), String> {
    let there_and_back = async {
        let inbox = client.new_inbox();
        let mut replies = client.subscribe(inbox.clone()).await.map_err(|e| e.to_string())?;
        client.publish(inbox, "".into()).await.map_err(|e| e.to_string())?;
        client.flush().await.map_err(|e| e.to_string())?;
        replies.next().await.map(|_| ()).ok_or_else(|| "the connection closed".to_string())
    };
    match tokio::time::timeout(ROUND_TRIP, there_and_back).await {
        Ok(result) => result,
        Err(_) => Err(format!("the broker did not answer within {ROUND_TRIP:?}")),
    }
}

/// Whether we could connect, as far as our own files tell.
///
/// # Errors
/// [`Failure::Configuration`] with the file, what is wrong with it, and its setting.
pub fn check(nats: &settings::Nats) -> Result<(), Failure> {
    options(nats, "", mpsc::unbounded_channel().0, Arc::default()).map(|_| ())
}

fn options(
    nats: &settings::Nats,
    name: &str,
    events: mpsc::UnboundedSender<Link>,
    counts: Arc<Events>,
) -> Result<ConnectOptions, Failure> {
    let options = ConnectOptions::new()
        .name(name)
        .custom_inbox_prefix(&nats.inbox_prefix)
        .ping_interval(nats.ping_interval)
        .client_capacity(COMMANDS)
        .subscription_capacity(MESSAGES)
        .reconnect_delay_callback(reconnect_delay())
        .event_callback(move |event| {
            if let Some(link) = heard(&event, &counts) {
                // Nobody listens to a connection that is being given up.
                let _ = events.send(link);
            }
            std::future::ready(())
        });
    tls::add(login::add(options, nats)?, nats)
}

/// The library asks before the very first attempt, too: that one need not wait.
fn reconnect_delay() -> impl Fn(usize) -> Duration {
    let connected = AtomicBool::new(false);
    move |attempts| {
        if !connected.swap(true, Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(8);
        (FIRST_RECONNECT * 2u32.pow(doublings)).min(LAST_RECONNECT)
    }
}

fn heard(event: &Event, counts: &Events) -> Option<Link> {
    match event {
        Event::Connected => {
            counts.connects.fetch_add(1, Ordering::Relaxed);
            return Some(Link::Up);
        }
        Event::Disconnected => {
            tracing::warn!(connection = counts.name, "the broker is gone, looking for it");
            counts.disconnects.fetch_add(1, Ordering::Relaxed);
            return Some(Link::Down);
        }
        Event::SlowConsumer(_) => count_dropped(counts),
        Event::ServerError(error) => {
            tracing::error!(%error, connection = counts.name, "the broker reports an error");
            return violation(error.to_string(), counts);
        }
        Event::LameDuckMode => {
            tracing::warn!(connection = counts.name, "the broker is about to shut down");
            counts.lame_ducks.fetch_add(1, Ordering::Relaxed);
            return Some(Link::LameDuck);
        }
        other => tracing::debug!(event = %other, "connection event"),
    }
    None
}

/// There is an event for each message, in a flood (and not even for each, then); so each line stands
/// for as many as all before.
fn count_dropped(counts: &Events) {
    let messages = counts.dropped.fetch_add(1, Ordering::Relaxed) + 1;
    if messages.is_power_of_two() {
        tracing::error!(messages, "the client library dropped messages: too many at once");
    }
}

fn violation(error: String, counts: &Events) -> Option<Link> {
    let link = if error.contains("Permissions Violation for Subscription") {
        Some(Link::Refused(error))
    } else {
        error.contains("Permissions Violation for Publish").then_some(Link::Denied(error))
    };
    let count = if link.is_some() { &counts.refusals } else { &counts.other_errors };
    count.fetch_add(1, Ordering::Relaxed);
    link
}

/// Why another attempt would end in the same way, with the settings to look at.
fn refusal(error: &ConnectError) -> Option<String> {
    use ConnectErrorKind::{Authentication, AuthorizationViolation, ServerParse, Tls};
    match error.kind() {
        Authentication | AuthorizationViolation | ServerParse => Some(format!(
            "it refuses us: {} (nats.url, nats.credentials_file, nats.nkey_file)",
            reason(error)
        )),
        Tls => Some(format!("{} (nats.url, nats.tls_ca_file)", reason(error))),
        _ => tls::refusal(error),
    }
}

/// The innermost cause: the library's own words hide it.
fn reason(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => reason(source),
        None => error.to_string(),
    }
}
