//! A worker's life: waiting for the broker, its restart, drains, a device that dies.

use std::{sync::atomic::Ordering, time::Duration};

use carla_rl::{failure::Failure, settings::Servers, wire::State};

use crate::{
    broken::broken,
    support::{INFER, Native, PATIENCE, TestBroker, action, ask, error_of, observation, until},
};

#[tokio::test]
async fn a_worker_waits_for_a_broker_that_is_not_there_yet() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let mut worker = broker.worker().start_early();
    worker.reach(State::Starting).await;
    broker.server.restart().unwrap();
    worker.reach(State::Ready).await;
    let values = observation(1);
    action(&broker.client().await, &Native::one(&values)).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_broker_that_does_not_come_is_given_up_with_its_own_exit_code() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let builder = broker.worker().with(|w| w.nats.connect_timeout = Some(Duration::from_millis(1)));
    let failure = builder.start_early().join().await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
    assert_eq!(failure.exit_code(), 75);
    assert!(failure.to_string().contains(&broker.server.url()), "{failure}");
}

#[tokio::test]
async fn a_worker_that_waits_for_the_broker_can_be_stopped() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let worker = broker.worker().start_early();
    assert_eq!(worker.drain().await.received, 0);
}

#[tokio::test]
async fn a_worker_survives_the_restart_of_its_broker_and_leaves_without_loss_afterwards() {
    let mut broker = TestBroker::start();
    let mut worker = broker.worker().start().await;
    let values = observation(1);
    for _ in 0..50 {
        action(&broker.client().await, &Native::one(&values)).await;
    }
    for _ in 0..2 {
        broker.server.kill();
        worker.reach(State::Starting).await;
        broker.server.restart().unwrap();
        worker.reach(State::Ready).await;
        action(&broker.client().await, &Native::one(&values)).await;
    }
    let stopped = worker.drain().await;
    assert_eq!((stopped.received, stopped.answered["ok"]), (52, 52));
}

#[tokio::test]
async fn a_worker_whose_broker_is_gone_stops_without_waiting_for_it() {
    let mut broker = TestBroker::start();
    let hour = Duration::from_secs(3600);
    let mut worker = broker.worker().with(|worker| worker.drain_timeout = hour).start().await;
    broker.server.kill();
    worker.reach(State::Starting).await;
    let stopped = tokio::time::timeout(PATIENCE, worker.drain()).await;
    assert_eq!(stopped.expect("it does not wait for the broker").received, 0);
}

#[tokio::test]
async fn a_drain_answers_what_was_taken_before_it_ends() {
    let broker = TestBroker::start();
    let (mut worker, gate) = broker.worker().start_gated().await;
    let client = broker.client().await;
    let asking = (0..40).map(|i| {
        let client = client.clone();
        tokio::spawn(async move { action(&client, &Native::one(&observation(i))).await })
    });
    let asking: Vec<_> = asking.collect();
    until("the device has one", || !gate.batches().is_empty()).await;
    worker.stop();
    worker.reach(State::Draining).await;
    gate.open();
    for reply in asking {
        tokio::time::timeout(PATIENCE, reply).await.unwrap().unwrap();
    }
    let stopped = worker.join().await.unwrap();
    assert_eq!((stopped.received, stopped.answered["ok"]), (40, 40));
}

#[tokio::test]
async fn what_a_drain_can_not_finish_in_time_is_told_so() {
    let broker = TestBroker::start();
    let (worker, gate) =
        broker.worker().with(|worker| worker.drain_timeout = Duration::ZERO).start_gated().await;
    let client = broker.client().await;
    let body: bytes::Bytes = Native::one(&observation(1)).encode().into();
    let asking: Vec<_> = (0..3)
        .map(|_| {
            tokio::spawn({
                let (client, body) = (client.clone(), body.clone());
                async move { client.request(INFER, body).await }
            })
        })
        .collect();
    until("the device has one", || !gate.batches().is_empty()).await;
    // An error is answered at once, so its answer says that all before it were taken.
    error_of(&ask(&client, vec![]).await);
    worker.stop();
    for reply in asking {
        let reply = tokio::time::timeout(PATIENCE, reply).await.unwrap().unwrap().unwrap();
        assert_eq!(error_of(&reply)["error"]["code"], "draining");
        assert_eq!(reply.headers.unwrap().get("Nats-Service-Error-Code").unwrap().as_str(), "503");
    }
    assert_eq!(worker.join().await.unwrap().answered["draining"], 3);
}

