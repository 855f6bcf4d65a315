//! `carla-rl demo`: broker, worker and fleet on this machine, from start to end.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use tokio::{
    process::{Child, Command},
    sync::watch,
};

use super::{
    artifacts::written,
    child,
    fleet::{self, Table},
};
use crate::{
    artifact::store,
    broker::{self, Broker},
    cli::{DemoArgs, DriveArgs},
    failure::Failure,
    fleet::{
        exchange::Form,
        gym,
        score::{Outcome, Snapshot, Summary},
    },
    settings::Settings,
};

/// Where the picture goes if nobody says.
const PICTURE: &str = "demo.svg";
/// The policy that drives on the highway of highway-env.
const HIGHWAY: &str = "highway-ppo";
/// Of highway-env: each is a process with some hundred megabytes.
const MAX_PROCESSES: u32 = 1000;

/// # Errors
/// There is no nats-server, the worker does not start or does not end well, the fleet fails.
pub fn run(arguments: &DemoArgs, out: &mut impl Write) -> Result<(), Failure> {
    if arguments.gym {
        check(arguments)?;
    }
    let server = broker::find(arguments.nats_server.as_deref()).map_err(Failure::Configuration)?;
    let folder = tempfile::tempdir().map_err(|error| Failure::Defect(error.to_string()))?;
    fleet::runtime()?.block_on(async {
        // First: whatever ends us must leave no process behind.
        let stop = fleet::stop_on_signal()?;
        let broker = Broker::start(&server, folder.path()).map_err(Failure::Unreachable)?;
        eprintln!("broker       {} on {}", server.display(), broker.url());
        match arguments.gym {
            true => demonstrate_gym(arguments, &broker.url(), stop, out).await?,
            false => demonstrate(arguments, &broker.url(), stop, out).await?,
        }
        match arguments.drive.json {
            true => Ok(()),
            false => written(writeln!(out, "worker       drained, exit code 0")),
        }
    })
}

async fn demonstrate(
    arguments: &DemoArgs,
    url: &str,
    stop: watch::Receiver<bool>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let mut drive = arguments.drive.clone();
    if drive.plot.is_none() && !drive.json {
        drive.plot = Some(PathBuf::from(PICTURE));
    }
    let driving = drive_vehicles(url, &drive, stop);
    let driven = served(store::EXAMPLE, url, &arguments.artifacts, driving).await?;
    fleet::finish(&driven, &drive, out)
}

async fn demonstrate_gym(
    arguments: &DemoArgs,
    url: &str,
    stop: watch::Receiver<bool>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let driving = drive_environments(url, arguments, stop);
    let summary = served(HIGHWAY, url, &arguments.artifacts, driving).await?;
    fleet::sum_up(&summary, arguments.drive.json, out)
}

/// What `driving` gives while a worker serves `model`, which ends with it.
async fn served<T>(
    model: &str,
    url: &str,
    artifacts: &Path,
    driving: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut worker = start_worker(model, url, artifacts)?;
    eprintln!("worker       process {}", worker.id().unwrap_or_default());
    let driven = tokio::select! {
        driven = driving => driven?,
        status = worker.wait() => return Err(child::ended_early(status)),
    };
    child::drain(&mut worker).await?;
    Ok(driven)
}

async fn drive_vehicles(
    url: &str,
    drive: &DriveArgs,
    stop: watch::Receiver<bool>,
) -> Result<fleet::Driven, Failure> {
    let settings = settings(url)?;
    fleet::drive(&settings.nats, store::EXAMPLE, Form::Native, drive, stop).await
}

async fn drive_environments(
    url: &str,
    arguments: &DemoArgs,
    stop: watch::Receiver<bool>,
) -> Result<Summary, Failure> {
    let DriveArgs { vehicles, hz, duration, .. } = arguments.drive;
    let vehicles = vehicles as usize;
    let mut table = Table::new("driving", vehicles);
    let mut every_second = |snapshot: &Snapshot| table.row(snapshot);
    let mut program = fleet_program(url, &settings(url)?.nats.prefix, arguments);
    eprintln!(
        "fleet        {vehicles} processes with environments, which take some seconds to start"
    );
    let reports = gym::drive(&mut program, duration, stop, &mut every_second).await?;
    Ok(reports.score.summary(vehicles, hz, Outcome::Episodes(reports.episodes)))
}

fn settings(url: &str) -> Result<Settings, Failure> {
    fleet::settings(&[("demo", "nats.url", Some(url.to_owned()))])
}

fn fleet_program(url: &str, prefix: &str, arguments: &DemoArgs) -> Command {
    let DriveArgs { vehicles, hz, .. } = &arguments.drive;
    let mut command = Command::new(&arguments.python);
    command
        .arg(&arguments.fleet_program)
        .args(["--json-lines", "--url", url, "--model", HIGHWAY, "--prefix", prefix])
        .args(["--processes", &vehicles.to_string()]);
    if let Some(hz) = hz {
        command.args(["--hz", &hz.to_string()]);
    }
    command
}

fn check(arguments: &DemoArgs) -> Result<(), Failure> {
    let DemoArgs { drive, fleet_program, .. } = arguments;
    if drive.vehicles > MAX_PROCESSES {
        return Err(Failure::Configuration(format!(
            "--vehicles: expected at most {MAX_PROCESSES} with --gym, each is a process; got {}",
            drive.vehicles
        )));
    }
    if !fleet_program.is_file() {
        let here = std::env::current_dir().unwrap_or_default();
        return Err(Failure::Configuration(format!(
            "--fleet-program: there is no {}; start the demonstration at the root of the repository, or name the program",
            here.join(fleet_program).display()
        )));
    }
    Ok(())
}

/// Settings of the surroundings that would lead it elsewhere are overruled by flags.
fn start_worker(model: &str, url: &str, artifacts: &Path) -> Result<Child, Failure> {
    let mut command = child::command("worker")?;
    command
        .args(["--nats-url", url, "--model", model, "--artifacts"])
        .arg(artifacts)
        // Another worker may have the usual port.
        .env("SERVER_PORT", "0");
    child::start(&mut command)
}
