//! Health, metrics and the services API of a worker, as others see them.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use async_nats::{Client, Subscriber};
use carla_rl::{
    telemetry::names,
    wire::{Health, Snapshot, State},
};
use futures_util::StreamExt;
use serde_json::Value;

use crate::{
    broken::broken,
    support::{
        DIM, INFER, MODEL, Native, PATIENCE, TestBroker, action, ask, error_of, observation, until,
    },
    watched::{Watched, of_model, value},
};

async fn next_health(messages: &mut Subscriber) -> Health {
    let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
    serde_json::from_slice(&message.payload).unwrap()
}

async fn health_messages(client: &Client) -> Subscriber {
    let messages = client.subscribe(format!("policy.v1.health.{MODEL}.*")).await.unwrap();
    client.flush().await.unwrap();
    messages
}

#[tokio::test]
async fn every_metric_is_there_from_the_start_and_no_other_and_there_are_at_most_500_series() {
    let broker = TestBroker::start();
    let watched = Watched::of(broker.worker().start().await, &broker);
    let page = watched.page();
    assert!(page.len() <= 500, "{}", page.len());
    let name = |series: &String| series.split('{').next().unwrap().to_string();
    let names: BTreeSet<_> = page.iter().map(|(series, _)| name(series)).collect();
    let expected: BTreeSet<_> = names::ALL.iter().flat_map(|metric| pages_names(metric)).collect();
    assert_eq!(names, expected);
    watched.stop().await;
}

fn pages_names(metric: &names::Metric) -> Vec<String> {
    let parts: &[&str] = match metric.kind {
        names::Kind::Counter | names::Kind::Gauge => &[""],
        names::Kind::Seconds | names::Kind::Rows => &["_bucket", "_sum", "_count"],
    };
    parts.iter().map(|part| format!("{}{part}", metric.name)).collect()
}

#[tokio::test]
async fn no_series_appears_or_goes_under_load() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let watched = Watched::of(broker.worker().start().await, &broker);
    let before: BTreeSet<_> = watched.page().into_iter().map(|(series, _)| series).collect();
    mixed_load(&client).await;
    let after: BTreeSet<_> = watched.page().into_iter().map(|(series, _)| series).collect();
    assert_eq!(before, after);
    watched.stop().await;
}

/// Three requests with five rows together that are answered with actions, one of a wrong shape, one
/// that can't be read, and one that asks for no answer.
async fn mixed_load(client: &Client) {
    for i in 0..2 {
        action(client, &Native::one(&observation(i))).await;
    }
    let three: Vec<f32> = (0..3).flat_map(observation).collect();
    action(client, &Native::rows(&three)).await;
    ask(client, Native::one(&[1.0; DIM - 1]).encode()).await;
    ask(client, b"nonsense".to_vec()).await;
    client.publish(INFER, "".into()).await.unwrap();
    client.flush().await.unwrap();
}

#[tokio::test]
async fn every_request_is_counted_once_where_it_ended() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let watched = Watched::of(broker.worker().start().await, &broker);
    mixed_load(&client).await;
    let received = of_model("carla_rl_requests_received_total", "");
    until("the request without an answer", || watched.value(&received) == 6.0).await;
    let page = watched.page();
    let ended = |outcome: &str| {
        value(&page, &of_model("carla_rl_requests_total", &format!("outcome=\"{outcome}\"")))
    };
    assert_eq!(ended("ok"), 3.0);
    assert_eq!(ended("invalid_shape"), 1.0);
    assert_eq!(ended("malformed"), 1.0);
    assert_eq!(ended("no_reply_subject"), 1.0);
    let all = page.iter().filter(|(series, _)| series.starts_with("carla_rl_requests_total{"));
    assert_eq!(all.map(|(_, count)| count).sum::<f64>(), 6.0);
    for empty in ["carla_rl_inflight_requests", "carla_rl_queued_requests"] {
        assert_eq!(value(&page, &of_model(empty, "")), 0.0, "{empty}");
    }
    assert_eq!(value(&page, &of_model("carla_rl_batch_size_rows_sum", "")), 5.0);
    assert_eq!(value(&page, &of_model("carla_rl_batch_size_rows_count", "")), 3.0);
    assert_eq!(value(&page, &of_model("carla_rl_batches_total", "reason=\"idle\"")), 3.0);
    for per_request in ["carla_rl_request_duration_seconds", "carla_rl_queue_wait_seconds"] {
        assert_eq!(value(&page, &of_model(&format!("{per_request}_count"), "")), 3.0);
    }
    watched.stop().await;
}

