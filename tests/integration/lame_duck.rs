//! A broker that announces its end loses nothing.

use std::{fs, net::TcpListener, path::Path};

use carla_rl::{nats, wire::State};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    load::Load,
    support::{PATIENCE, TestBroker, Worker, until},
};

const SPEC: &str = "policy.v1.spec.lane-keeping";

/// Two servers of one cluster; the first one writes its process id into `pid`.
fn cluster(pid: &Path) -> (TestBroker, TestBroker) {
    let route = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let pid = format!("--pid={}", pid.display());
    let listen = format!("--cluster=nats://{route}");
    let one = TestBroker::start_with(&["--cluster_name=pool", &listen, &pid]);
    let routes = format!("--routes=nats://{route}");
    let other = ["--cluster_name=pool", "--cluster=nats://127.0.0.1:-1", &routes];
    (one, TestBroker::start_with(&other))
}

fn announce_the_end(pid: &Path) {
    let pid: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::USR2).unwrap();
}

/// Waits until whoever connects to the one is told of the other: a connection does not learn of
/// servers that come later.
async fn know_each_other(one: &TestBroker, other: &TestBroker) {
    let known = async {
        loop {
            let servers = one.client().await.server_pool().await.unwrap();
            if servers.iter().any(|server| server.addr.port() == other.server.port) {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, known).await.expect("the servers know each other");
}

/// The port of the server to which the worker's connection for requests goes.
fn port(worker: &Worker) -> u16 {
    let connection = worker.vitals.connection(nats::REQUESTS).unwrap();
    connection.client.server_info().port
}

#[tokio::test]
async fn a_worker_moves_to_another_server_and_nobody_misses_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let (ending, staying) = cluster(&pid);
    know_each_other(&ending, &staying).await;
    let mut moving = ending.worker().start().await;
    let client = staying.client().await;
    let heard = async {
        // Servers of a cluster tell each other who listens, in their own time.
        while client.request(SPEC, "".into()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, heard).await.expect("the worker is heard of");
    let steady = staying.worker().start().await;
    let load = Load::start(client, 64);
    load.after(2_000).await;
    announce_the_end(&pid);
    moving.reach(State::Starting).await;
    moving.reach(State::Ready).await;
    assert_eq!(port(&moving), staying.server.port);
    let before = moving.vitals.tally().received;
    until("it serves there", || moving.vitals.tally().received > before).await;
    let outcome = load.finish().await;
    assert_eq!((outcome.errors, outcome.unanswered), (0, 0), "{outcome:?}");
    steady.drain().await;
    moving.drain().await;
}
