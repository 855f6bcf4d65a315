//! Load and what comes of it, against real brokers; and `bench` as a person runs it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Output, Stdio},
    sync::atomic::Ordering,
    time::Duration,
};

use async_nats::Client;
use carla_rl::{
    loadgen::{
        Arrivals, Cell, Load, Moment, Question, Recorder, arrivals::Schedule, echo,
        recorder::Counts,
    },
    wire::Spec,
};
use futures_util::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    broken::broken,
    command_line::{here, json, program, stderr, stdout},
    support::{PATIENCE, TestBroker, example, spec},
};

const CELL: Cell = Cell { connections: 3, in_flight: 4, rows: 1 };
/// As short as a window can be in which something is sure to happen.
const WINDOW: Duration = Duration::from_millis(150);

fn load(broker: &TestBroker, question: Question, arrivals: Arrivals) -> Load {
    let (nats, warm_up) = (broker.nats(), Duration::from_millis(20));
    Load { nats, question, cell: CELL, arrivals, warm_up, window: WINDOW, seed: 1 }
}

async fn run(load: &Load) -> Recorder {
    load.run(&mut |_| {}).await.unwrap()
}

fn to_pool(spec: &Spec, rows: usize) -> Question {
    Question::to_pool("policy", spec, rows).unwrap()
}

fn of_errors(counts: &Counts) -> Vec<&str> {
    counts.errors.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn every_request_of_a_closed_loop_is_answered_with_an_action_and_counts_once() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let spec = spec(&broker.client().await).await;
    let mut sent = 0;
    for rows in [1, 5] {
        let load = load(&broker, to_pool(&spec, rows), Arrivals::Closed);
        let mut moments = Vec::new();
        let recorder = load.run(&mut |moment| moments.push(moment)).await.unwrap();
        assert_eq!((moments.first(), moments.last()), (Some(&Moment::Begin), Some(&Moment::End)));
        let counts = &recorder.counts;
        assert!(counts.is_clean() && counts.answered > 0, "{counts:?}");
        assert_eq!((counts.sent, recorder.times.count()), (counts.answered, counts.answered));
        let most = CELL.simulators() as u64;
        assert!(counts.outstanding <= most, "{counts:?}");
        sent += counts.sent;
    }
    assert!(worker.drain().await.received >= sent);
}

#[tokio::test]
async fn an_echo_gives_back_what_came_and_something_else_is_a_wrong_answer() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;
    let question = to_pool(&spec(&client).await, 1);
    worker.drain().await;
    let right = question.to_echo("right".into());
    let client_of_echo = client.clone();
    tokio::spawn(async move { echo::answer(&client_of_echo, "right".into(), "echo".into()).await });
    let mut requests = client.subscribe("wrong").await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            client.publish(request.reply.unwrap(), "no".into()).await.unwrap();
        }
    });
    let counts = run(&load(&broker, right, Arrivals::Closed)).await.counts;
    assert!(counts.is_clean() && counts.answered > 0, "{counts:?}");
    let wrong = question.to_echo("wrong".into());
    let counts = run(&load(&broker, wrong, Arrivals::Closed)).await.counts;
    assert_eq!((of_errors(&counts), counts.answered), (vec!["wrong_answer"], 0));
}

#[tokio::test]
async fn errors_and_nobody_there_are_counted_by_their_codes() {
    let broker = TestBroker::start();
    let (worker, armed) = broken(&broker, false).await;
    let question = to_pool(&spec(&broker.client().await).await, 1);
    armed.store(true, Ordering::SeqCst);
    let load = load(&broker, question, Arrivals::Closed);
    let counts = run(&load).await.counts;
    // What it could not compute, and what it could not even queue meanwhile.
    assert!(counts.errors["internal"] > 0 && counts.answered == 0, "{counts:?}");
    assert_eq!(counts.sent, counts.failed() + counts.unanswered);
    worker.stop();
    // By then it may have given up by itself.
    let _ = worker.join().await;
    let counts = run(&load).await.counts;
    assert_eq!((of_errors(&counts), counts.answered), (vec!["no_responders"], 0));
}

/// Takes requests and never answers.
async fn silent(client: &Client, subject: &str) -> async_nats::Subscriber {
    let requests = client.subscribe(subject.to_owned()).await.unwrap();
    carla_rl::nats::round_trip(client).await.unwrap();
    requests
}

