//! Simulators that ask without waiting, on several connections, each with an inbox of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::HeaderMap;
use tokio::task::JoinHandle;

use super::{oracle::Verdict, poison, simulator::Simulator};

/// What to send.
#[derive(Clone)]
pub struct Plan {
    pub connections: u32,
    pub pace: Pace,
    /// Of all connections together; the load goes on until it is told to stop otherwise.
    pub requests: u64,
    /// Of each request.
    pub headers: Option<HeaderMap>,
    /// The body of a request that no worker can serve, in place of number `n`'s.
    pub bad: fn(usize) -> Option<Vec<u8>>,
}

/// How fast all connections together ask.
#[derive(Clone, Copy)]
pub enum Pace {
    /// So many requests a second, whatever becomes of them.
    Rate(f64),
    /// As fast as can be, with so many unanswered.
    Window(u64),
}

impl Plan {
    pub fn new(pace: Pace) -> Self {
        let bad = poison::none;
        Self { connections: 2, pace, requests: u64::MAX, headers: None, bad }
    }

    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }
}

/// How far the load is.
pub struct Progress {
    pub began: Instant,
    pub stop: AtomicBool,
    pub sent: AtomicU64,
    pub ok: AtomicU64,
    pub answered: AtomicU64,
    /// When the youngest request was sent that has an action, in µs since it began.
    pub youngest: AtomicU64,
    /// When the last action came, and the longest time without one, in µs.
    pub last: AtomicU64,
    pub gap: AtomicU64,
}

pub struct Load {
    pub progress: Arc<Progress>,
    simulators: Vec<JoinHandle<Verdict>>,
}

impl Progress {
    /// An action came, for a request of that moment.
    pub fn served(&self, sent: Duration, now: Duration) {
        let (sent, now) = (sent.as_micros() as u64, now.as_micros() as u64);
        self.ok.fetch_add(1, Ordering::Relaxed);
        self.youngest.fetch_max(sent, Ordering::Relaxed);
        let last = self.last.fetch_max(now, Ordering::Relaxed);
        self.gap.fetch_max(now.saturating_sub(last), Ordering::Relaxed);
    }
}

impl Load {
    /// # Errors
    /// There is no broker at `url`.
    pub async fn start(url: &str, plan: Plan) -> Result<Self, String> {
        let progress = Arc::new(Progress {
            began: Instant::now(),
            stop: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            ok: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            youngest: AtomicU64::new(0),
            last: AtomicU64::new(0),
            gap: AtomicU64::new(0),
        });
        let mut simulators = Vec::new();
        for connection in 0..plan.connections {
            let simulator = Simulator::connect(url, plan.clone(), connection, progress.clone());
            let simulator = simulator.await.map_err(|error| format!("{url}: {error}"))?;
            simulators.push(tokio::spawn(simulator.run()));
        }
        Ok(Self { progress, simulators })
    }

    pub fn sent(&self) -> u64 {
        self.progress.sent.load(Ordering::Relaxed)
    }

    pub fn ok(&self) -> u64 {
        self.progress.ok.load(Ordering::Relaxed)
    }

    pub fn elapsed(&self) -> Duration {
        self.progress.began.elapsed()
    }

    /// From now on the longest time without an action is looked for anew.
    pub fn forget_gap(&self) {
        self.progress.gap.store(0, Ordering::Relaxed);
    }

    pub fn gap(&self) -> Duration {
        Duration::from_micros(self.progress.gap.load(Ordering::Relaxed))
    }

    pub fn is_over(&self) -> bool {
        self.simulators.iter().all(JoinHandle::is_finished)
    }

    /// Waits until a request that is sent from now on has an action; how long that took.
    ///
    /// # Errors
    /// There is none within `patience`.
    pub async fn recover(&self, patience: Duration) -> Result<Duration, String> {
        let now = self.elapsed();
        let is_younger = || self.progress.youngest.load(Ordering::Relaxed) > now.as_micros() as u64;
        self.wait(is_younger, patience).await?;
        Ok(self.elapsed() - now)
    }

    /// Waits until so many more requests have got their action.
    ///
    /// # Errors
    /// They have not within `patience`.
    pub async fn serve(&self, requests: u64, patience: Duration) -> Result<(), String> {
        let goal = self.ok() + requests;
        self.wait(|| self.ok() >= goal, patience).await
    }

    async fn wait(&self, condition: impl Fn() -> bool, patience: Duration) -> Result<(), String> {
        let wait = async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let waited = tokio::time::timeout(patience, wait).await;
        let (ok, sent) = (self.ok(), self.sent());
        waited.map_err(|_| format!("no more actions for {patience:?}: {ok} of {sent}"))
    }

    /// Sends no more, hears the rest, and judges.
    pub async fn finish(self) -> Verdict {
        self.progress.stop.store(true, Ordering::Relaxed);
        let mut verdict = Verdict::default();
        for simulator in self.simulators {
            verdict.add(simulator.await.expect("a simulator does not panic"));
        }
        verdict
    }
}
