//! `ping` and `probe --answers` against real workers.

use std::{process::Output, sync::atomic::Ordering, time::Duration};

use carla_rl::{artifact, ping::Target, wire::subjects::DEADLINE_HEADER};
use futures_util::StreamExt;
use serde_json::json;

use crate::{
    broken::broken,
    camera,
    command_line::{here, json as object, program, stderr, stdout},
    masks, memory, q_values,
    support::{Builder, INFER, MODEL, PATIENCE, TestBroker},
    tiny,
};

/// Three quick questions with patience.
const QUICK: [&str; 6] = ["--count", "3", "--interval", "1ms", "--timeout", "60s"];

async fn ping(broker: &TestBroker, arguments: &[&str]) -> Output {
    command(&[&["ping", "--nats-url", &broker.server.url()], arguments].concat()).await
}

async fn probe(broker: &TestBroker, arguments: &[&str]) -> Output {
    command(&[&["probe", "--answers", "--nats-url", &broker.server.url()], arguments].concat())
        .await
}

async fn command(arguments: &[&str]) -> Output {
    let mut command = program(here(), arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn target(broker: &TestBroker) -> Target {
    Target::find(broker.client().await, "policy", MODEL, PATIENCE).await.unwrap()
}

#[tokio::test]
async fn every_ping_is_answered_with_an_action_and_its_times() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let told = object(&ping(&broker, &[&QUICK[..], &["--json"]].concat()).await);
    let counts = [&told["sent"], &told["answered"], &told["errors"]];
    assert_eq!(counts, [&json!(3), &json!(3), &json!(0)]);
    for reply in told["replies"].as_array().unwrap() {
        assert_eq!((&reply["worker"], &reply["batch_rows"]), (&json!(worker.name), &json!(1)));
        let inside = reply["queue_us"].as_f64().unwrap() + reply["compute_us"].as_f64().unwrap();
        assert!(inside / 1e3 <= reply["round_trip_ms"].as_f64().unwrap(), "{reply}");
    }
    for times in [&told["broker_ms"], &told["round_trip_ms"]] {
        let order = ["min", "median", "max"].map(|name| times[name].as_f64().unwrap());
        assert!(order.is_sorted() && order[0] > 0.0, "{times}");
    }
    let lines = stdout(&ping(&broker, &QUICK).await);
    for text in ["broker alone: min", &worker.name, "3 sent, 3 answered, 0 errors; min"] {
        assert!(lines.contains(text), "{text}: {lines}");
    }
    assert_eq!(worker.drain().await.received, 6);
}

#[tokio::test]
async fn an_observation_can_be_made_up_for_every_kind_of_model() {
    let broker = TestBroker::start();
    let folder = tempfile::tempdir().unwrap();
    let drafts = [
        tiny::draft(),
        tiny::discrete_draft(),
        camera::draft(),
        memory::draft(),
        masks::draft(),
        q_values::draft(),
    ];
    for draft in drafts {
        let name = draft.card.name.clone();
        artifact::create(folder.path(), draft).unwrap();
        let worker = Builder::new(broker.nats(), &folder.path().join(&name).join("0.1.0"));
        let worker = worker.start().await;
        let output = ping(&broker, &[&QUICK[..], &["--model", &name, "--json"]].concat()).await;
        assert_eq!(object(&output)["answered"], 3, "{name}");
        let output = probe(&broker, &["--model", &name]).await;
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        worker.drain().await;
    }
}

#[tokio::test]
async fn nobody_to_answer_is_exit_code_75_with_the_words_for_it() {
    let mut broker = TestBroker::start();
    let output = ping(&broker, &["--model", "parking", "--prefix", "site-1"]).await;
    assert_eq!(output.status.code(), Some(75));
    let told = "no worker serves model parking under prefix site-1";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    broker.server.kill();
    let output = ping(&broker, &[]).await;
    assert_eq!(output.status.code(), Some(75));
    assert!(stderr(&output).contains("no broker at"), "{}", stderr(&output));
}

#[tokio::test]
async fn an_error_is_shown_with_its_code_and_ends_ping_with_75_and_probe_with_1() {
    let broker = TestBroker::start();
    let (worker, armed) = broken(&broker, false).await;
    armed.store(true, Ordering::SeqCst);
    let output = ping(&broker, &QUICK).await;
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(stdout(&output).contains("  internal: "), "{}", stdout(&output));
    assert!(stdout(&output).contains("3 sent, 0 answered, 3 errors\n"), "{}", stdout(&output));
    let told = "3 of 3 requests got no action: internal: ";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    let output = probe(&broker, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("internal: "), "{}", stderr(&output));
    armed.store(false, Ordering::SeqCst);
    worker.drain().await;
}

#[tokio::test]
async fn a_request_bears_its_deadline_and_silence_beyond_it_is_a_timeout() {
    let broker = TestBroker::start();
    let (worker, gate) = broker.worker().start_gated().await;
    let mut requests = broker.client().await.subscribe(INFER).await.unwrap();
    let target = target(&broker).await;
    let trouble = target.ask(Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(trouble.code, "timeout");
    let headers = requests.next().await.unwrap().headers.unwrap();
    assert_eq!(headers.get(DEADLINE_HEADER).unwrap().as_str(), "20");
    gate.open();
    worker.drain().await;
}

#[tokio::test]
async fn a_pool_that_has_gone_meanwhile_has_no_responders() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let target = target(&broker).await;
    worker.drain().await;
    let trouble = target.ask(PATIENCE).await.unwrap_err();
    assert_eq!(trouble.code, "no_responders");
    assert!(trouble.message.contains(INFER), "{}", trouble.message);
}

#[tokio::test]
async fn a_pool_that_answers_is_healthy_and_one_that_does_not_is_not() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let example = crate::support::example();
    for model in [MODEL, example.to_str().unwrap()] {
        let output = probe(&broker, &["--model", model]).await;
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!((stdout(&output), stderr(&output)), (String::new(), String::new()));
    }
    worker.drain().await;
    let output = probe(&broker, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no worker serves model"), "{}", stderr(&output));
}