#[tokio::test]
async fn an_open_loop_sends_all_that_is_due_though_nobody_answers() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let worker = broker.worker().start().await;
    let question = to_pool(&spec(&client).await, 1).to_echo("silent".into());
    worker.drain().await;
    let _requests = silent(&client, "silent").await;
    for arrivals in [Arrivals::Poisson { rate: 1000.0 }, Arrivals::Lockstep { rate: 1000.0 }] {
        let load = load(&broker, question.clone(), arrivals);
        let counts = run(&load).await.counts;
        let end = load.warm_up + load.window;
        let due = Schedule::new(arrivals, CELL, end, load.seed).unwrap();
        let due = due.filter(|arrival| arrival.at >= load.warm_up).count() as u64;
        assert_eq!((counts.sent, counts.unanswered), (due, due), "{arrivals:?}");
        // Those of the warm-up, too.
        assert!(counts.outstanding >= due, "{arrivals:?}: {counts:?}");
    }
}

#[tokio::test]
async fn time_of_an_open_loop_counts_from_when_a_request_was_due() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let worker = broker.worker().start().await;
    let question = to_pool(&spec(&client).await, 1).to_echo("late".into());
    worker.drain().await;
    let mut requests = silent(&client, "late").await;
    let late = Duration::from_millis(300);
    // All answers come after the window, in which every request was due.
    tokio::spawn(async move {
        tokio::time::sleep(WINDOW + late).await;
        while let Some(request) = requests.next().await {
            client.publish(request.reply.unwrap(), request.payload).await.unwrap();
        }
    });
    let recorder = run(&load(&broker, question, Arrivals::Poisson { rate: 400.0 })).await;
    assert!(recorder.counts.is_clean() && recorder.counts.answered > 0, "{:?}", recorder.counts);
    assert_eq!(recorder.completed(), 0);
    let latency = recorder.times.latency().unwrap();
    assert!(latency.max > latency.p50 && latency.p50 > 100_000.0, "{latency:?}");
}

#[tokio::test]
async fn load_without_a_broker_says_where_it_looked() {
    let mut broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let question = to_pool(&spec(&broker.client().await).await, 1);
    worker.drain().await;
    broker.server.kill();
    let failure = load(&broker, question, Arrivals::Closed).run(&mut |_| {}).await.unwrap_err();
    assert!(failure.to_string().contains("no broker at"), "{failure}");
}

/// As little as can be measured.
const QUICK: [&str; 12] = [
    "--duration",
    "100ms",
    "--rounds",
    "1",
    "--connections",
    "2",
    "--in-flight",
    "3",
    "--batch-sizes",
    "1,4",
    "--device",
    "cpu",
];

async fn quick(arguments: &[&str]) -> Output {
    bench(&[&QUICK[..], arguments].concat()).await
}

