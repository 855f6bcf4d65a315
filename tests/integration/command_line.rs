//! The program as a person runs it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{MODEL, TestBroker, example};

/// The program in `folder`, without settings from this process's surroundings.
pub fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carla-rl"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    carla_rl::settings::key::all().for_each(|key| _ = command.env_remove(key.variable()));
    // Tests run side by side.
    command.env("SERVER_PORT", "0");
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    program(folder, arguments).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

pub fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

pub fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn checking_a_worker_verifies_the_example_without_a_broker() {
    let output = run(here(), &["worker", "--check"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("lane-keeping 0.1.0"), "{}", stdout(&output));
}

#[test]
fn what_keeps_a_worker_from_starting_is_told_with_exit_code_78() {
    let empty = tempfile::tempdir().unwrap();
    let folder = example();
    let folder = folder.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["worker"], "artifacts: no artifacts here"),
        (&["worker", "--model", "nowhere/1.0.0"], "nowhere/1.0.0/model_card.yaml"),
        #[cfg(not(feature = "cuda"))]
        (&["worker", "--model", folder, "--device", "cuda"], "--features cuda"),
        #[cfg(not(feature = "metal"))]
        (&["worker", "--model", folder, "--device", "mps"], "--features metal"),
        (
            &["worker", "--model", folder, "--device", "tpu"],
            "--device: model.device: expected auto",
        ),
        (&["worker", "--model", folder, "--config", "missing.yaml"], "missing.yaml: can't be read"),
        (&["worker", "--model", folder, "--profile", "staging"], "staging"),
        (&["worker", "--model", folder, "--nats-url", "http://x"], "nats.url"),
    ];
    for &(arguments, told) in cases {
        let output = run(empty.path(), arguments);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn a_missing_model_or_version_is_an_error_that_lists_what_there_is() {
    for (arguments, told) in [
        (
            ["worker", "--check", "--model", "parking"],
            "there are: cartpole-ppo, highway-ppo, lane-keeping",
        ),
        (["worker", "--check", "--model-version", "9.9.9"], "there are: 0.1.0"),
    ] {
        let output = run(here(), &arguments);
        assert_eq!(output.status.code(), Some(78));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    }
}

#[test]
fn a_broker_that_does_not_come_ends_a_worker_with_exit_code_75() {
    let mut broker = TestBroker::start();
    broker.server.kill();
    let output = program(here(), &["worker", "--nats-url", &broker.server.url()])
        .env("NATS_CONNECT_TIMEOUT_S", "0.01")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", stderr(&output));
    assert!(stderr(&output).contains(&broker.server.url()), "{}", stderr(&output));
}

#[test]
fn a_broker_that_refuses_us_ends_a_worker_with_exit_code_78_and_no_password_is_shown() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "right"]);
    let url = format!("nats://ann:wr0ng@127.0.0.1:{}", broker.server.port);
    let output = run(here(), &["worker", "--nats-url", &url]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("refuses us") && !told.contains("wr0ng"), "{told}");
}

#[tokio::test]
async fn a_password_is_in_no_log_however_fine() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "s3cret"]);
    let url = format!("nats://ann:s3cret@127.0.0.1:{}", broker.server.port);
    let mut command = program(here(), &["worker", "--nats-url", &url]);
    let process = Process::of(command.env("LOGGING_LEVEL", "trace"));
    process.signal(Signal::TERM);
    let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert_eq!(code, Some(0));
    assert!(log.contains("draining") && !log.contains("s3cret"), "{log}");
}

#[test]
fn artifacts_are_listed_shown_and_verified() {
    let listed = json(&run(here(), &["artifacts", "list", "--json"]));
    let first = &listed[0];
    assert_eq!((first["name"].as_str(), first["version"].as_str()), (Some(MODEL), Some("0.1.0")));
    let (path, weights) = (first["path"].as_str().unwrap(), first["weights"].as_str().unwrap());
    assert!(stdout(&run(here(), &["artifacts", "list"])).contains(weights));

    let card = json(&run(here(), &["artifacts", "show", path, "--json"]));
    assert!(card["files"]["model.safetensors"].as_str().unwrap().starts_with(weights));
    assert!(stdout(&run(here(), &["artifacts", "show", path])).contains("name: lane-keeping"));

    let verified = json(&run(here(), &["artifacts", "verify", path, "--json"]));
    assert_eq!((&verified["ok"], &verified["weights"]), (&Value::Bool(true), &first["weights"]));
    let half = run(here(), &["artifacts", "verify", path, "--precision", "float16"]);
    assert!(half.status.success(), "{}", stderr(&half));
}

