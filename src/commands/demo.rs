//! `carla-rl demo`: broker, worker and fleet on this machine, from start to end.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use tokio::{process::Child, sync::watch};

use super::{artifacts::written, child, fleet};
use crate::{
    artifact::store,
    broker::{self, Broker},
    cli::{DemoArgs, DriveArgs},
    failure::Failure,
    fleet::exchange::Form,
};

/// Where the picture goes if nobody says.
const PICTURE: &str = "demo.svg";

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
        status = worker.wait() => return Err(child::ended_early(status)),
    };
    child::drain(&mut worker).await?;
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

/// Settings of the surroundings that would lead it elsewhere are overruled by flags.
fn start_worker(url: &str, artifacts: &Path) -> Result<Child, Failure> {
    let mut command = child::command("worker")?;
    command
        .args(["--nats-url", url, "--model", store::EXAMPLE, "--artifacts"])
        .arg(artifacts)
        // Another worker may have the usual port.
        .env("SERVER_PORT", "0");
    child::start(&mut command)
}
