//! `carla-rl worker`: serve a policy until told to stop.

use std::{
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rand::{RngCore, TryRngCore, rngs::OsRng};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{
    artifacts::{configuration, soundness, written},
    load_settings,
};
use crate::{
    artifact::{Artifact, ArtifactError, Verified, store},
    batch,
    cli::WorkerArgs,
    failure::Failure,
    nats,
    settings::{self, Settings},
    telemetry::{
        About, Monitor, Vitals, logs,
        traces::{Origin, Traces},
        vitals::STALL,
    },
    wire::{Spec, subjects},
    worker::{self, Canary, Served, Setup, Stopped, Watchdog},
};

/// Verifies the artifact, then serves it; with `--check`, only says what would be served.
///
/// # Errors
/// Everything that keeps the worker from starting or going on, with its exit code.
pub fn run(arguments: &WorkerArgs, out: &mut impl Write) -> Result<(), Failure> {
    let settings = load_settings(&arguments.settings)?.settings;
    if arguments.check {
        return check(&settings, out);
    }
    let logs = logs::install(&settings.logging).map_err(Failure::Configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Defect(error.to_string()))?;
    // Before anything tells that this process is there.
    let stop = runtime.block_on(async { stop_on_signal() })?;
    let server = settings.monitoring.enabled.then_some(&settings.server);
    let mut monitor = Monitor::start(server)?;
    let began = Instant::now();
    let Some((artifact, verified)) = open_unless(&stop, &runtime, &settings.model)? else {
        runtime.shutdown_background();
        return Ok(());
    };
    let setup = setup(&settings, &artifact, verified, began.elapsed())?;
    let vitals = setup.vitals.clone();
    vitals.watch_logs(logs.counts());
    Watchdog::start(vitals.clone(), give_up)?;
    monitor.watch(vitals.clone(), &settings.nats);
    let stopped = runtime.block_on(worker::run(setup, stop));
    monitor.stop();
    vitals.traces.finish();
    // A name server that hangs must not keep a drained worker alive.
    runtime.shutdown_background();
    report(&stopped?);
    Ok(())
}

/// The serving thread stands still, so nobody is left to end the process in good order.
fn give_up(why: &str) {
    logs::last_words(format!("carla-rl: {why}: given up; requests may be unanswered"));
    std::process::exit(Failure::Defect(why.into()).exit_code().into());
}

/// The artifact that the settings mean, verified on the device that they name.
///
/// # Errors
/// [`Failure::Configuration`] with the file and what is wrong with it.
pub(super) fn open(model: &settings::Model) -> Result<(Artifact, Verified), Failure> {
    let folder = folder(model).map_err(configuration)?;
    let artifact = Artifact::open(&folder).map_err(configuration)?;
    let mut verified = artifact.verify(model.device, model.precision).map_err(configuration)?;
    verified.policy.spread(model.threads).map_err(Failure::Defect)?;
    Ok((artifact, verified))
}

/// The same on a thread of its own, so that a signal is heard meanwhile: to the first process of a
/// container, one that nobody listens for does not come at all. `None` after a signal; nothing needs
/// to be drained yet.
fn open_unless(
    stop: &watch::Receiver<bool>,
    runtime: &Runtime,
    model: &settings::Model,
) -> Result<Option<(Artifact, Verified)>, Failure> {
    let (mut stop, model) = (stop.clone(), model.clone());
    let opening = runtime.spawn_blocking(move || open(&model));
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => Ok(None),
            opened = opening => match opened {
                Ok(opened) => opened.map(Some),
                Err(error) => Err(Failure::Defect(format!("reading the artifact: {error}"))),
            },
        }
    })
}

fn folder(model: &settings::Model) -> Result<PathBuf, ArtifactError> {
    match &model.path {
        Some(path) => Ok(path.clone()),
        None => store::select(&model.artifacts, &model.name, &model.version),
    }
}

fn check(settings: &Settings, out: &mut impl Write) -> Result<(), Failure> {
    let (artifact, verified) = open(&settings.model)?;
    nats::check(&settings.nats)?;
    let line = soundness(&artifact, &verified, settings.model.precision);
    setup(settings, &artifact, verified, Duration::ZERO)?;
    written(writeln!(out, "{line}"))
}

fn setup(
    settings: &Settings,
    artifact: &Artifact,
    verified: Verified,
    load: Duration,
) -> Result<Setup, Failure> {
    let Settings { model, limits, queue, nats, worker, .. } = settings;
    let name =
        worker.name.clone().unwrap_or_else(|| format!("{:08x}", OsRng.unwrap_err().next_u32()));
    let served = Served::new(artifact, &verified, model.precision, limits, &name);
    let vitals = vitals(settings, &served.spec, load)?;
    let canary = worker.canary.map(|after| Canary {
        golden: verified.golden,
        precision: model.precision,
        after,
    });
    Ok(Setup {
        served,
        canary,
        policy: Box::new(verified.policy),
        nats: nats.clone(),
        drain_timeout: worker.drain_timeout,
        default_budget: queue.deadline,
        vitals: Arc::new(vitals),
    })
}

/// Where all that happens to a worker is told to. `load`: what reading its artifact took.
///
/// # Errors
/// The exporter of traces can't start.
pub(super) fn vitals(settings: &Settings, spec: &Spec, load: Duration) -> Result<Vitals, Failure> {
    let Settings { model, limits, queue, nats, monitoring, .. } = settings;
    let about = About {
        spec: spec.clone(),
        prefix: nats.prefix.clone(),
        boot_id: format!("{:016x}", OsRng.unwrap_err().next_u64()),
        limits: batch::Limits {
            batch_rows: model.max_batch_size,
            max_delay: model.max_delay,
            queue_rows: limits.queue_rows,
            simulator_requests: queue.requests_per_simulator,
            newest_wins: queue.newest_wins,
        },
        stall: STALL,
        load,
        started_at: SystemTime::now(),
    };
    let traces = Traces::start(monitoring, origin(&about))?;
    Ok(Vitals::new(about, traces))
}

fn origin(about: &About) -> Origin {
    let spec = &about.spec;
    Origin {
        worker: spec.worker.clone(),
        model: spec.model.clone(),
        model_version: spec.model_version.clone(),
        subject: subjects::infer(&about.prefix, &spec.model),
        group: spec.model.clone(),
    }
}

/// Becomes true at the first signal. The second one ends the process at once.
fn stop_on_signal() -> Result<watch::Receiver<bool>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Defect(error.to_string()));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        let (name, _) = next_signal(&mut interrupt, &mut terminate).await;
        tracing::info!(signal = name, "stopping; a second signal ends the worker at once");
        stop.send_replace(true);
        let (name, number) = next_signal(&mut interrupt, &mut terminate).await;
        // Not through the log, whose thread would not live to write it.
        logs::last_words(format!(
            "carla-rl: {name} again, stopped at once; requests may be unanswered"
        ));
        std::process::exit(128 + number);
    });
    Ok(stopped)
}

async fn next_signal(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("SIGINT", SignalKind::interrupt().as_raw_value()),
        _ = terminate.recv() => ("SIGTERM", SignalKind::terminate().as_raw_value()),
    }
}

fn report(stopped: &Stopped) {
    let Stopped { received, answered, ignored } = stopped;
    tracing::info!(received, answered = ?answered, ignored, "drained");
}