#[test]
fn a_changed_artifact_is_refused_by_verify_and_by_the_worker() {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(example()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let weights = copy.path().join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let folder = copy.path().to_str().unwrap();
    let told = run(here(), &["artifacts", "verify", folder, "--json"]);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["ok"], false, "{told}");
    for arguments in
        [["artifacts", "verify", folder].as_slice(), &["worker", "--check", "--model", folder]]
    {
        let output = run(here(), arguments);
        assert_eq!(output.status.code(), Some(78));
        assert!(stderr(&output).contains("model.safetensors: SHA-256 is"), "{}", stderr(&output));
    }
}

#[test]
fn settings_are_shown_with_their_origin_and_checked() {
    let output = program(here(), &["config", "show", "--origin", "--device", "cpu"])
        .env("MODEL_MAX_BATCH_SIZE", "32")
        .output()
        .unwrap();
    let shown = stdout(&output);
    let line = |key: &str| shown.lines().find(|line| line.contains(key)).unwrap().to_owned();
    assert!(line("max_batch_size: 32").ends_with("# MODEL_MAX_BATCH_SIZE"), "{shown}");
    assert!(line("device: \"cpu\"").ends_with("# --device"), "{shown}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    fs::write(&file, "model: {max_batch_sise: 3}").unwrap();
    let output = run(here(), &["config", "check", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stdout(&output).contains("model.max_batch_size"), "{}", stdout(&output));
    for profile in ["default", "production", "mac-m4-max"] {
        let file = format!("config/{profile}.yaml");
        assert!(run(here(), &["config", "check", &file]).status.success(), "{profile}");
    }
}

/// A worker process that has said it is ready, and the rest of what it logs.
pub struct Process {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
    /// What has been read of it.
    seen: String,
}

impl Process {
    pub fn start(broker: &TestBroker) -> Self {
        Self::of(&mut program(here(), &["worker", "--nats-url", &broker.server.url()]))
    }

    pub fn of(command: &mut Command) -> Self {
        let mut process = Self::begin(command);
        process.wait_for("\"state\":\"ready\"");
        process
    }

    /// Without waiting until it is ready.
    pub fn begin(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, seen: String::new() }
    }

    pub fn wait_for(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "it ended without {text}");
            self.seen.push_str(&line);
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The exit code and what was logged before.
    pub fn end(mut self) -> (Option<i32>, String) {
        self.log.read_to_string(&mut self.seen).unwrap();
        (self.child.wait().unwrap().code(), std::mem::take(&mut self.seen))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

#[test]
fn the_demonstration_drives_draws_and_sums_up() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("road.svg");
    let output = program(
        here(),
        &[
            "demo",
            "--vehicles",
            "8",
            "--duration",
            "1s",
            "--json",
            "--plot",
            picture.to_str().unwrap(),
        ],
    )
    .envs(std::env::var_os("NATS_SERVER_BIN").map(|path| ("NATS_SERVER_BIN", path)))
    .output()
    .unwrap();
    let summary = json(&output);
    assert_eq!(
        (&summary["vehicles"], &summary["left_road"], &summary["errors"]),
        (&8.into(), &0.into(), &0.into())
    );
    assert!(summary["requests"].as_u64().unwrap() > 0);
    assert_eq!(summary["requests"], summary["replies"]);
    let trip = &summary["round_trip_us"];
    let order = ["p50", "p95", "p99", "max"].map(|name| trip[name].as_u64().unwrap());
    assert!(order.is_sorted() && order[0] > 0, "{trip}");
    assert!(summary["batch_rows_mean"].as_f64().unwrap() >= 1.0);
    assert!(fs::read_to_string(picture).unwrap().starts_with("<svg"));
}

#[test]
fn the_fleet_drives_in_carlarl_form_too() {
    let broker = TestBroker::start();
    let _process = Process::start(&broker);
    let output = run(
        here(),
        &[
            "fleet",
            "--nats-url",
            &broker.server.url(),
            "--form",
            "carla",
            "--vehicles",
            "4",
            "--duration",
            "500ms",
            "--json",
        ],
    );
    let summary = json(&output);
    assert_eq!((&summary["errors"], &summary["unanswered"]), (&0.into(), &0.into()));
    assert!(summary["replies"].as_u64().unwrap() > 0);
}
