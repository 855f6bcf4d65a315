//! Faults under load, each for a moment: what comes back is right, comes once, and is there again.

use std::time::Duration;

use carla_rl::{artifact, wire::State};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    command_line::{Process, here, program},
    common::{
        echo,
        load::{Load, Pace, Plan},
        oracle::Verdict,
        poison,
        proxy::{Fault, Proxy},
        slow_reader,
    },
    support::{Builder, PATIENCE, TestBroker, Worker, until},
};

/// The artifact of a policy that tells which observation it saw.
struct Echo(TempDir);

impl Echo {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        artifact::create(root.path(), echo::draft(&[8])).unwrap();
        Self(root)
    }

    fn folder(&self) -> std::path::PathBuf {
        self.0.path().join(echo::MODEL).join("0.1.0")
    }

    fn worker(&self, broker: &TestBroker) -> Builder {
        Builder::new(broker.nats(), &self.folder())
    }

    /// A worker of its own process.
    fn process(&self, broker: &TestBroker) -> Process {
        let (url, folder) = (broker.server.url(), self.folder());
        let arguments = ["worker", "--nats-url", &url, "--model", folder.to_str().unwrap()];
        Process::of(&mut program(here(), &arguments))
    }
}

async fn load(broker: &TestBroker) -> Load {
    Load::start(&broker.server.url(), Plan::new(Pace::Window(64))).await.unwrap()
}

fn assert_sound(verdict: &Verdict) {
    assert!(verdict.is_sound(), "{verdict:?}");
}

fn assert_all_served(verdict: &Verdict) {
    assert_sound(verdict);
    assert_eq!(verdict.ok, verdict.sent, "{verdict:?}");
}

#[tokio::test]
async fn a_worker_that_is_killed_takes_no_more_than_it_held_and_the_other_carries_on() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let steady = echo.worker(&broker).start().await;
    let process = echo.process(&broker);
    let load = load(&broker).await;
    load.serve(2000, PATIENCE).await.unwrap();
    process.signal(Signal::KILL);
    tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    load.recover(PATIENCE).await.unwrap();
    let verdict = load.finish().await;
    assert_sound(&verdict);
    // No more than were unanswered when it died.
    assert!(verdict.unanswered <= 64, "{verdict:?}");
    assert_eq!((verdict.errors.len(), verdict.no_responders), (0, 0), "{verdict:?}");
    steady.drain().await;
}

#[tokio::test]
async fn a_rolling_restart_of_three_workers_is_noticed_by_nobody() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let mut pool = Vec::new();
    for _ in 0..3 {
        pool.push(echo.worker(&broker).start().await);
    }
    let load = load(&broker).await;
    for _ in 0..3 {
        let new = echo.worker(&broker).start().await;
        pool.push(new);
        let stopped = pool.remove(0).drain().await;
        assert_eq!(stopped.answered.get("ok"), Some(&stopped.received));
    }
    assert_all_served(&load.finish().await);
    for worker in pool {
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_under_load_is_found_again_and_nothing_is_mixed_up() {
    let (mut broker, echo) = (TestBroker::start(), Echo::new());
    let mut worker = echo.worker(&broker).start().await;
    let load = load(&broker).await;
    for _ in 0..2 {
        load.serve(500, PATIENCE).await.unwrap();
        broker.server.kill();
        worker.reach(State::Starting).await;
        broker.server.restart().unwrap();
        worker.reach(State::Ready).await;
        load.recover(PATIENCE).await.unwrap();
    }
    assert_sound(&load.finish().await);
    worker.drain().await;
}

/// A worker behind a proxy, and a load that is not.
async fn behind(broker: &TestBroker, echo: &Echo) -> (Proxy, Worker) {
    let proxy = Proxy::start(broker.server.port).await.unwrap();
    let builder = echo.worker(broker).with(|worker| {
        worker.nats.servers = proxy.url().parse().unwrap();
        worker.nats.ping_interval = Duration::from_secs(1);
    });
    (proxy, builder.start().await)
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_anew() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let (proxy, mut worker) = behind(&broker, &echo).await;
    let load = load(&broker).await;
    for fault in [Fault::Reset, Fault::HalfClose] {
        load.serve(500, PATIENCE).await.unwrap();
        proxy.set(fault);
        worker.reach(State::Starting).await;
        worker.reach(State::Ready).await;
        load.recover(PATIENCE).await.unwrap();
    }
    assert_sound(&load.finish().await);
    worker.drain().await;
}

#[tokio::test]
async fn bytes_that_nobody_sent_end_a_connection_and_not_the_worker() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let (proxy, mut worker) = behind(&broker, &echo).await;
    let load = load(&broker).await;
    load.serve(500, PATIENCE).await.unwrap();
    proxy.set(Fault::Garbage);
    worker.reach(State::Starting).await;
    worker.reach(State::Ready).await;
    load.recover(PATIENCE).await.unwrap();
    assert_eq!(load.finish().await.twice, 0);
    worker.drain().await;
}