#[tokio::test]
async fn every_spec_request_is_counted_once_with_or_without_an_answer() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let watched = Watched::of(broker.worker().start().await, &broker);
    let ended =
        |outcome: &str| of_model("carla_rl_spec_requests_total", &format!("outcome=\"{outcome}\""));
    assert_eq!(watched.value(&ended("ok")), 0.0, "a series is there before it counts");
    client.publish(format!("policy.v1.spec.{MODEL}"), "".into()).await.unwrap();
    for _ in 0..2 {
        crate::support::spec(&client).await;
    }
    until("all are counted", || watched.value(&ended("ok")) == 2.0).await;
    assert_eq!(watched.value(&ended("no_reply_subject")), 1.0);
    assert_eq!(watched.value(&ended("publish_failed")), 0.0);
    let stats = ask_services(&client, format!("$SRV.STATS.{MODEL}")).await;
    let spec = &stats["endpoints"][1];
    assert_eq!((&spec["num_requests"], &spec["num_errors"]), (&3.into(), &1.into()));
    watched.stop().await;
}

#[tokio::test]
async fn what_waits_and_what_is_computed_shows_while_the_device_is_busy() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let (worker, gate) = broker.worker().start_gated().await;
    let watched = Watched::of(worker, &broker);
    let inbox = client.new_inbox();
    let body = Native::one(&observation(1)).encode();
    for _ in 0..3 {
        client.publish_with_reply(INFER, inbox.clone(), body.clone().into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let received = of_model("carla_rl_requests_received_total", "");
    until("all have come", || watched.value(&received) == 3.0).await;
    let computing = "carla_rl_device_computing_seconds{device=\"cpu\"}";
    until("one is computed", || watched.value(computing) > 0.0).await;
    let page = watched.page();
    let of = |name: &str| value(&page, &of_model(name, ""));
    assert_eq!(of("carla_rl_inflight_requests") + of("carla_rl_queued_requests"), 3.0);
    assert!(of("carla_rl_inflight_requests") >= 1.0);
    for path in ["/livez", "/readyz", "/startupz", "/healthz"] {
        assert_eq!(watched.get(path).0, 200, "{path}");
    }
    gate.open();
    let ok = of_model("carla_rl_requests_total", "outcome=\"ok\"");
    until("all are answered", || watched.value(&ok) == 3.0).await;
    watched.stop().await;
}

#[tokio::test]
async fn health_tells_each_state_at_once_and_numbers_its_messages() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let mut messages = health_messages(&client).await;
    let watched = Watched::of(broker.worker().start().await, &broker);
    let (name, http) = (watched.worker.name.clone(), watched.monitor.http().to_string());
    let first = next_health(&mut messages).await;
    action(&client, &Native::one(&observation(1))).await;
    watched.stop().await;
    let mut told = vec![first];
    while told.last().unwrap().state != State::Stopped {
        told.push(next_health(&mut messages).await);
    }
    let mut states: Vec<_> = told.iter().map(|health| health.state).collect();
    states.dedup();
    assert_eq!(states, [State::Ready, State::Draining, State::Stopped]);
    let seqs: Vec<_> = told.iter().map(|health| health.seq).collect();
    assert_eq!(seqs, (1..=told.len() as u64).collect::<Vec<_>>());
    let last = told.last().unwrap();
    assert_eq!((last.worker.as_str(), last.model.as_str()), (name.as_str(), MODEL));
    assert_eq!((last.http.as_str(), last.weights.as_str()), (http.as_str(), "9d1914cf"));
    assert!(last.rate > 0.0 && last.p50_ms.is_some() && last.batch_rows == Some(1.0));
    assert!(last.uptime_s > 0.0 && last.broker.reconnects == 0, "{last:?}");
}