async fn bench(arguments: &[&str]) -> Output {
    let mut command = program(here(), &[&["bench"], arguments].concat());
    if let Some(server) = std::env::var_os("NATS_SERVER_BIN") {
        command.env("NATS_SERVER_BIN", server);
    }
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn edited(file: &Path, edit: impl FnOnce(&mut Value)) {
    let mut object = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    edit(&mut object);
    fs::write(file, object.to_string()).unwrap();
}

#[tokio::test]
async fn a_bench_measures_all_layers_draws_them_and_is_compared_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().to_str().unwrap();
    let output = quick(&["--report", report, "--json"]).await;
    let told = json(&output);
    for layer in ["forward", "in_process"] {
        let rows = told[layer].as_array().unwrap().iter().map(|pass| &pass["batch_rows"]);
        assert_eq!(rows.collect::<Vec<_>>(), [1, 4], "{layer}");
    }
    let cell = &told["end_to_end"]["cells"][0];
    assert_eq!(cell["cell"], serde_json::json!({"connections": 2, "in_flight": 3, "rows": 1}));
    for side in ["echo", "worker"] {
        let counts = &cell[side]["counts"];
        assert!(counts["answered"].as_u64().unwrap() > 0, "{counts}");
        assert_eq!(counts["errors"], serde_json::json!({}), "{side}");
        assert!(cell[side]["memory_bytes"].as_u64().unwrap() > 1 << 20, "{side}");
        assert!(cell[side]["cpu_us"]["broker"].is_number(), "{side}");
    }
    assert!(cell["ratio"]["per_s"].as_f64().unwrap() > 0.0);
    assert!(cell["stages"]["batch_rows"].as_f64().unwrap() >= 1.0, "{cell}");
    assert_eq!(told["end_to_end"]["sweep"].as_array().unwrap().len(), 5);
    assert!(told["end_to_end"]["worker_start_s"].as_f64().unwrap() > 0.0);

    let page = fs::read_to_string(folder.path().join("bench.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    for text in ["Latency by load", "Batch size by load", "Percentiles, 2x3", "lane-keeping 0.1.0"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<script"));

    let file = folder.path().join("bench.json");
    let earlier = file.to_str().unwrap();
    let compare = ["--compare", earlier, "--threshold", "10"];
    let output = quick(&compare).await;
    assert!(output.status.success(), "{}", stderr(&output));
    for text in [
        "Compared with the earlier run",
        "2x3, requests/s of echo",
        "forward, batch of 4, P50",
        "in process, batch of 4",
    ] {
        assert!(stdout(&output).contains(text), "{text}: {}", stdout(&output));
    }
    edited(&file, |old| old["forward"][1]["latency"]["p50"] = 1e-6.into());
    let output = quick(&[&compare[..], &["--layer", "forward"]].concat()).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("worse than before: forward, batch of 4"),
        "{}",
        stderr(&output)
    );
    edited(&file, |old| old["carla_rl_bench"] = 99.into());
    let output = quick(&compare).await;
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("got form 99"), "{}", stderr(&output));
}

#[tokio::test]
async fn what_keeps_a_bench_from_starting_is_told_with_the_flag_to_change() {
    let empty = tempfile::tempdir().unwrap();
    let nowhere = empty.path().join("nats-server");
    let model = example();
    let model = model.to_str().unwrap();
    let cases: &[(&[&str], &str, i32)] = &[
        (&["--nats-server", nowhere.to_str().unwrap()], "--nats-url, or measure --layer", 78),
        (&["--duration", "0s"], "--duration", 2),
        (&["--device", "tpu"], "--device: model.device: expected auto", 78),
        (&["--model", "nowhere/1.0.0"], "nowhere/1.0.0/model_card.yaml", 78),
        (&["--arrivals", "closed", "--rate", "10"], "takes no --rate", 78),
        (&["--arrivals", "lockstep"], "need a --rate", 78),
        (&["--compare", "missing.json"], "--compare: missing.json", 78),
        (&["--nats", "nats://127.0.0.1:1", "--layer", "end-to-end"], "no broker at", 75),
        (&["--model", model, "--rows", "5000", "--layer", "end-to-end"], "--rows is 5000", 78),
        (&["--batch-sizes", "5000", "--layer", "in-process"], "limits.queue_rows", 78),
    ];
    for &(arguments, told, code) in cases {
        let output = bench(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_bench_that_is_stopped_leaves_no_process_and_shows_what_it_has() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let url = broker.server.url();
    let arguments = ["bench", "--nats-url", &url, "--layer", "end-to-end", "--duration", "60s"];
    let mut bench = program(here(), &[&arguments[..], &["--json"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut requests = client.subscribe("policy.*.v1.infer.*.echo").await.unwrap();
    let request = tokio::time::timeout(PATIENCE, requests.next()).await.unwrap().unwrap();
    let mut said = BufReader::new(bench.stderr.take().unwrap()).lines();
    tokio::task::spawn_blocking(move || {
        said.find(|line| line.as_ref().unwrap().contains("echo, round 1")).unwrap().unwrap();
    })
    .await
    .unwrap();
    drop(requests);
    kill_process(Pid::from_child(&bench), Signal::INT).unwrap();
    let output = tokio::task::spawn_blocking(move || bench.wait_with_output().unwrap());
    let told = json(&output.await.unwrap());
    assert_eq!(told["stopped_early"], true);
    assert_eq!(told["end_to_end"]["cells"], serde_json::json!([]));
    let echo = request.subject.to_string();
    for subject in [echo.as_str(), "$SRV.PING"] {
        let answer = async || client.request(subject.to_owned(), "".into()).await;
        // A process that was killed is gone once the broker has seen its connection close.
        let gone = async { while answer().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, gone).await.expect(subject);
    }
}
