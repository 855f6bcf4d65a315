//! Signals end a worker in good order, whatever it is at.

use std::process::Command;

use carla_rl::wire::State;
use rustix::process::Signal;

use crate::{
    command_line::{Process, here, program},
    gate::Gate,
    support::{Native, TestBroker, action, observation, until},
};

/// Ends a worker that has nothing to answer.
async fn stops_with_exit_code_0(process: Process) {
    process.signal(Signal::TERM);
    let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("stopping"), "{log}");
}

fn worker(broker: &TestBroker) -> Command {
    program(here(), &["worker", "--nats-url", &broker.server.url()])
}

#[tokio::test]
async fn both_signals_drain_a_worker_to_exit_code_0() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    for signal in [Signal::INT, Signal::TERM] {
        let process = Process::start(&broker);
        action(&client, &Native::one(&observation(1))).await;
        process.signal(signal);
        let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("\"received\":1") && log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_second_signal_ends_a_worker_at_once() {
    let broker = TestBroker::start();
    let process = Process::start(&broker);
    // Held still, so that both signals are there before it can end by itself.
    process.signal(Signal::STOP);
    process.signal(Signal::TERM);
    process.signal(Signal::INT);
    process.signal(Signal::CONT);
    let (code, log) = process.end();
    assert!(matches!(code, Some(130 | 143)), "{code:?}: {log}");
    assert!(log.contains("stopped at once"), "{log}");
}

#[tokio::test]
async fn a_signal_while_the_artifact_is_read_ends_a_worker_with_exit_code_0() {
    let broker = TestBroker::start();
    let mut process = Process::begin(&mut worker(&broker));
    // Written once it listens for signals, and before it begins to read.
    process.wait_for("probes and metrics");
    stops_with_exit_code_0(process).await;
}

#[tokio::test]
async fn a_signal_while_there_is_no_broker_yet_ends_a_worker_with_exit_code_0() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let mut process = Process::begin(&mut worker(&broker));
    process.wait_for("waiting for the broker");
    stops_with_exit_code_0(process).await;
}

#[tokio::test]
async fn a_signal_while_the_broker_is_away_ends_a_worker_with_exit_code_0() {
    let mut broker = TestBroker::start();
    let mut process = Process::start(&broker);
    broker.server.kill();
    process.wait_for("\"state\":\"starting\"");
    stops_with_exit_code_0(process).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_device_that_warms_up() {
    let broker = TestBroker::start();
    let mut gate = None;
    let builder = broker.worker().wrap(|policy| {
        let (handle, gated) = Gate::before(policy);
        handle.close();
        gate = Some(handle);
        gated
    });
    let gate = gate.unwrap();
    let mut worker = builder.start_early();
    until("the device warms up", || !gate.batches().is_empty()).await;
    worker.stop();
    worker.reach(State::Stopped).await;
    assert_eq!(worker.join().await.unwrap().received, 0);
    gate.open();
}