#[tokio::test]
async fn a_worker_whose_device_fails_is_degraded_until_a_batch_succeeds() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let mut messages = health_messages(&client).await;
    let (worker, switch) = broken(&broker, false).await;
    let watched = Watched::of(worker, &broker);
    switch.store(true, Ordering::Relaxed);
    let refused = ask(&client, Native::one(&observation(1)).encode()).await;
    assert_eq!(error_of(&refused)["error"]["code"], "internal");
    let degraded = loop {
        let health = next_health(&mut messages).await;
        if health.state != State::Ready {
            break health;
        }
    };
    assert_eq!(degraded.state, State::Degraded);
    assert_eq!(degraded.reasons, ["the last batch failed"]);
    assert_eq!(watched.get("/readyz").0, 200, "it still serves");
    switch.store(false, Ordering::Relaxed);
    action(&client, &Native::one(&observation(1))).await;
    while next_health(&mut messages).await.state != State::Ready {}
    watched.stop().await;
}

#[tokio::test]
async fn the_metrics_subject_carries_the_same_series_as_the_page() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let mut messages = client.subscribe(format!("policy.v1.metrics.{MODEL}.*")).await.unwrap();
    client.flush().await.unwrap();
    let watched = Watched::of(broker.worker().start().await, &broker);
    mixed_load(&client).await;
    let received = of_model("carla_rl_requests_received_total", "");
    until("the request without an answer", || watched.value(&received) == 6.0).await;
    let page = watched.page();
    watched.stop().await;
    let mut last: Option<Snapshot> = None;
    // The worker's end comes with a last message.
    while last.as_ref().is_none_or(|snapshot| snapshot.gauges["carla_rl_ready"] == 1.0) {
        let message = tokio::time::timeout(PATIENCE, messages.next()).await.unwrap().unwrap();
        last = Some(rmp_serde::from_slice(&message.payload).unwrap());
    }
    let snapshot = last.unwrap();
    let of_page: BTreeSet<_> = page.iter().map(|(series, _)| series.as_str()).collect();
    for series in snapshot.counters.keys().chain(snapshot.gauges.keys()) {
        assert!(of_page.contains(series.as_str()), "{series}");
    }
    for (series, value) in &page {
        if series.starts_with("carla_rl_requests") {
            assert_eq!(snapshot.counters[series], *value, "{series}");
        }
    }
    let duration = snapshot.quantiles[&of_model("carla_rl_request_duration_seconds", "")];
    assert_eq!(duration.count, 3);
    assert!(
        duration.p50 > 0.0 && duration.p50 <= duration.p99 && duration.p99 <= duration.max * 1.01
    );
    let histograms = names::ALL.iter().filter(|metric| pages_names(metric).len() == 3);
    assert_eq!(snapshot.quantiles.len(), histograms.count());
}

#[tokio::test]
async fn the_services_api_finds_a_worker_by_all_by_name_and_by_id() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let watched = Watched::of(broker.worker().start().await, &broker);
    mixed_load(&client).await;
    let id = watched.worker.name.clone();
    for behind in [String::new(), format!(".{MODEL}"), format!(".{MODEL}.{id}")] {
        for (verb, kind) in [("PING", "ping"), ("INFO", "info"), ("STATS", "stats")] {
            let answer = ask_services(&client, format!("$SRV.{verb}{behind}")).await;
            assert_eq!(answer["type"], format!("io.nats.micro.v1.{kind}_response"));
            assert_eq!((&answer["name"], &answer["id"]), (&MODEL.into(), &id.clone().into()));
            assert_eq!(answer["version"], "0.1.0");
            assert_eq!(answer["metadata"]["weights"], "9d1914cf");
        }
    }
    let info = ask_services(&client, format!("$SRV.INFO.{MODEL}")).await;
    assert_eq!(info["endpoints"][0]["subject"], INFER);
    assert_eq!(info["endpoints"][0]["queue_group"], MODEL);
    let stats = ask_services(&client, format!("$SRV.STATS.{MODEL}")).await;
    let infer = &stats["endpoints"][0];
    assert_eq!(infer["num_errors"].as_u64(), Some(3), "two errors, one without an answer");
    assert_eq!(infer["num_requests"].as_u64(), Some(6));
    assert!(infer["average_processing_time"].as_u64().unwrap() > 0);
    watched.stop().await;
}

/// The services API answers once the monitor's own connection is there.
async fn ask_services(client: &Client, subject: String) -> Value {
    let asking = async {
        loop {
            if let Ok(message) = client.request(subject.clone(), "".into()).await {
                return serde_json::from_slice(&message.payload).unwrap();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap()
}