#[tokio::test]
async fn a_way_on_which_nothing_passes_is_given_up() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let (proxy, mut worker) = behind(&broker, &echo).await;
    let load = load(&broker).await;
    load.serve(500, PATIENCE).await.unwrap();
    proxy.set(Fault::BlackHole);
    worker.reach(State::Starting).await;
    proxy.set(Fault::None);
    worker.reach(State::Ready).await;
    load.recover(PATIENCE).await.unwrap();
    assert_sound(&load.finish().await);
    worker.drain().await;
}

#[tokio::test]
async fn a_broker_that_stands_still_is_noticed_and_found_again() {
    let (folder, echo) = (tempfile::tempdir().unwrap(), Echo::new());
    let file = folder.path().join("pid");
    let broker = TestBroker::start_with(&["--pid", file.to_str().unwrap()]);
    let builder = echo.worker(&broker);
    let ask_often = |worker: &mut Builder| worker.nats.ping_interval = Duration::from_secs(1);
    let mut worker = builder.with(ask_often).start().await;
    let load = load(&broker).await;
    load.serve(500, PATIENCE).await.unwrap();
    let pid = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let pid = Pid::from_raw(pid).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    worker.reach(State::Starting).await;
    kill_process(pid, Signal::CONT).unwrap();
    worker.reach(State::Ready).await;
    load.recover(PATIENCE).await.unwrap();
    assert_sound(&load.finish().await);
    worker.drain().await;
}

#[tokio::test]
async fn a_client_that_reads_no_answers_harms_no_other() {
    let echo = Echo::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), slow_reader::IMPATIENT).unwrap();
    let broker = TestBroker::start_with(&["--config", file.path().to_str().unwrap()]);
    let worker = echo.worker(&broker).start().await;
    let load = load(&broker).await;
    let ended = tokio::time::timeout(PATIENCE, slow_reader::ask(broker.server.port)).await;
    assert!(ended.expect("the broker ends it").unwrap() > 0);
    load.serve(500, PATIENCE).await.unwrap();
    assert_all_served(&load.finish().await);
    worker.drain().await;
}

#[tokio::test]
async fn bad_requests_among_good_ones_get_their_errors_and_the_good_ones_their_actions() {
    let (broker, echo) = (TestBroker::start(), Echo::new());
    let worker = echo.worker(&broker).start().await;
    let bad = poison::one_in_eleven;
    let plan = Plan { requests: 11_000, bad, ..Plan::new(Pace::Window(128)) };
    let load = Load::start(&broker.server.url(), plan).await.unwrap();
    until("all are sent", || load.is_over()).await;
    let verdict = load.finish().await;
    assert_sound(&verdict);
    let refused: u64 = verdict.errors.values().sum();
    assert_eq!((verdict.ok, refused), (10_000, 1_000), "{verdict:?}");
    worker.drain().await;
}
