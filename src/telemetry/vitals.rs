//! What is known of a worker while it lives: written by the threads that serve, read by the one
//! that reports. Nobody who asks from outside can hold up the serving for longer than one lock.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use super::{logs::Counts, stall, tally::Tally, traces::Traces};
use crate::{
    batch::Limits,
    nats::{self, Connection},
    telemetry::specs::Specs,
    wire::{Spec, State, health::QueueHealth},
};

/// How often [`Vitals::turn`] is called: the distance of two health messages.
pub const TURN: Duration = Duration::from_secs(2);
/// How often the serving thread calls [`Vitals::beat`].
pub const BEAT: Duration = Duration::from_millis(250);
/// Without progress for so long, a worker is stuck.
pub const STALL: Duration = Duration::from_secs(5);
/// How long an event goes on counting as something wrong.
const RECENT: Duration = Duration::from_secs(10);

/// What never changes while the process lives.
#[derive(Clone, Debug)]
pub struct About {
    pub spec: Spec,
    /// Of all subjects.
    pub prefix: String,
    /// Unlike that of any other start.
    pub boot_id: String,
    pub limits: Limits,
    /// Without progress for so long it is stuck; a slow model has more time: [`STALL`].
    pub stall: Duration,
    /// What reading and verifying the artifact took.
    pub load: Duration,
    pub started_at: SystemTime,
}

pub struct Vitals {
    pub about: About,
    pub traces: Traces,
    logs: OnceLock<Counts>,
    /// All moments below are durations since then.
    started: Instant,
    state: watch::Sender<State>,
    was_ready: AtomicBool,
    subscribed: AtomicBool,
    /// What made the worker fail.
    failure: OnceLock<String>,
    tally: Mutex<Tally>,
    queue: OnceLock<Queue>,
    connections: Mutex<Vec<Watched>>,
    /// When the serving thread last made a turn, in µs; 0 before the first one.
    beat: AtomicU64,
    /// When the batch that is being computed was begun, in µs; 0 if there is none.
    computing: AtomicU64,
    /// A finished batch waits for the serving thread, as it does while the broker is away.
    handing_on: AtomicBool,
    /// Requests that were delivered and never taken.
    lost: AtomicU64,
    dropped: Mutex<Growth>,
    denied: Mutex<Growth>,
    specs: Specs,
}

type Queue = Box<dyn Fn() -> QueueHealth + Send + Sync>;

/// A connection with its name in metrics.
#[derive(Clone)]
pub struct Watched {
    pub name: &'static str,
    pub client: async_nats::Client,
    pub events: Arc<nats::Events>,
}

/// A count of something bad, and when it last grew.
#[derive(Default)]
struct Growth {
    count: u64,
    grew: Option<Instant>,
}

impl Growth {
    /// Whether it has grown of late, now being at `count`.
    fn is_recent(&mut self, count: u64) -> bool {
        if count > self.count {
            *self = Growth { count, grew: Some(Instant::now()) };
        }
        self.grew.is_some_and(|at| at.elapsed() < RECENT)
    }
}

impl Vitals {
    pub fn new(about: About, traces: Traces) -> Self {
        let started = Instant::now();
        Self {
            about,
            traces,
            logs: OnceLock::new(),
            started,
            state: watch::channel(State::Starting).0,
            was_ready: AtomicBool::new(false),
            subscribed: AtomicBool::new(false),
            failure: OnceLock::new(),
            tally: Mutex::new(Tally::new(started)),
            queue: OnceLock::new(),
            connections: Mutex::default(),
            beat: AtomicU64::new(0),
            computing: AtomicU64::new(0),
            handing_on: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            dropped: Mutex::default(),
            denied: Mutex::default(),
            specs: Specs::default(),
        }
    }

