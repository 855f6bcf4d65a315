//! The demonstration with processes in place of its own vehicles: what their program says becomes
//! rows and a summary, and it ends with them however it goes. The program here is a stand-in that
//! needs nothing but Python.

use std::{
    fs::{self, File},
    io::Read,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::Command,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::command_line::{Process, here, program, run, stderr};

/// Takes what it is called with.
const BEGIN: &str = r#"
import argparse, os, signal, socket, sys, time
parser = argparse.ArgumentParser()
parser.add_argument("--json-lines", action="store_true", required=True)
for name in ["url", "model", "prefix", "processes"]:
    parser.add_argument("--" + name, required=True)
parser.add_argument("--hz")
given = parser.parse_args()
assert given.url.startswith("nats://127.0.0.1:"), given
assert (given.model, given.processes, given.hz) == ("highway-ppo", "2", "5"), given

def say(lines):
    os.write(1, lines.strip().encode() + b"\n")
"#;

/// Ends when it is told to, with a last word.
const LISTEN: &str = r#"
signal.signal(signal.SIGTERM, lambda *_: sys.exit(say(
    '{"event": "episode", "process": 1, "return": 10, "length": 10, "crashed": true}')))
"#;

/// Tells of two processes.
const STARTED: &str = r#"
say("""
{"event": "started", "process": 0}
{"event": "started", "process": 1}
""")
"#;

const WAIT: &str = "
while True:
    time.sleep(1)
";

const FOREVER: [&str; 2] = ["--duration", "24h"];

/// The demonstration with a stand-in.
struct Demo {
    folder: TempDir,
}

impl Demo {
    fn new(parts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("fleet.py"), parts.concat()).unwrap();
        Self { folder }
    }

    fn printed(&self) -> PathBuf {
        self.folder.path().join("printed")
    }

    /// What it prints goes to a file.
    fn command(&self, arguments: &[&str]) -> Command {
        let stand_in = self.folder.path().join("fleet.py");
        let mut command = program(here(), &["demo", "--gym", "--vehicles", "2", "--hz", "5"]);
        command.arg("--fleet-program").arg(stand_in).args(arguments);
        command.stdout(File::create(self.printed()).unwrap());
        command
    }

    /// It drives until it is stopped.
    fn start(&self) -> Process {
        Process::begin(&mut self.command(&FOREVER))
    }

    /// Stops it by a signal: its exit code, what it printed and what it logged.
    fn stop(&self, process: Process, signal: Signal) -> (Option<i32>, String, String) {
        process.signal(signal);
        self.end(process)
    }

    fn end(&self, process: Process) -> (Option<i32>, String, String) {
        let (code, log) = process.end();
        (code, fs::read_to_string(self.printed()).unwrap(), log)
    }
}

#[test]
fn what_the_processes_report_becomes_rows_and_a_summary() {
    let events = r#"
say("""
{"event": "reply", "process": 0, "round_trip_us": 812, "batch_rows": 2, "late": false}
{"event": "reply", "process": 1, "round_trip_us": 812, "batch_rows": 2, "late": true}
{"event": "error", "process": 0, "code": "overloaded"}
{"event": "episode", "process": 0, "return": 20.5, "length": 30, "crashed": false}
""")
"#;
    let demo = Demo::new(&[BEGIN, LISTEN, STARTED, events, WAIT]);
    let mut process = demo.start();
    process.wait_for(" s        2/2           3       812       812         2.0     1       1");
    let (code, printed, log) = demo.stop(process, Signal::INT);
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("driving  requests/s"), "{log}");
    for line in [
        "vehicles     2 at 5 Hz for ",
        "requests     3, 2 answered, 1 errors (overloaded 1), 0 unanswered",
        "round trip   p50 812 µs",
        "mean batch   2.0 rows; 1 replies came after their tick",
        "episodes     2, mean return 15.25 in 20.0 steps, 1 crashed",
        "worker       drained, exit code 0",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn its_time_ends_it_and_the_summary_can_be_an_object() {
    let demo = Demo::new(&[BEGIN, LISTEN, STARTED, WAIT]);
    let process = Process::begin(&mut demo.command(&["--duration", "100ms", "--json"]));
    let (code, printed, log) = demo.end(process);
    assert_eq!(code, Some(0), "{log}");
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&summary["vehicles"], &summary["hz"]), (&2.into(), &5.0.into()));
    assert_eq!(summary["episodes"]["count"], 1, "{summary}");
    assert_eq!(summary["episodes"]["mean_return"], 10.0, "{summary}");
    assert_eq!((summary.get("left_road"), &summary["requests"]), (None, &0.into()));
}

