//! A worker that is looked at over HTTP.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use carla_rl::{settings::Server, telemetry::Monitor};

use crate::support::{MODEL, PATIENCE, TestBroker, Worker};

/// A worker with a monitor on a free port.
pub struct Watched {
    pub worker: Worker,
    pub monitor: Monitor,
}

impl Watched {
    pub fn of(worker: Worker, broker: &TestBroker) -> Self {
        let mut monitor = Monitor::start(Some(&anywhere())).unwrap();
        monitor.watch(worker.vitals.clone(), &broker.nats());
        Self { worker, monitor }
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.monitor.http(), path)
    }

    pub fn page(&self) -> Vec<(String, f64)> {
        let (status, page) = self.get("/metrics");
        assert_eq!(status, 200, "{page}");
        series(&page)
    }

    pub fn value(&self, series: &str) -> f64 {
        value(&self.page(), series)
    }

    pub async fn stop(self) {
        self.worker.drain().await;
        let monitor = self.monitor;
        tokio::task::spawn_blocking(|| monitor.stop()).await.unwrap();
    }
}

pub fn anywhere() -> Server {
    Server { host: "127.0.0.1".into(), port: 0 }
}

pub fn get(address: &str, path: &str) -> (u16, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
}

pub fn exchange(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_string())
}

/// The lines of a page that are no comments.
pub fn series(page: &str) -> Vec<(String, f64)> {
    let lines = page.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_string(), value.parse().unwrap())
        })
        .collect()
}

pub fn value(page: &[(String, f64)], name: &str) -> f64 {
    let found = page.iter().find(|(series, _)| series == name);
    found.unwrap_or_else(|| panic!("no {name}")).1
}

/// Of this model, with this further label.
pub fn of_model(name: &str, label: &str) -> String {
    match label {
        "" => format!("{name}{{model=\"{MODEL}\"}}"),
        label => format!("{name}{{model=\"{MODEL}\",{label}}}"),
    }
}