#[tokio::test]
async fn with_no_worker_left_the_broker_says_so_at_once() {
    let broker = TestBroker::start();
    broker.worker().start().await.drain().await;
    let client = broker.client().await;
    for subject in [INFER, "policy.v1.spec.lane-keeping"] {
        let error = client.request(subject, "".into()).await.unwrap_err();
        assert_eq!(error.kind(), async_nats::RequestErrorKind::NoResponders, "{subject}");
    }
}

#[tokio::test]
async fn a_forward_pass_that_fails_is_an_internal_error_and_the_worker_lives_on() {
    let broker = TestBroker::start();
    let (worker, switch) = broken(&broker, false).await;
    let client = broker.client().await;
    let values = observation(1);
    switch.store(true, Ordering::Relaxed);
    let reply = ask(&client, Native::one(&values).encode()).await;
    assert_eq!(error_of(&reply)["error"]["code"], "internal");
    switch.store(false, Ordering::Relaxed);
    action(&client, &Native::one(&values)).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_device_that_fails_every_batch_answers_them_and_ends_the_worker_as_a_defect() {
    let broker = TestBroker::start();
    let (worker, switch) = broken(&broker, false).await;
    let client = broker.client().await;
    switch.store(true, Ordering::Relaxed);
    for _ in 0..8 {
        let reply = ask(&client, Native::one(&observation(1)).encode()).await;
        assert_eq!(error_of(&reply)["error"]["code"], "internal");
    }
    assert_eq!(worker.join().await.unwrap_err().exit_code(), 70);
}

#[tokio::test]
async fn a_broken_device_is_a_defect_even_if_the_broker_goes_before_the_worker_has() {
    let mut broker = TestBroker::start();
    let (worker, switch) = broken(&broker, true).await;
    let client = broker.client().await;
    switch.store(true, Ordering::Relaxed);
    let reply = ask(&client, Native::one(&observation(1)).encode()).await;
    assert_eq!(error_of(&reply)["error"]["code"], "internal");
    broker.server.kill();
    assert_eq!(worker.join().await.unwrap_err().exit_code(), 70);
}

#[tokio::test]
async fn a_user_and_password_in_the_address_log_in() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "se@cret"]);
    let login = format!("nats://ann:se%40cret@127.0.0.1:{}", broker.server.port);
    let login: Servers = login.parse().unwrap();
    broker.worker().with(|worker| worker.nats.servers = login).start().await.drain().await;
}

#[tokio::test]
async fn a_worker_that_may_not_subscribe_ends_as_badly_configured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let deny = "authorization { users: [{ user: w, password: x, permissions: { subscribe: { deny: \"policy.>\" } } }] }";
    std::fs::write(file.path(), deny).unwrap();
    let broker = TestBroker::start_with(&["--config", file.path().to_str().unwrap()]);
    let login: Servers = format!("nats://w:x@127.0.0.1:{}", broker.server.port).parse().unwrap();
    let worker = broker.worker().with(|worker| worker.nats.servers = login).start_early();
    let failure = worker.join().await.unwrap_err();
    assert_eq!(failure.exit_code(), 78, "{failure}");
    assert!(failure.to_string().contains("policy.v1.infer.lane-keeping"), "{failure}");
}

#[tokio::test]
async fn a_flood_does_not_keep_a_worker_from_stopping() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;
    let flood = tokio::spawn(async move {
        loop {
            client.publish(INFER, "".into()).await.unwrap();
        }
    });
    let stopped = tokio::time::timeout(PATIENCE, worker.drain()).await;
    let stopped = stopped.expect("it stops while the flood goes on");
    assert!(!flood.is_finished());
    flood.abort();
    assert_eq!(stopped.ignored, stopped.received);
}

#[tokio::test]
async fn a_policy_that_panics_answers_its_batch_and_ends_the_worker_as_a_defect() {
    let broker = TestBroker::start();
    let (worker, switch) = broken(&broker, true).await;
    let client = broker.client().await;
    switch.store(true, Ordering::Relaxed);
    let reply = ask(&client, Native::one(&observation(1)).encode()).await;
    assert_eq!(error_of(&reply)["error"]["code"], "internal");
    let failure = worker.join().await.unwrap_err();
    assert_eq!(failure.exit_code(), 70, "{failure}");
}