    pub fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Told of every change that the worker makes of its state.
    pub fn states(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The worker's state changes; whether it was another one.
    pub fn enter(&self, state: State) -> bool {
        self.was_ready.fetch_or(state == State::Ready, Ordering::Relaxed);
        self.state.send_replace(state) != state
    }

    /// The worker can't go on.
    pub fn fail(&self, why: String) {
        // The first failure is the cause of all others.
        let _ = self.failure.set(why);
        self.enter(State::Failed);
    }

    /// So many requests were delivered and never taken; whether these are more than before.
    pub fn lost(&self, requests: u64) -> bool {
        self.lost.fetch_max(requests, Ordering::Relaxed) < requests
    }

    /// Requests that were delivered and never taken, as far as it is known.
    pub fn dropped(&self) -> u64 {
        let told = self.connection(nats::REQUESTS).map_or(0, |requests| requests.events.dropped());
        self.lost.load(Ordering::Relaxed).max(told)
    }

    /// Whether the worker has been ready once.
    pub fn was_ready(&self) -> bool {
        self.was_ready.load(Ordering::Relaxed)
    }

    pub fn set_subscribed(&self, subscribed: bool) {
        self.subscribed.store(subscribed, Ordering::Relaxed);
    }

    /// Whether the broker counts the worker among the queue group.
    pub fn is_subscribed(&self) -> bool {
        self.subscribed.load(Ordering::Relaxed)
    }

    /// Where to look for log lines that are missing.
    pub fn watch_logs(&self, logs: Counts) {
        // There is one log in a process's life.
        let _ = self.logs.set(logs);
    }

    pub fn logs(&self) -> Option<&Counts> {
        self.logs.get()
    }

    /// Where to look for what waits.
    pub fn watch_queue(&self, look: impl Fn() -> QueueHealth + Send + Sync + 'static) {
        // There is one queue in a worker's life.
        let _ = self.queue.set(Box::new(look));
    }

    pub fn queue(&self) -> QueueHealth {
        let limit = self.about.limits.queue_rows as u64;
        self.queue.get().map_or(QueueHealth { limit, ..Default::default() }, |look| look())
    }

    pub fn watch_connection(&self, name: &'static str, connection: &Connection) {
        let (client, events) = (connection.client.clone(), connection.counts.clone());
        lock(&self.connections).push(Watched { name, client, events });
    }

    pub fn connections(&self) -> Vec<Watched> {
        lock(&self.connections).clone()
    }

    pub fn connection(&self, name: &str) -> Option<Watched> {
        self.connections().into_iter().find(|connection| connection.name == name)
    }

    /// The serving thread makes turns.
    pub fn beat(&self) {
        self.beat.store(self.now_us(), Ordering::Relaxed);
    }

    /// The device thread begins to compute a batch.
    pub fn begin(&self) {
        self.computing.store(self.now_us(), Ordering::Relaxed);
    }

    /// It has computed it, and hands it on.
    pub fn end(&self) {
        self.handing_on.store(true, Ordering::Relaxed);
        self.computing.store(0, Ordering::Relaxed);
    }

    /// It has computed a row that nobody waits for.
    pub fn rested(&self) {
        self.computing.store(0, Ordering::Relaxed);
    }

    /// It looks for the next one.
    pub fn handed_on(&self) {
        self.handing_on.store(false, Ordering::Relaxed);
    }

    /// How long the serving thread has made no turn.
    pub fn runtime_stall(&self) -> Duration {
        self.since(&self.beat).saturating_sub(BEAT)
    }

    /// How long the batch that is being computed has taken.
    pub fn computing(&self) -> Duration {
        self.since(&self.computing)
    }

    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// What has come on the spec subject.
    pub fn specs(&self) -> &Specs {
        &self.specs
    }

    /// To be called every [`TURN`].
    pub fn turn(&self) {
        self.tally().turn(Instant::now());
    }

    /// The state as others see it: a worker that serves with something wrong is degraded.
    pub fn shown_state(&self) -> State {
        let state = *self.state.borrow();
        if state == State::Ready && !self.complaints().is_empty() { State::Degraded } else { state }
    }

    /// Whether requests may come here: it is in the group, and not stuck.
    pub fn is_ready(&self) -> bool {
        let state = *self.state.borrow();
        state == State::Ready && self.is_subscribed() && self.stuck().is_none()
    }

    /// What keeps the worker from being ready, or is wrong with a ready one; a sentence each.
    pub fn reasons(&self) -> Vec<String> {
        let why = match *self.state.borrow() {
            State::Starting if self.was_ready() => Some("the broker is gone, or about to go"),
            State::Starting => Some("warming up, or waiting for the broker"),
            State::Saturated => {
                Some("the queue was nearly full, or refused requests, for two seconds")
            }
            _ => None,
        };
        if let Some(failure) = self.failure.get() {
            // All else follows from it.
            return vec![failure.clone()];
        }
        why.map(String::from).into_iter().chain(self.complaints()).collect()
    }

    /// What only a restart would mend: no forward progress. Never anything about the broker.
    pub fn stuck(&self) -> Option<String> {
        if *self.state.borrow() == State::Failed {
            return Some(self.failure.get().cloned().unwrap_or_default());
        }
        stall::runtime_stalled(self.runtime_stall(), self.about.stall)
            .or_else(|| self.stuck_device())
    }

    /// The part of it that is the device's.
    pub fn stuck_device(&self) -> Option<String> {
        stall::device_stalled(self.computing(), self.left_waiting(), self.patience())
    }

    /// How long the device may stand still.
    pub fn patience(&self) -> Duration {
        stall::patience(self.about.stall, self.tally().slow_forward())
    }

    /// How long rows have waited for a device that has nothing else to do.
    fn left_waiting(&self) -> Duration {
        let may_wait = self.handing_on.load(Ordering::Relaxed) || !self.computing().is_zero();
        if may_wait {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(self.queue().oldest_ms / 1e3)
        }
    }

    fn complaints(&self) -> Vec<String> {
        let failing = self.tally().failing;
        let failing = match failing {
            0 => None,
            1 => Some("the last batch failed".to_string()),
            _ => Some(format!("the last {failing} batches failed")),
        };
        let requests = self.connection(nats::REQUESTS);
        let dropped = lock(&self.dropped).is_recent(self.dropped()).then(|| {
            "more requests came at once than the client library holds: it dropped some".to_string()
        });
        let denied = requests.map_or(0, |requests| requests.events.refusals());
        let denied = lock(&self.denied).is_recent(denied).then(|| {
            "the broker did not let us send a reply: whoever asked wants it elsewhere than this user may publish"
                .to_string()
        });
        self.stuck().into_iter().chain(failing).chain(dropped).chain(denied).collect()
    }

    fn since(&self, moment: &AtomicU64) -> Duration {
        match moment.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            then => Duration::from_micros(self.now_us().saturating_sub(then)),
        }
    }

    fn now_us(&self) -> u64 {
        // 0 means never.
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

/// Counters and connections are whole after every statement, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
