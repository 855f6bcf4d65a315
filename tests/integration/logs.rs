//! Log lines as programs read them.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use async_nats::HeaderMap;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use crate::{
    command_line::program,
    structure::{root, sources},
    support::{Native, TestBroker, ask_with, observation, until},
};

/// What every line has.
const ALWAYS: [&str; 4] = ["timestamp", "level", "message", "target"];

/// The names in the first column of the table in `docs/logs.md`.
fn documented() -> BTreeSet<String> {
    let page = fs::read_to_string(root().join("docs/logs.md")).unwrap();
    let names = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_table_of_fields_holds_all_that_the_source_writes_and_no_other() {
    let files = sources(&root().join("src"));
    let mut written: BTreeSet<String> = ALWAYS.map(str::to_owned).into();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let (program, _tests) = text.split_once("\nmod tests {").unwrap_or((&text, ""));
        written.extend(fields_of(program));
    }
    assert_eq!(written, documented());
}

#[test]
fn fields_are_read_from_the_source_as_the_macros_read_them() {
    let source = r#"
        tracing::info!(%state, worker = spec.worker, open = self.open(), "a, b = c {}", x = 1);
        other!(no); tracing::warn!("nothing"); tracing::error!(?a, b = f(c, "(", d),
            e, "text");
    "#;
    assert_eq!(fields_of(source), ["state", "worker", "open", "a", "b", "e"]);
}

/// The fields of all events in a source: what comes before the message.
fn fields_of(source: &str) -> Vec<String> {
    let calls =
        ["error", "warn", "info", "debug", "trace"].map(|level| format!("tracing::{level}!("));
    let begins = calls.iter().flat_map(|call| source.match_indices(call.as_str()));
    let mut begins: Vec<_> = begins.map(|(at, call)| at + call.len()).collect();
    begins.sort_unstable();
    begins.into_iter().flat_map(|begin| fields_of_call(&source[begin..])).collect()
}

fn fields_of_call(arguments: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut argument, mut fields) = (0, false, String::new(), Vec::new());
    for letter in arguments.chars() {
        let begins_message = letter == '"' && argument.trim().is_empty();
        if depth < 0 || begins_message {
            break;
        }
        match letter {
            '"' => in_text = !in_text,
            '(' | '[' | '{' if !in_text => depth += 1,
            ')' | ']' | '}' if !in_text => depth -= 1,
            ',' if !in_text && depth == 0 => {
                fields.push(std::mem::take(&mut argument));
                continue;
            }
            _ => {}
        }
        argument.push(letter);
    }
    let name = |field: String| {
        let name = field.split('=').next().unwrap_or_default().trim();
        name.trim_start_matches(['%', '?']).to_owned()
    };
    fields.into_iter().map(name).collect()
}

#[tokio::test]
async fn every_line_of_a_worker_is_an_object_with_documented_fields() {
    let broker = TestBroker::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("logs/carla-rl.log");
    let mut command = program(root(), &["worker", "--nats-url", &broker.server.url()]);
    let command =
        command.env("LOGGING_LEVEL", "warn,carla_rl=debug").env("LOGGING_FILE_PATH", &file);
    let mut worker = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(worker.stderr.take().unwrap()).lines();
    let mut written = Vec::new();
    for line in lines.by_ref() {
        written.push(line.unwrap());
        if written.last().unwrap().contains("\"ready\"") {
            break;
        }
    }
    terminate(&worker);
    written.extend(lines.map(Result::unwrap));
    assert!(worker.wait().unwrap().success());

    let documented = documented();
    for line in &written {
        let fields: Map<String, Value> = serde_json::from_str(line).unwrap();
        assert!(ALWAYS.iter().all(|name| fields[*name].is_string()), "{line}");
        assert!(fields.keys().all(|name| documented.contains(name)), "{line}");
    }
    // Each destination takes the time for itself.
    let without_time = |line: &str| line.split_once(',').unwrap().1.to_owned();
    let in_file: Vec<_> = fs::read_to_string(&file).unwrap().lines().map(without_time).collect();
    let on_stderr: Vec<_> = written.iter().map(|line| without_time(line)).collect();
    assert_eq!(in_file, on_stderr);
}

#[test]
fn a_failure_ends_the_program_even_if_standard_error_takes_nothing() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let stderr = writer.try_clone().unwrap();
    let filling = std::thread::spawn(move || while writer.write_all(&[b' '; 1 << 16]).is_ok() {});
    let status = program(root(), &["worker", "--model", "nowhere"]).stderr(stderr).status();
    assert_eq!(status.unwrap().code(), Some(78));
    drop(reader);
    filling.join().unwrap();
}

#[tokio::test]
async fn a_worker_whose_log_nobody_reads_serves_and_stops() {
    const REQUESTS: usize = 2000;
    let broker = TestBroker::start();
    let mut command = program(root(), &["worker", "--nats-url", &broker.server.url()]);
    let command = command.env("LOGGING_LEVEL", "debug").stderr(Stdio::piped());
    let mut worker = command.spawn().unwrap();
    let mut log = BufReader::new(worker.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"ready\"") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was ready");
    }
    // A line for each, together far more than the pipe takes.
    let client = broker.client().await;
    let mut headers = HeaderMap::new();
    headers.insert("Request-Id", "x".repeat(100).as_str());
    let request = observation(1);
    for _ in 0..REQUESTS {
        ask_with(&client, headers.clone(), Native::one(&request).encode()).await;
    }
    terminate(&worker);
    until("the worker has ended", || worker.try_wait().unwrap().is_some()).await;
    assert!(worker.wait().unwrap().success());
    let read = log.lines().filter(|line| line.as_ref().unwrap().contains("answered")).count();
    assert!((1..REQUESTS).contains(&read), "{read} lines");
}

fn terminate(worker: &std::process::Child) {
    let pid = Pid::from_raw(i32::try_from(worker.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
}
