//! Simulators that each keep one request open.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::Client;
use futures_util::StreamExt;

use crate::support::{INFER, Native, observation, until};

/// Simulators that each keep one request open, on one connection, until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Outcome>,
}

#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub actions: u64,
    pub errors: u64,
    pub unanswered: u64,
}

impl Load {
    pub fn start(client: Client, simulators: usize) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn(drive(client, simulators, stop.clone(), asked.clone()));
        Self { stop, asked, task }
    }

    /// Waits until so many more requests have been sent.
    pub async fn after(&self, requests: u64) {
        let goal = self.asked.load(Ordering::Relaxed) + requests;
        until("the load goes on", || self.asked.load(Ordering::Relaxed) >= goal).await;
    }

    pub async fn finish(self) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

/// Each reply is followed by that simulator's next request. A simulator whose request is lost
/// falls silent, and counts as unanswered at the end.
async fn drive(
    client: Client,
    simulators: usize,
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
) -> Outcome {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
    let values = observation(1);
    let body: bytes::Bytes = Native::one(&values).encode().into();
    let mut open = 0;
    let mut outcome = Outcome::default();
    for simulator in 0..simulators {
        let reply = format!("{inbox}.{simulator}");
        client.publish_with_reply(INFER, reply, body.clone()).await.unwrap();
        asked.fetch_add(1, Ordering::Relaxed);
        open += 1;
    }
    while open > 0 {
        let Ok(reply) = tokio::time::timeout(Duration::from_secs(5), replies.next()).await else {
            break;
        };
        let message = reply.expect("the connection stays");
        match message.headers {
            None => outcome.actions += 1,
            Some(_) => outcome.errors += 1,
        }
        open -= 1;
        if !stop.load(Ordering::Relaxed) {
            client.publish_with_reply(INFER, message.subject, body.clone()).await.unwrap();
            asked.fetch_add(1, Ordering::Relaxed);
            open += 1;
        }
    }
    Outcome { unanswered: open, ..outcome }
}
