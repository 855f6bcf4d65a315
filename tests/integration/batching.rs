//! Requests of many clients become batches.

use std::time::Duration;

use async_nats::Client;
use carla_rl::wire::State;
use futures_util::{StreamExt, future::join_all};

use crate::support::{
    INFER, Native, PATIENCE, TestBroker, action, assert_close, error_of, expected, observation,
    read, send, until,
};

#[tokio::test]
async fn what_arrives_while_the_device_is_busy_becomes_one_batch_of_many_clients() {
    let broker = TestBroker::start();
    let (worker, gate) = broker.worker().start_gated().await;
    let clients = join_all((0..8).map(|_| broker.client())).await;
    let first = tokio::spawn(ask_one(clients[0].clone(), 0));
    until("the device has the first", || gate.batches() == [1]).await;
    let waiting: Vec<_> =
        clients.iter().enumerate().map(|(i, c)| tokio::spawn(ask_one(c.clone(), i))).collect();
    // An error is answered at once, behind whatever came before on the same connection.
    for client in &clients {
        client.flush().await.unwrap();
        error_of(&client.request(INFER, "".into()).await.unwrap());
    }
    gate.open();
    first.await.unwrap();
    for reply in join_all(waiting).await {
        assert_eq!(reply.unwrap(), 8, "all eight were in one batch");
    }
    assert_eq!(gate.batches(), [1, 8]);
    worker.drain().await;
}

/// Sends observation `i`, checks its action, and returns the size of its batch.
async fn ask_one(client: Client, i: usize) -> usize {
    let values = observation(i);
    let reply = action(&client, &Native::one(&values)).await;
    assert_close(&reply.action.f32s(), &expected(&values));
    reply.batch_rows
}

#[tokio::test]
async fn no_batch_is_larger_than_the_limit_and_large_requests_are_put_together_again() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.batch_rows = 4);
    let (worker, gate) = builder.start_gated().await;
    gate.open();
    let client = broker.client().await;
    let rows: Vec<f32> = (0..11).flat_map(observation).collect();
    let reply = action(&client, &Native::rows(&rows)).await;
    assert_eq!(reply.action.shape, [11, 3]);
    assert_close(&reply.action.f32s(), &expected(&rows));
    assert_eq!(gate.batches(), [4, 4, 3]);
    worker.drain().await;
}

#[tokio::test]
async fn a_delay_waits_for_company_and_a_full_batch_does_not() {
    let broker = TestBroker::start();
    let hour = Duration::from_secs(3600);
    let builder = broker.worker().with(|worker| {
        worker.batch.batch_rows = 3;
        worker.batch.max_delay = hour;
    });
    let worker = builder.start().await;
    let client = broker.client().await;
    let batches = join_all((0..3).map(|i| ask_one(client.clone(), i))).await;
    assert_eq!(batches, [3, 3, 3]);
    // One more would wait for an hour, were it not that a worker that drains waits for nobody.
    let last = tokio::spawn(ask_one(client.clone(), 3));
    error_of(&client.request(INFER, "".into()).await.unwrap());
    let stopped = worker.drain().await;
    assert_eq!(last.await.unwrap(), 1);
    assert_eq!(stopped.answered["ok"], 4);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_serves_what_it_took() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| {
        worker.batch.queue_rows = 4;
        worker.batch.batch_rows = 2;
    });
    let (worker, gate) = builder.start_gated().await;
    let client = broker.client().await;
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
    let send = |i: usize| {
        let body = Native::one(&observation(i)).encode();
        client.publish_with_reply(INFER, format!("{inbox}.{i}"), body.into())
    };
    send(0).await.unwrap();
    until("the device has the first", || gate.batches() == [1]).await;
    for i in 1..10 {
        send(i).await.unwrap();
    }
    // Four fit the queue; the five behind them are refused while the device still stands.
    for i in 5..10 {
        let reply = tokio::time::timeout(PATIENCE, replies.next()).await.unwrap().unwrap();
        let error = error_of(&reply);
        assert_eq!(error["error"]["code"], "overloaded");
        assert!(error["error"]["retry_after_ms"].as_u64().unwrap() >= 1);
        assert!(reply.subject.ends_with(&format!(".{i}")));
    }
    gate.open();
    for i in 0..5 {
        let reply = tokio::time::timeout(PATIENCE, replies.next()).await.unwrap().unwrap();
        assert!(reply.subject.ends_with(&format!(".{i}")), "in the order of arrival");
        assert_close(&read(&reply).action.f32s(), &expected(&observation(i)));
    }
    assert_eq!(gate.batches(), [1, 2, 2]);
    let stopped = worker.drain().await;
    assert_eq!((stopped.answered["ok"], stopped.answered["overloaded"]), (5, 5));
}

#[tokio::test]
async fn two_workers_share_the_requests_of_a_pool_and_each_gets_one_answer() {
    let broker = TestBroker::start();
    let (one, two) = (broker.worker().start().await, broker.worker().start().await);
    let client = broker.client().await;
    for round in 0..20 {
        let batches = join_all((0..16).map(|i| ask_one(client.clone(), round * 16 + i))).await;
        assert_eq!(batches.len(), 16);
    }
    let (one, two) = (one.drain().await, two.drain().await);
    assert_eq!(one.received + two.received, 320);
    // Of 320 fair coins all fall on one side once in 2^319 runs.
    assert!(one.received > 0 && two.received > 0);
}

#[tokio::test]
async fn a_worker_that_stays_full_leaves_the_requests_to_others_until_it_has_room_again() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.queue_rows = 4);
    let (mut worker, gate) = builder.start_gated().await;
    let client = broker.client().await;
    let body = Native::one(&observation(1)).encode();
    let held = send(&client, INFER, body.clone()).await;
    until("the device has one", || gate.batches() == [1]).await;
    let mut waiting = Vec::new();
    for _ in 0..4 {
        waiting.push(send(&client, INFER, body.clone()).await);
    }
    worker.reach(State::Saturated).await;
    until("it has left the queue group", || !worker.vitals.is_subscribed()).await;
    let nobody = client.request(INFER, body.into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    gate.open();
    read(&held.await);
    for reply in waiting {
        read(&reply.await);
    }
    worker.reach(State::Ready).await;
    action(&client, &Native::one(&observation(1))).await;
    assert_eq!(worker.drain().await.answered["ok"], 6);
}

#[tokio::test]
async fn a_full_worker_does_not_join_again_only_because_its_broker_is_back() {
    let mut broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.queue_rows = 4);
    let (mut worker, gate) = builder.start_gated().await;
    let client = broker.client().await;
    let body = Native::one(&observation(1)).encode();
    let _held = send(&client, INFER, body.clone()).await;
    until("the device has one", || gate.batches() == [1]).await;
    for _ in 0..4 {
        drop(send(&client, INFER, body.clone()).await);
    }
    worker.reach(State::Saturated).await;
    until("it has left the queue group", || !worker.vitals.is_subscribed()).await;
    broker.server.kill();
    worker.reach(State::Starting).await;
    broker.server.restart().unwrap();
    worker.reach(State::Saturated).await;
    let nobody = broker.client().await.request(INFER, body.into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    gate.open();
    worker.reach(State::Ready).await;
    worker.drain().await;
}
