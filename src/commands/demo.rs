//! `carla-rl demo`: broker, worker and fleet on this machine, from start to end.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    sync::watch,
    time::timeout,
};

use super::{artifacts::written, fleet};
use crate::{
    artifact::store,
    broker::{self, Broker},
    cli::{DemoArgs, DriveArgs},
    failure::Failure,
    fleet::exchange::Form,
};

/// Where the picture goes if nobody says.
const PICTURE: &str = "demo.svg";
/// More than a worker's own drain timeout.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// # Errors
/// There is no nats-server, the worker does not start or does not end well, the fleet fails.
pub fn run(arguments: &DemoArgs, out: &mut impl Write) -> Result<(), Failure> {
    let server = broker::find(arguments.nats_server.as_deref()).map_err(Failure::Configuration)?;
    let folder = tempfile::tempdir().map_err(|error| Failure::Defect(error.to_string()))?;
    fleet::runtime()?.block_on(async {
        // First: whatever ends us must leave no process behind.
        let stop = fleet::stop_on_signal()?;
        let broker = Broker::start(&server, folder.path()).map_err(Failure::Unreachable)?;
        eprintln!("broker       {} on {}", server.display(), broker.url());
        demonstrate(arguments, &broker.url(), stop, out).await
    })
}

async fn demonstrate(
    arguments: &DemoArgs,
    url: &str,
    stop: watch::Receiver<bool>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut worker = start_worker(url, &arguments.artifacts)?;
    eprintln!("worker       process {}", worker.id().unwrap_or_default());
    let mut drive = arguments.drive.clone();
    if drive.plot.is_none() && !drive.json {
        drive.plot = Some(PathBuf::from(PICTURE));
    }
    let driven = tokio::select! {
        driven = drive_vehicles(url, &drive, stop) => driven?,
        status = worker.wait() => return Err(ended_early(status)),
    };
    drain(&mut worker).await?;
    fleet::finish(&driven, &drive, out)?;
    if drive.json { Ok(()) } else { written(writeln!(out, "worker       drained, exit code 0")) }
}

async fn drive_vehicles(
    url: &str,
    drive: &DriveArgs,
    stop: watch::Receiver<bool>,
) -> Result<fleet::Driven, Failure> {
    let settings = fleet::settings(&[("demo", "nats.url", Some(url.to_owned()))])?;
    fleet::drive(&settings.nats, store::EXAMPLE, Form::Native, drive, stop).await
}

/// The same program in a process of its own. Settings of the surroundings that would lead it
/// elsewhere are overruled by flags.
fn start_worker(url: &str, artifacts: &Path) -> Result<Child, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::Defect(error.to_string()))?;
    let mut command = Command::new(program);
    command
        .args(["worker", "--nats-url", url, "--model", store::EXAMPLE, "--artifacts"])
        .arg(artifacts)
        // Another worker may have the usual port.
        .env("SERVER_PORT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Ctrl-C in a terminal goes to the whole group; the fleet stops first, then the worker.
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(|error| Failure::Defect(format!("the worker can't start: {error}")))
}

/// Tells the worker to stop, and sees that it ends as promised.
async fn drain(worker: &mut Child) -> Result<(), Failure> {
    let pid = worker.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let told = pid.map(|pid| kill_process(pid, Signal::TERM));
    if let Some(Err(error)) = told {
        return Err(Failure::Defect(format!("the worker can't be stopped: {error}")));
    }
    match timeout(DRAIN_LIMIT, worker.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => Err(ended_early(status)),
        Err(_) => Err(Failure::Defect(format!("the worker did not drain within {DRAIN_LIMIT:?}"))),
    }
}

fn ended_early(status: std::io::Result<std::process::ExitStatus>) -> Failure {
    match status {
        Ok(status) => Failure::Defect(format!("the worker ended with {status}; see its log above")),
        Err(error) => Failure::Defect(format!("the worker is lost: {error}")),
    }
}
