//! Probes: what a supervisor hears of a worker in each state, and who can keep it from that.

use std::{
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Arc,
};

use carla_rl::{
    settings::{Nats, Server},
    telemetry::{Monitor, Vitals, traces::Traces},
    wire::State,
};

use crate::{
    support::{INFER, Native, TestBroker, observation, until},
    watched::{Watched, anywhere, exchange, get},
};

#[tokio::test]
async fn probes_tell_a_start_a_lost_broker_and_a_drain_apart() {
    let mut broker = TestBroker::start();
    let mut monitor = Monitor::start(Some(&anywhere())).unwrap();
    let http = monitor.http().to_string();
    let status = |path: &str| get(&http, path).0;
    for (path, expected) in [("/livez", 200), ("/readyz", 503), ("/startupz", 503)] {
        assert_eq!(status(path), expected, "{path} before the artifact is verified");
    }
    assert_eq!(get(&http, "/healthz"), (200, "{\"state\":\"starting\"}\n".to_string()));
    let worker = broker.worker().start().await;
    monitor.watch(worker.vitals.clone(), &broker.nats());
    for path in ["/livez", "/readyz", "/startupz"] {
        assert_eq!(status(path), 200, "{path} of a ready worker");
    }
    broker.server.kill();
    until("it is not ready", || status("/readyz") == 503).await;
    assert!(get(&http, "/readyz").1.contains("the broker is gone"));
    assert_eq!((status("/livez"), status("/startupz")), (200, 200));
    broker.server.restart().unwrap();
    until("it is ready again", || status("/readyz") == 200).await;
    worker.drain().await;
    assert_eq!(get(&http, "/readyz"), (503, "stopped\n".to_string()));
    tokio::task::spawn_blocking(|| monitor.stop()).await.unwrap();
}

#[tokio::test]
async fn a_batch_without_end_ends_liveness_and_its_end_brings_it_back() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let (worker, gate) = broker.worker().start_gated().await;
    let watched = Watched::of(worker, &broker);
    let body = Native::one(&observation(1)).encode();
    client.publish_with_reply(INFER, client.new_inbox(), body.into()).await.unwrap();
    client.flush().await.unwrap();
    until("the worker counts as stuck", || watched.get("/livez").0 == 503).await;
    let (status, health) = watched.get("/healthz");
    assert_eq!(status, 503);
    assert!(health.contains("degraded") && health.contains("computed one batch for"), "{health}");
    assert_eq!((watched.get("/readyz").0, watched.get("/startupz").0), (503, 200));
    gate.open();
    until("it lives again", || watched.get("/livez").0 == 200).await;
    watched.stop().await;
}

#[tokio::test]
async fn a_serving_thread_that_stands_still_ends_liveness() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let about = worker.vitals.about.clone();
    worker.drain().await;
    // A worker whose thread has made one turn, and no other.
    let vitals = Arc::new(Vitals::new(about, Traces::none()));
    vitals.enter(State::Ready);
    vitals.beat();
    let mut monitor = Monitor::start(Some(&anywhere())).unwrap();
    monitor.watch(vitals, &broker.nats());
    let http = monitor.http().to_string();
    until("it counts as stuck", || get(&http, "/livez").0 == 503).await;
    assert!(get(&http, "/livez").1.contains("has made no turn"));
    tokio::task::spawn_blocking(|| monitor.stop()).await.unwrap();
}

#[test]
fn unknown_paths_are_not_found_and_only_reading_is_allowed() {
    let monitor = Monitor::start(Some(&anywhere())).unwrap();
    let http = monitor.http();
    for path in ["/", "/metrics/", "/livez2", "/..%2f"] {
        assert_eq!(get(http, path).0, 404, "{path}");
    }
    assert_eq!(
        exchange(http, "POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").0,
        405
    );
    let (status, body) = exchange(http, "HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""));
    monitor.stop();
}

#[test]
fn idle_connections_do_not_keep_a_probe_from_its_answer() {
    let monitor = Monitor::start(Some(&anywhere())).unwrap();
    let idle: Vec<_> = (0..300).map(|_| TcpStream::connect(monitor.http()).unwrap()).collect();
    // As a probe asks, with a probe's patience.
    let url: String = format!("http://{}", monitor.http());
    let mut probe = Command::new(env!("CARGO_BIN_EXE_carla-rl"));
    let output = probe.args(["probe", "--live", "--url", &url]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    drop(idle);
    monitor.stop();
}

#[test]
fn a_taken_port_is_an_error_that_names_the_setting() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    let failure = Monitor::start(Some(&Server { port, ..anywhere() })).err().unwrap();
    assert_eq!(failure.exit_code(), 78);
    let said = failure.to_string();
    assert!(said.contains(&port.to_string()) && said.contains("server.port"), "{said}");
}

#[tokio::test]
async fn a_broker_that_refuses_the_monitor_takes_no_probe_away() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "right"]);
    let servers = |password: &str| {
        format!("nats://ann:{password}@127.0.0.1:{}", broker.server.port).parse().unwrap()
    };
    let worker = broker.worker().with(|worker| worker.nats.servers = servers("right"));
    let worker = worker.start().await;
    let mut monitor = Monitor::start(Some(&anywhere())).unwrap();
    monitor.watch(worker.vitals.clone(), &Nats { servers: servers("wrong"), ..broker.nats() });
    // It takes a few of these for the broker to refuse.
    for _ in 0..300 {
        assert_eq!(get(monitor.http(), "/readyz").0, 200);
    }
    worker.drain().await;
    tokio::task::spawn_blocking(|| monitor.stop()).await.unwrap();
}
