//! Who may do what in a secured pool.

use carla_rl::nats::{Connection, Link, round_trip};
use futures_util::StreamExt;

use super::site::{Site, forbidden};
use crate::{
    command_line::json,
    support::{INFER, MODEL, Native, PATIENCE, action, ask, error_of, observation, spec, until},
};

const HEALTH: &str = "policy.v1.health.lane-keeping.w1";
const METRICS: &str = "policy.v1.metrics.lane-keeping.w1";

#[tokio::test]
async fn a_worker_serves_a_simulator_and_leaves_without_loss() {
    let site = Site::start();
    let worker = site.worker().start().await;
    let simulator = site.client("simulator").await;
    assert_eq!(spec(&simulator).await.model, MODEL);
    let values = observation(1);
    action(&simulator, &Native::one(&values)).await;
    assert_eq!(error_of(&ask(&simulator, vec![]).await)["error"]["code"], "malformed");
    let stopped = worker.drain().await;
    assert_eq!((stopped.received, stopped.answered["ok"]), (2, 1));
}

#[tokio::test]
async fn a_fleet_drives_in_a_secured_pool() {
    let site = Site::start();
    let worker = site.worker().start().await;
    let arguments = ["fleet", "--vehicles", "4", "--duration", "500ms", "--json"];
    let mut fleet = site.program("simulator", &arguments);
    let output = tokio::task::spawn_blocking(move || fleet.output().unwrap()).await.unwrap();
    let summary = json(&output);
    assert_eq!((&summary["errors"], &summary["unanswered"]), (&0.into(), &0.into()));
    assert!(summary["replies"].as_u64().unwrap() > 0);
    worker.drain().await;
}

/// The broker ends the subscription at a count; what was delivered through it may be answered on.
#[tokio::test]
async fn replies_are_let_through_after_the_subscription_has_ended() {
    let site = Site::start();
    let (worker, gate) = site.worker().start_gated().await;
    let simulator = site.client("simulator").await;
    let asking = (0..40).map(|i| {
        let simulator = simulator.clone();
        tokio::spawn(async move { action(&simulator, &Native::one(&observation(i))).await })
    });
    let asking: Vec<_> = asking.collect();
    until("the device has one", || !gate.batches().is_empty()).await;
    worker.stop();
    // What can't be read is answered before the gate, and brings the count at which it ends nearer.
    while simulator.request(INFER, "".into()).await.is_ok() {}
    gate.open();
    for reply in asking {
        tokio::time::timeout(PATIENCE, reply).await.unwrap().unwrap();
    }
    assert_eq!(worker.join().await.unwrap().answered["ok"], 40);
}

#[tokio::test]
async fn an_observer_hears_what_a_worker_may_report() {
    let site = Site::start();
    let observer = site.client("observer").await;
    let mut health = observer.subscribe("policy.v1.health.>").await.unwrap();
    let mut metrics = observer.subscribe("policy.v1.metrics.>").await.unwrap();
    let worker = site.client("worker").await;
    let mut services = worker.subscribe("$SRV.PING").await.unwrap();
    round_trip(&worker).await.unwrap();

    // Its request comes behind its subscriptions, so the broker knows them when the worker hears it.
    let asked = tokio::spawn(async move { observer.request("$SRV.PING", "".into()).await });
    let request = services.next().await.unwrap();
    for subject in [HEALTH, METRICS] {
        worker.publish(subject, "fine".into()).await.unwrap();
    }
    worker.publish(request.reply.unwrap(), "here".into()).await.unwrap();
    assert_eq!(asked.await.unwrap().unwrap().payload, "here");
    assert_eq!(health.next().await.unwrap().subject.as_str(), HEALTH);
    assert_eq!(metrics.next().await.unwrap().subject.as_str(), METRICS);
}

