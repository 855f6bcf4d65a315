//! What the machine can do to a worker: no room for logs, nobody who reads them, few files.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use carla_rl::telemetry::names::LOG_LINES_DROPPED;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    Outcome,
    common::{
        load::{Load, Pace, Plan},
        oracle::Verdict,
    },
    liveness::Liveness,
    membership::{NARROW, PATIENCE},
    process::Process,
    report::Report,
    stand::Stand,
};

const TIME: Duration = Duration::from_secs(4);

/// A log file that can't grow, as on a full disk.
pub async fn disk() -> Outcome {
    let stand = Stand::start(NARROW)?;
    let mut command = limited("trap '' XFSZ; ulimit -f 64", stand.bare_command(&stand.url()));
    command.stderr(Stdio::null());
    command.env("LOGGING_FILE_PATH", stand.folder.path().join("full/worker.log"));
    let promise = "a full disk costs log lines, which are counted, and no requests";
    without_log("disk", promise, stand.ready(command, DEBUG).await?, &stand).await
}

/// A pipe for the log that nobody reads.
pub async fn unread() -> Outcome {
    let stand = Stand::start(NARROW)?;
    let mut command = stand.bare_command(&stand.url());
    command.stderr(Stdio::piped());
    let promise = "a log that nobody reads costs log lines, which are counted, and no requests";
    without_log("unread", promise, stand.ready(command, DEBUG).await?, &stand).await
}

const DEBUG: &[(&str, &str)] = &[("LOGGING_LEVEL", "debug")];

async fn without_log(name: &'static str, promise: &str, worker: Process, stand: &Stand) -> Outcome {
    // With an id in the header there is a line for each.
    let plan = Plan::new(Pace::Rate(3000.0)).with_header("Request-Id", &"x".repeat(100));
    let verdict = run(stand, plan).await?;
    let dropped = worker.page().await?.sum(LOG_LINES_DROPPED.name);
    let code = worker.stop().await?.code();
    Ok(unaffected(name, promise, verdict)
        .hold(dropped > 0.0, "no dropped line was counted")
        .hold(code == Some(0), format!("exit code {code:?}"))
        .note(format!("{dropped} log lines dropped")))
}

/// Few files, and idle connections that want them all.
pub async fn files() -> Outcome {
    let stand = Stand::start(NARROW)?;
    let command = limited("ulimit -n 64", stand.command(&stand.url()));
    let worker = stand.ready(command, &[]).await?;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(worker.http).await.map_err(|error| error.to_string())?);
    }
    let verdict = run(&stand, Plan::new(Pace::Rate(3000.0))).await?;
    drop(idle);
    let live = worker.get("/livez").await?.0;
    let promise = "idle connections and few files keep nobody from an action";
    Ok(unaffected("files", promise, verdict).hold(live == 200, format!("/livez is {live}")))
}

/// A wall clock that is set an hour ahead and an hour back.
pub async fn clock() -> Outcome {
    const PROMISE: &str = "setting the wall clock changes no answer";
    if Command::new("faketime").arg("--version").output().is_err() {
        return Ok(Report::skipped("clock", PROMISE, "needs faketime on the path"));
    }
    let stand = Stand::start(NARROW)?;
    let clock = stand.folder.path().join("clock");
    let set = |offset: &str| std::fs::write(&clock, offset).map_err(|error| error.to_string());
    set("+0")?;
    // The first command only shows where the library is.
    let found = Command::new("faketime").args(["-m", "now", "printenv", "LD_PRELOAD"]).output();
    let library = found.map_err(|error| error.to_string())?.stdout;
    let library = String::from_utf8_lossy(&library).trim().to_owned();
    let mut command = stand.command(&stand.url());
    command.env("LD_PRELOAD", library).env("FAKETIME_TIMESTAMP_FILE", &clock);
    command.env("FAKETIME_NO_CACHE", "1").env("DONT_FAKE_MONOTONIC", "1");
    let worker = stand.ready(command, &[]).await?;
    let liveness = Liveness::watch(worker.http);
    let load = Load::start(&stand.url(), Plan::new(Pace::Rate(3000.0))).await?;
    for offset in ["+3600", "-3600", "+0"] {
        load.serve(3000, PATIENCE).await?;
        set(offset)?;
    }
    load.serve(3000, PATIENCE).await?;
    let verdict = load.finish().await;
    let dead = liveness.dead();
    Ok(unaffected("clock", PROMISE, verdict).hold(dead == 0, format!("dead {dead} times")))
}

async fn run(stand: &Stand, plan: Plan) -> Result<Verdict, String> {
    let load = Load::start(&stand.url(), plan).await?;
    sleep(TIME).await;
    Ok(load.finish().await)
}

fn unaffected(name: &'static str, promise: &str, verdict: Verdict) -> Report {
    let all = verdict.ok == verdict.sent;
    Report::new(name, promise, verdict).sound().hold(all, "not all got their action")
}

/// The same command under limits that a shell sets.
fn limited(limit: &str, plain: Command) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{limit}; exec \"$0\" \"$@\""));
    command.arg(plain.get_program()).args(plain.get_args());
    if let Some(folder) = plain.get_current_dir() {
        command.current_dir(folder);
    }
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
