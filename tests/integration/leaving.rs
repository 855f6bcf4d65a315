//! Leaving the queue group loses nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::Client;
use futures_util::StreamExt;

use crate::support::{INFER, Native, TestBroker, observation, until};

/// Simulators that each keep one request open, on one connection, until they are told to stop.
struct Load {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Outcome>,
}

#[derive(Debug, Default, PartialEq)]
struct Outcome {
    actions: u64,
    errors: u64,
    unanswered: u64,
}

impl Load {
    fn start(client: Client, simulators: usize) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn(drive(client, simulators, stop.clone(), asked.clone()));
        Self { stop, asked, task }
    }

    /// Waits until so many more requests have been sent.
    async fn after(&self, requests: u64) {
        let goal = self.asked.load(Ordering::Relaxed) + requests;
        until("the load goes on", || self.asked.load(Ordering::Relaxed) >= goal).await;
    }

    async fn finish(self) -> Outcome {
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

#[tokio::test]
async fn workers_that_come_and_go_under_load_leave_nothing_unanswered() {
    let broker = TestBroker::start();
    let steady = broker.worker().start().await;
    let load = Load::start(broker.client().await, 256);
    for _ in 0..5 {
        let passing = broker.worker().start().await;
        load.after(2_000).await;
        let stopped = passing.drain().await;
        assert!(stopped.received > 0, "it had its share");
        assert_eq!(stopped.answered.keys().collect::<Vec<_>>(), [&"ok"]);
        assert_eq!(stopped.answered["ok"], stopped.received);
    }
    let outcome = load.finish().await;
    assert_eq!((outcome.errors, outcome.unanswered), (0, 0), "{outcome:?}");
    steady.drain().await;
}

#[tokio::test]
async fn the_last_worker_answers_what_it_took_and_the_rest_hears_that_nobody_is_there() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let load = Load::start(broker.client().await, 64);
    load.after(2_000).await;
    let stopped = worker.drain().await;
    let outcome = load.finish().await;
    assert_eq!(outcome.actions, stopped.received);
    assert_eq!(outcome.unanswered, 0, "{outcome:?}");
}

/// Requests with a reply, an error or the broker's word that nobody is there, of a burst of as many
/// as `bodies` while `worker` leaves.
async fn heard_of_a_burst(client: &Client, subject: &'static str, bodies: usize) -> usize {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    let values = observation(1);
    let body: bytes::Bytes = Native::one(&values).encode().into();
    for _ in 0..bodies {
        client.publish_with_reply(subject, inbox.clone(), body.clone()).await.unwrap();
    }
    let mut heard = 0;
    while heard < bodies
        && tokio::time::timeout(Duration::from_secs(5), replies.next()).await.is_ok()
    {
        heard += 1;
    }
    heard
}

#[tokio::test]
async fn a_first_burst_at_the_moment_of_leaving_is_answered() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    for subject in [INFER, "policy.v1.spec.lane-keeping"] {
        for _ in 0..3 {
            let worker = broker.worker().start().await;
            worker.stop();
            assert_eq!(heard_of_a_burst(&client, subject, 500).await, 500, "{subject}");
            worker.join().await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_idle_worker_leaves_without_a_request_to_count() {
    let broker = TestBroker::start();
    let stopped = broker.worker().start().await.drain().await;
    assert_eq!(stopped.received, 0);
}