#[tokio::test]
async fn nobody_hears_what_is_not_meant_for_its_role() {
    let site = Site::start();
    for (role, subjects) in [
        ("worker", [INFER, "policy.v1.infer.>", HEALTH, "_INBOX_simulator.>", ">"]),
        ("simulator", [INFER, HEALTH, METRICS, "_INBOX_worker.>", "_INBOX.>"]),
        ("observer", [INFER, "$SRV.PING", "_INBOX_simulator.>", "_INBOX_worker.>", ">"]),
    ] {
        let mut connection = site.connect(role).await;
        for subject in subjects {
            let _subscription = connection.client.subscribe(subject).await.unwrap();
            let Link::Refused(told) = forbidden(&mut connection).await else {
                panic!("{role} may hear {subject}")
            };
            assert!(told.contains(&format!("\"{subject}\"")), "{role} {subject}: {told}");
        }
    }
}

#[tokio::test]
async fn nobody_joins_a_group_that_is_not_its_own() {
    let site = Site::start();
    for (role, group) in [("worker", "spies"), ("simulator", MODEL), ("observer", MODEL)] {
        let mut connection = site.connect(role).await;
        let joined = connection.client.queue_subscribe(INFER, group.into()).await;
        let link = forbidden(&mut connection).await;
        assert!(matches!(&link, Link::Refused(told) if told.contains(INFER)), "{role}: {link:?}");
        drop(joined);
    }
}

#[tokio::test]
async fn nobody_says_what_is_not_for_its_role_to_say() {
    let site = Site::start();
    let (inbox, service) = ("_INBOX_simulator.1", "$SRV.PING");
    for (role, subjects) in [
        ("worker", [INFER, inbox, service, "policy.v1.health.other-model.w1"]),
        ("simulator", [HEALTH, METRICS, inbox, "_INBOX_worker.1"]),
        ("observer", [INFER, HEALTH, METRICS, inbox]),
    ] {
        let mut connection = site.connect(role).await;
        for subject in subjects {
            connection.client.publish(subject, "".into()).await.unwrap();
            assert_denied(&mut connection, subject).await;
        }
    }
}

#[tokio::test]
async fn a_request_can_be_answered_once() {
    let site = Site::start();
    let mut worker = site.connect("worker").await;
    let mut requests = worker.client.queue_subscribe(INFER, MODEL.into()).await.unwrap();
    round_trip(&worker.client).await.unwrap();
    let simulator = site.client("simulator").await;
    let asked = tokio::spawn(async move { simulator.request(INFER, "".into()).await });
    let inbox = requests.next().await.unwrap().reply.unwrap();
    for answer in ["first", "second"] {
        worker.client.publish(inbox.clone(), answer.into()).await.unwrap();
    }
    assert_eq!(asked.await.unwrap().unwrap().payload, "first");
    assert_denied(&mut worker, &inbox).await;
}

/// What the broker remembers of a request, it remembers with the connection.
#[tokio::test]
async fn a_request_of_a_connection_that_is_gone_can_not_be_answered() {
    let site = Site::start();
    let mut worker = site.connect("worker").await;
    let mut requests = worker.client.queue_subscribe(INFER, MODEL.into()).await.unwrap();
    round_trip(&worker.client).await.unwrap();
    let simulator = site.client("simulator").await;
    let asked = tokio::spawn(async move { simulator.request(INFER, "".into()).await });
    let inbox = requests.next().await.unwrap().reply.unwrap();
    worker.client.force_reconnect().await.unwrap();
    // The first connection, and the second one.
    for _ in 0..2 {
        while worker.events.recv().await.unwrap() != Link::Up {}
    }
    worker.client.publish(inbox.clone(), "late".into()).await.unwrap();
    assert_denied(&mut worker, &inbox).await;
    asked.abort();
}

async fn assert_denied(connection: &mut Connection, subject: &str) {
    let link = forbidden(connection).await;
    assert!(matches!(&link, Link::Denied(told) if told.contains(subject)), "{subject}: {link:?}");
}