#[test]
fn a_program_that_ends_too_early_is_told_with_its_last_words() {
    let demo =
        Demo::new(&[BEGIN, STARTED, "sys.stderr.write('a wheel came off\\n')\nsys.exit(3)\n"]);
    let (code, printed, log) = demo.end(demo.start());
    assert_eq!((code, printed.as_str()), (Some(70), ""), "{log}");
    assert!(log.contains("ended too early, with exit status: 3"), "{log}");
    assert!(log.contains("a wheel came off"), "{log}");
}

#[test]
fn a_program_that_can_not_run_here_says_why_itself() {
    let demo = Demo::new(&["import sys\nsys.stderr.write('no wheels: buy some')\nsys.exit(78)\n"]);
    let (code, printed, log) = demo.end(demo.start());
    assert_eq!((code, printed.as_str()), (Some(78), ""), "{log}");
    assert!(log.trim_end().ends_with("carla-rl: no wheels: buy some"), "{log}");
}

#[test]
fn a_program_that_ends_badly_when_it_is_told_to_is_no_success() {
    let bad = "signal.signal(signal.SIGTERM, lambda *_: 1 / 0)\n";
    let demo = Demo::new(&[BEGIN, bad, STARTED, WAIT]);
    let mut process = demo.start();
    process.wait_for("2/2");
    let (code, _, log) = demo.stop(process, Signal::TERM);
    assert_eq!(code, Some(70), "{log}");
    assert!(log.contains("exit status: 1") && log.contains("ZeroDivisionError"), "{log}");
}

#[test]
fn lines_that_can_not_be_read_are_told_once_and_counted() {
    let noise = "for _ in range(3):\n    say('Hello from a library')\n";
    let demo = Demo::new(&[BEGIN, LISTEN, noise, STARTED, WAIT]);
    let mut process = demo.start();
    process.wait_for("2/2");
    let (code, printed, log) = demo.stop(process, Signal::TERM);
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("Hello from a library").count(), 1, "{log}");
    assert!(log.contains("3 lines could not be read"), "{log}");
    assert!(printed.contains("episodes     1,"), "{printed}");
}

#[test]
fn a_signal_ends_the_program_and_all_that_it_has_started() {
    // Its own processes do not hear of SIGTERM, and it does nothing about that.
    let family = r#"
held = [socket.create_connection(("127.0.0.1", int(os.environ["KEEPER"])))]
for process in range(2):
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        held.append(socket.create_connection(("127.0.0.1", int(os.environ["KEEPER"]))))
        time.sleep(3600)
"#;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let demo = Demo::new(&[BEGIN, LISTEN, STARTED, family, WAIT]);
        let keeper = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = keeper.local_addr().unwrap().port().to_string();
        let mut process = Process::begin(demo.command(&FOREVER).env("KEEPER", port));
        let held: Vec<TcpStream> = (0..3).map(|_| keeper.accept().unwrap().0).collect();
        process.wait_for("2/2");
        let (code, printed, log) = demo.stop(process, signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(printed.contains("vehicles     2"), "{printed}");
        for mut stream in held {
            // Its process holds it open for as long as it lives.
            assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
        }
    }
}

#[test]
fn a_program_or_a_python_that_is_not_there_is_told_with_where_it_was_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    let looked = empty.path().join("clients/python/examples/highway_fleet.py");
    let output = run(empty.path(), &["demo", "--gym"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains(looked.to_str().unwrap()), "{}", stderr(&output));

    let demo = Demo::new(&[BEGIN, LISTEN, STARTED, WAIT]);
    let (code, _, log) =
        demo.end(Process::begin(&mut demo.command(&["--python", "no-such-python"])));
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("--python: no-such-python: "), "{log}");
    assert!(log.contains("make demo-gym"), "{log}");
}
