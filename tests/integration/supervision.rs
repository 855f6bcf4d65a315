//! A worker under a supervisor that listens as systemd does (`Type=notify`, `WatchdogSec=`), and
//! one that is told to be silent.

use std::{os::unix::net::UnixDatagram, path::Path, process::Command};

use rustix::process::Signal;

use crate::{
    command_line::{Process, program},
    support::{PATIENCE, TestBroker},
};

/// A supervisor's socket.
struct Socket {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Socket {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, folder }
    }

    /// What comes next that begins so.
    fn next(&self, beginning: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap();
            let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if let Some(line) = said.lines().find(|line| line.starts_with(beginning)) {
                return line.to_string();
            }
        }
    }

    /// A worker that has this supervisor, whose watchdog looks every 3 s.
    fn worker(&self, broker: &TestBroker) -> Process {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let plain = program(here, &["worker", "--nats-url", &broker.server.url()]);
        // The watchdog's variables name the process that they mean.
        let mut command = Command::new("sh");
        command.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""]).arg(plain.get_program());
        command.args(plain.get_args()).current_dir(here);
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("NOTIFY_SOCKET", self.folder.path().join("notify"));
        Process::of(command.env("WATCHDOG_USEC", "3000000"))
    }
}

#[tokio::test]
async fn a_supervisor_hears_of_the_start_of_forward_progress_and_of_the_stop() {
    let broker = TestBroker::start();
    let socket = Socket::new();
    let process = socket.worker(&broker);
    assert_eq!(socket.next("READY"), "READY=1");
    assert_eq!(socket.next("STATUS"), "STATUS=ready");
    for _ in 0..3 {
        assert_eq!(socket.next("WATCHDOG"), "WATCHDOG=1");
    }
    process.signal(Signal::TERM);
    assert_eq!(socket.next("STOPPING"), "STOPPING=1");
    let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn with_monitoring_off_a_worker_serves_and_says_nothing_of_itself() {
    let broker = TestBroker::start();
    let client = broker.client().await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = program(here, &["worker", "--nats-url", &broker.server.url()]);
    let process = Process::of(command.env("MONITORING_ENABLED", "false"));
    let nobody = client.request("$SRV.PING", "".into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    crate::support::spec(&client).await;
    process.signal(Signal::TERM);
    let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(!log.contains("\"http\""), "{log}");
}

#[test]
fn a_port_that_another_worker_has_ends_the_start_with_exit_code_78() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = program(here, &["worker"]).env("SERVER_PORT", &port).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&port) && said.contains("server.port"), "{said}");
}
