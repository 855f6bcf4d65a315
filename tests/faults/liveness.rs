//! Whether a worker's liveness probe says 200 all the time.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{interval, timeout},
};

use crate::process::get;

pub struct Liveness {
    dead: Arc<AtomicU64>,
    probe: JoinHandle<()>,
}

impl Liveness {
    /// Asks ten times a second, with a probe's patience.
    pub fn watch(http: SocketAddr) -> Self {
        let dead = Arc::<AtomicU64>::default();
        let counted = dead.clone();
        let probe = tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(100));
            loop {
                tick.tick().await;
                let answer = timeout(Duration::from_secs(2), get(http, "/livez")).await;
                let is_alive = matches!(answer, Ok(Ok((200, _))));
                counted.fetch_add(u64::from(!is_alive), Ordering::Relaxed);
            }
        });
        Self { dead, probe }
    }

    /// How often it was not.
    pub fn dead(&self) -> u64 {
        self.dead.load(Ordering::Relaxed)
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        self.probe.abort();
    }
}
