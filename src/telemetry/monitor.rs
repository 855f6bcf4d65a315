//! The thread that tells the world how the worker is. It has a runtime and a connection of its own,
//! so that it goes on telling while the device computes and when the serving thread is stuck.

use std::{
    net::{TcpListener, ToSocketAddrs},
    sync::{Arc, OnceLock, mpsc},
    time::Duration,
};

use tokio::{
    sync::{oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    desk::Desk,
    http, probes, reports,
    supervisor::Supervisor,
    vitals::{TURN, Vitals},
};
use crate::{failure::Failure, settings};

/// Between two looks at what was recorded.
const UPKEEP: Duration = Duration::from_secs(1);
/// Between two words to a supervisor that has no watchdog.
const WORD: Duration = Duration::from_secs(1);
/// How long the end waits for the last health message.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A running monitor.
pub struct Monitor {
    http: String,
    serve: Option<oneshot::Sender<(Arc<Desk>, Option<settings::Nats>)>>,
    desk: Arc<OnceLock<Arc<Desk>>>,
    stop: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
    talks: bool,
}

impl Monitor {
    /// Listens at `server`; with `None` there is neither HTTP nor a word over NATS.
    ///
    /// # Errors
    /// [`Failure::Configuration`]: the port is taken, or the address is not ours.
    pub fn start(server: Option<&settings::Server>) -> Result<Self, Failure> {
        let listener = server.map(listen).transpose()?;
        let address = listener.as_ref().and_then(|listener| listener.local_addr().ok());
        let http = address.map(|address| address.to_string()).unwrap_or_default();
        if !http.is_empty() {
            tracing::info!(http, "probes and metrics");
        }
        let (serve, served) = oneshot::channel();
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = mpsc::channel();
        let desk = Arc::new(OnceLock::new());
        let talks = listener.is_some();
        let at = desk.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Defect(error.to_string()))?;
        let run = move || {
            runtime.block_on(run(listener, at, served, stopped));
            // The process may be gone by now.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("monitor".into()).spawn(run);
        thread.map_err(|error| Failure::Defect(format!("no thread for the monitor: {error}")))?;
        Ok(Self { http, serve: Some(serve), desk, stop, ended, talks })
    }

    /// Where HTTP is answered, `host:port`; empty if it isn't.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// From now on there is a worker to tell of.
    pub fn watch(&mut self, vitals: Arc<Vitals>, nats: &settings::Nats) {
        let Some(serve) = self.serve.take() else { return };
        let desk = Arc::new(Desk::new(vitals, self.http.clone()));
        // Set once, together with `serve`, whose receiver lives as long as the thread.
        let _ = self.desk.set(desk.clone());
        let _ = serve.send((desk, self.talks.then(|| nats.clone())));
    }

    /// Tells the last state, and ends.
    pub fn stop(self) {
        self.stop.send_replace(true);
        if self.ended.recv_timeout(LAST_WORDS).is_err() {
            tracing::warn!("the last health message may be lost");
        }
    }
}

async fn run(
    listener: Option<TcpListener>,
    desk: Arc<OnceLock<Arc<Desk>>>,
    served: oneshot::Receiver<(Arc<Desk>, Option<settings::Nats>)>,
    mut stopped: watch::Receiver<bool>,
) {
    if let Some(listener) = listener {
        tokio::spawn(async move {
            let serving = http::serve(listener, move |path| probes::answer(path, &desk));
            if let Err(error) = serving.await {
                tracing::error!(%error, "no probes and metrics over HTTP");
            }
        });
    }
    let stop = stopped.clone();
    let watched = tokio::select! {
        watched = served => watched,
        _ = stopped.wait_for(|stop| *stop) => return,
    };
    // The other end is gone only if the worker did not come to live.
    let Ok((desk, nats)) = watched else { return };
    tokio::spawn(keep_up(desk.clone()));
    tokio::spawn(supervise(desk.clone()));
    if let Some(nats) = nats {
        // On its own, lest a defect there ends all that is here.
        let _ = tokio::spawn(async move { reports::publish(&desk, nats, stop).await }).await;
    }
    // Its sender lives in the monitor.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn keep_up(desk: Arc<Desk>) {
    let (mut upkeep, mut turn) = (interval(UPKEEP), interval(TURN));
    for tick in [&mut upkeep, &mut turn] {
        // After a pause, turns in a row would forget all that there was before.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            _ = upkeep.tick() => desk.upkeep(),
            _ = turn.tick() => desk.vitals.turn(),
        }
    }
}

async fn supervise(desk: Arc<Desk>) {
    let mut tick = interval(Supervisor::watchdog().unwrap_or(WORD).min(WORD));
    let mut states = desk.vitals.states();
    let mut supervisor = Supervisor::default();
    loop {
        supervisor.tell(&desk.vitals);
        tokio::select! {
            _ = tick.tick() => {}
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}

fn listen(server: &settings::Server) -> Result<TcpListener, Failure> {
    let settings::Server { host, port } = server;
    let wrong = |error: std::io::Error| Failure::Configuration(said(host, *port, &error));
    let addresses: Vec<_> = (host.as_str(), *port).to_socket_addrs().map_err(wrong)?.collect();
    let listener = TcpListener::bind(addresses.as_slice()).map_err(wrong)?;
    listener.set_nonblocking(true).map_err(wrong)?;
    Ok(listener)
}

fn said(host: &str, port: u16, error: &std::io::Error) -> String {
    let hint = match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            ": another worker? Give this one another port, or 0 for any free one"
        }
        std::io::ErrorKind::PermissionDenied => ": ports below 1024 are the system's",
        _ => "",
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("can't listen at {host}:{port}: {error}{hint} (server.host, server.port)")
}
