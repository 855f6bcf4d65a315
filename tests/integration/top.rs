//! `top` against a real broker, with workers that the test speaks for.

use std::{process::Command, time::Duration};

use async_nats::Client;
use carla_rl::wire::{Health, Snapshot, State, subjects};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{task::JoinHandle, time::interval};

use crate::{
    command_line::{here, json, program, run, stderr, stdout},
    said,
    support::TestBroker,
    terminal::{LEAVE, Terminal},
};

/// Many times while anybody listens.
const OFTEN: Duration = Duration::from_millis(50);

/// Says the same again and again, often enough for any listener, until it is dropped.
struct Voice(JoinHandle<()>);

impl Voice {
    async fn of(broker: &TestBroker, healths: Vec<Health>, snapshots: Vec<Snapshot>) -> Self {
        let client = broker.client().await;
        Self(tokio::spawn(async move {
            let mut often = interval(OFTEN);
            loop {
                often.tick().await;
                speak(&client, &healths, &snapshots).await;
            }
        }))
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn speak(client: &Client, healths: &[Health], snapshots: &[Snapshot]) {
    for health in healths {
        let subject = subjects::health("policy", &health.model, &health.worker);
        client.publish(subject, said::health_body(health).into()).await.unwrap();
    }
    for snapshot in snapshots {
        let subject = subjects::metrics("policy", &snapshot.model, &snapshot.worker);
        client.publish(subject, said::snapshot_body(snapshot).into()).await.unwrap();
    }
    client.flush().await.unwrap();
}

fn top(broker: &TestBroker, arguments: &[&str]) -> Command {
    let url = broker.server.url();
    program(here(), &[&["top", "--nats-url", &url], arguments].concat())
}

async fn output(mut command: Command) -> std::process::Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Two workers of the example and one of another model.
fn three() -> Vec<Health> {
    let saturated = Health { state: State::Saturated, ..said::health("w-full") };
    let other = Health { model: "parking".into(), ..said::health("w-other") };
    vec![said::health("w-ready"), saturated, other]
}

#[tokio::test]
async fn once_lists_every_worker_that_speaks_as_a_table_and_as_json() {
    let broker = TestBroker::start();
    let _voice = Voice::of(&broker, three(), vec![said::snapshot("w-ready", 1.0)]).await;
    let table = output(top(&broker, &["--once"])).await;
    for told in ["w-ready", "w-full", "w-other", "saturated", "parking", "128M", "3 workers"] {
        assert!(stdout(&table).contains(told), "{told}: {}", stdout(&table));
    }
    let object = json(&output(top(&broker, &["--once", "--json"])).await);
    let workers = object["workers"].as_array().unwrap();
    let names: Vec<_> = workers.iter().map(|worker| worker["worker"].as_str().unwrap()).collect();
    assert_eq!(names, ["w-full", "w-other", "w-ready"]);
    assert_eq!(object["summary"]["states"]["ready"], 2);
    assert_eq!(workers[2]["memory_bytes"], 134_217_728.0);
}

#[tokio::test]
async fn a_model_can_be_chosen_and_messages_of_others_are_not_heard() {
    let broker = TestBroker::start();
    let _voice = Voice::of(&broker, three(), vec![]).await;
    let chosen = json(&output(top(&broker, &["--once", "--json", "--model", "parking"])).await);
    assert_eq!(chosen["workers"].as_array().unwrap().len(), 1);
    let wrong = run(here(), &["top", "--once", "--model", "a.b"]);
    assert_eq!(wrong.status.code(), Some(78));
    assert!(stderr(&wrong).contains("--model"), "{}", stderr(&wrong));
}

#[tokio::test]
async fn messages_that_nobody_understands_are_counted_and_hide_no_worker() {
    let broker = TestBroker::start();
    let _voice = Voice::of(&broker, vec![said::health("w-ready")], vec![]).await;
    let client = broker.client().await;
    let noise = tokio::spawn(async move {
        let mut often = interval(OFTEN);
        loop {
            often.tick().await;
            for subject in ["policy.v1.health.m.odd", "policy.v1.metrics.m.odd"] {
                client.publish(subject, b"\xff\xfe{".to_vec().into()).await.unwrap();
            }
        }
    });
    let object = json(&output(top(&broker, &["--once", "--json"])).await);
    noise.abort();
    assert_eq!(object["workers"].as_array().unwrap().len(), 1);
    assert!(object["not_understood"].as_u64().unwrap() >= 2, "{object}");
}

#[tokio::test]
async fn no_worker_is_said_plainly_and_no_broker_is_exit_code_75() {
    let mut broker = TestBroker::start();
    let empty = output(top(&broker, &["--once", "--json"])).await;
    assert!(stderr(&empty).contains("no worker of any model"), "{}", stderr(&empty));
    assert_eq!(json(&empty)["workers"], Value::Array(vec![]));
    broker.server.kill();
    let gone = output(top(&broker, &["--once"])).await;
    assert_eq!((gone.status.code(), stdout(&gone).as_str()), (Some(75), ""));
    assert!(stderr(&gone).contains("no broker at"), "{}", stderr(&gone));
}

#[test]
fn without_a_terminal_the_live_view_says_what_to_use_instead() {
    let output = run(here(), &["top"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("--once"), "{}", stderr(&output));
}

#[tokio::test]
async fn the_live_view_shows_workers_obeys_keys_and_leaves_the_terminal_as_it_was() {
    let broker = TestBroker::start();
    let _voice = Voice::of(&broker, three(), vec![said::snapshot("w-full", 1.0)]).await;
    let mut terminal = Terminal::run(top(&broker, &[]));
    terminal.shows("w-ready").await;
    assert!(!terminal.is_as_before(), "keys are read one by one");
    terminal.press(" ");
    terminal.shows("w-full of lane-keeping").await;
    // One word: blanks that were there before are not written again.
    terminal.shows("overloaded").await;
    // Closed in between: of a pane that changes, only the letters that differ are written.
    terminal.press(" /w-oth\r ");
    terminal.shows("w-other of parking").await;
    terminal.press("q");
    assert_eq!(terminal.end().await.code(), Some(0));
    terminal.shows(LEAVE).await;
    assert!(terminal.is_as_before());
}

#[tokio::test]
async fn interrupts_and_signals_leave_the_terminal_as_it_was() {
    let broker = TestBroker::start();
    let _voice = Voice::of(&broker, three(), vec![]).await;
    for signal in [None, Some(Signal::TERM), Some(Signal::HUP)] {
        let mut terminal = Terminal::run(top(&broker, &[]));
        terminal.shows("w-ready").await;
        match signal {
            None => terminal.press("\x03"),
            Some(signal) => terminal.signal(signal),
        }
        assert_eq!(terminal.end().await.code(), Some(0), "{signal:?}");
        terminal.shows(LEAVE).await;
        assert!(terminal.is_as_before(), "{signal:?}");
    }
}

#[tokio::test]
async fn an_error_leaves_the_terminal_as_it_was_and_can_be_read_there() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "right"]);
    let url = format!("nats://ann:wr0ng@127.0.0.1:{}", broker.server.port);
    let mut terminal = Terminal::run(program(here(), &["top", "--nats-url", &url]));
    assert_eq!(terminal.end().await.code(), Some(78));
    terminal.shows("refuses us").await;
    let written = terminal.written();
    assert!(written.rfind(LEAVE) < written.find("refuses us"), "{written}");
    assert!(terminal.is_as_before() && !written.contains("wr0ng"), "{written}");
}

#[tokio::test]
async fn a_broker_that_is_late_or_goes_away_is_told_and_found_again() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let mut terminal = Terminal::run(top(&broker, &[]));
    terminal.shows("yet, looking for it").await;
    broker.server.restart().unwrap();
    let voice = Voice::of(&broker, three(), vec![]).await;
    terminal.shows("w-ready").await;
    terminal.forget();
    drop(voice);
    broker.server.kill();
    terminal.shows("lost").await;
    broker.server.restart().unwrap();
    let late = Health { worker: "w-late".into(), ..said::health("w-late") };
    let _voice = Voice::of(&broker, vec![late], vec![]).await;
    terminal.shows("w-late").await;
    terminal.press("q");
    assert_eq!(terminal.end().await.code(), Some(0));
}
