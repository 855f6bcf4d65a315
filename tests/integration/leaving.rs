//! Leaving the queue group loses nothing.

use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt;

use crate::{
    load::Load,
    support::{INFER, Native, TestBroker, observation},
};

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
            assert_eq!(heard_of_a_burst(&client, subject, 5_000).await, 5_000, "{subject}");
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
