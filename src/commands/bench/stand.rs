//! The layer `end-to-end`: a broker, a worker and an echo, each a process of its own.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rand::{RngCore, TryRngCore, rngs::OsRng};
use tokio::{
    process::{Child, Command},
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{Plan, Progress};
use crate::{
    broker::{self, Broker},
    cli::SettingsArgs,
    commands::{child, load_settings, probe::Place},
    failure::Failure,
    loadgen::{
        Arrivals, Cell, Load, Moment, Question, Window, energy::Meters, results::Measured,
        stages::Sums, usage::Processes, window::Used,
    },
    nats,
    settings::Nats,
    wire::{Spec, subjects},
};

/// How long a worker may take to get ready: a large policy on a GPU takes a while.
const READY_LIMIT: Duration = Duration::from_secs(120);
const ECHO_LIMIT: Duration = Duration::from_secs(20);
/// Between two looks whether one is ready.
const RETRY: Duration = Duration::from_millis(5);
/// Lines of a worker's log that are shown when it fails.
const LAST_LINES: usize = 5;

pub struct Stand<'a> {
    plan: &'a Plan,
    spec: &'a Spec,
    meters: Option<&'a Meters>,
    nats: Nats,
    // In this order: who answers goes before the broker that it answers over.
    worker: Child,
    echo: Child,
    broker: Option<Broker>,
    folder: tempfile::TempDir,
    place: Place,
    /// From the start of its process until it was ready.
    pub worker_start: Duration,
    /// The broker's version.
    pub server: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Echo,
    Worker,
}

impl<'a> Stand<'a> {
    /// # Errors
    /// There is no broker, or the worker or the echo does not get ready.
    pub async fn start(
        plan: &'a Plan,
        spec: &'a Spec,
        meters: Option<&'a Meters>,
    ) -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(|error| Failure::Defect(error.to_string()))?;
        let start = |server: &PathBuf| Broker::start(server, folder.path());
        let broker = plan.server.as_ref().map(start).transpose().map_err(Failure::Unreachable)?;
        let mut flags = plan.flags.clone();
        flags.nats_url = broker.as_ref().map(Broker::url).or(flags.nats_url);
        let mut nats = load_settings(&flags)?.settings.nats;
        // Nobody else's worker may take the requests, and ours none of somebody else's.
        nats.prefix = format!("{}.bench-{:08x}", nats.prefix, OsRng.unwrap_err().next_u32());
        let server = nats::connect_once(&nats, "bench").await?.client.server_info().version;
        let echo = start_echo(&flags, &nats, echo_subject(&nats, spec)).await?;
        let port = broker::free_port().map_err(|error| Failure::Defect(error.to_string()))?;
        let place = Place { host: "127.0.0.1".into(), port };
        let began = Instant::now();
        let log = log(folder.path());
        let mut worker = start_worker(&flags, &nats, port, &log)?;
        let ready = wait_until_ready(&mut worker, &place, &log).await;
        ready.map_err(Failure::Unreachable)?;
        let worker_start = began.elapsed();
        Ok(Self {
            plan,
            spec,
            meters,
            nats,
            worker,
            echo,
            broker,
            folder,
            place,
            worker_start,
            server,
        })
    }

    /// Echo and worker in turns.
    ///
    /// # Errors
    /// The pool does not take such requests, the broker is gone, or the worker.
    pub async fn rounds(
        &mut self,
        cell: Cell,
        arrivals: Arrivals,
        rounds: usize,
        progress: &Progress,
    ) -> Result<Measured, Failure> {
        let question = Question::to_pool(&self.nats.prefix, self.spec, cell.rows);
        let to_worker = question.map_err(Failure::Configuration)?;
        let to_echo = to_worker.to_echo(echo_subject(&self.nats, self.spec));
        let mut windows = Vec::new();
        for round in 1..=rounds {
            let rate = arrivals.rate().map_or(String::new(), |rate| format!(" at {rate}/s"));
            let what = |who| format!("{cell}{rate}, {who}, round {round} of {rounds}");
            let load = |question: &Question| Load {
                nats: self.nats.clone(),
                question: question.clone(),
                cell,
                arrivals,
                warm_up: self.plan.warm_up,
                window: self.plan.window,
                seed: round as u64,
            };
            let (of_echo, of_worker) = (load(&to_echo), load(&to_worker));
            progress.step(what("echo"));
            let echo = self.window(Who::Echo, &of_echo).await?;
            progress.done();
            progress.step(what("worker"));
            let worker = self.window(Who::Worker, &of_worker).await?;
            progress.done();
            windows.push((echo, worker));
        }
        Ok(Measured::of(cell, arrivals, to_worker.body.len(), &windows))
    }

    async fn window(&mut self, who: Who, load: &Load) -> Result<Window, Failure> {
        let responder = match who {
            Who::Echo => self.echo.id(),
            Who::Worker => self.worker.id(),
        };
        let broker = self.broker.as_ref().map(Broker::id);
        let mut processes = Processes::new(&[responder, broker, Some(std::process::id())]);
        let sums = || match who {
            Who::Echo => None,
            Who::Worker => Some(Sums::read(&self.place.fetch("/metrics").ok()?.body)),
        };
        let energy = || self.meters.and_then(|meters| meters.read().ok());
        let (mut before, mut after) = ((None, None), (None, None));
        let mut used = Vec::new();
        let mut foreign_cores = None;
        let mut look = |moment| match moment {
            Moment::Begin => {
                before = (sums(), energy());
                processes.begin();
            }
            Moment::Within => _ = processes.look(),
            Moment::End => {
                used = processes.used();
                foreign_cores = processes.foreign_cores(&used);
                after = (sums(), energy());
            }
        };
        let recorder = load.run(&mut look).await?;
        self.see_that_all_live()?;
        let joules = self.meters.zip(before.1.zip(after.1));
        let joules = joules.map(|(meters, (from, to))| meters.joules(&from, &to));
        let used = |at: usize| used.get(at).copied().flatten();
        Ok(Window {
            recorder,
            used: Used { responder: used(0), broker: used(1), load: used(2) },
            memory: processes.peak()[0],
            watts: joules.map(|joules| joules / load.window.as_secs_f64()),
            foreign_cores,
            sums: before.0.zip(after.0).map(|(before, after)| after.since(&before)),
        })
    }

    fn see_that_all_live(&mut self) -> Result<(), Failure> {
        if let Ok(Some(status)) = self.echo.try_wait() {
            return Err(Failure::Defect(format!("the echo ended with {status}")));
        }
        if let Ok(Some(status)) = self.worker.try_wait() {
            let log = last_lines(&log(self.folder.path()));
            return Err(Failure::Defect(format!("the worker ended with {status}{log}")));
        }
        Ok(())
    }

    /// # Errors
    /// The worker does not end as it promises.
    pub async fn end(mut self) -> Result<(), Failure> {
        child::drain(&mut self.worker).await
    }
}

/// No model can have this one, whatever its name.
fn echo_subject(nats: &Nats, spec: &Spec) -> String {
    format!("{}.echo", subjects::infer(&nats.prefix, &spec.model))
}

fn log(folder: &Path) -> PathBuf {
    folder.join("worker.log")
}

fn start_worker(
    flags: &SettingsArgs,
    nats: &Nats,
    port: u16,
    log: &Path,
) -> Result<Child, Failure> {
    let unwritable = |error| Failure::Defect(format!("{}: {error}", log.display()));
    let mut command = child::command("worker")?;
    settle(&mut command, flags)
        .env("NATS_PREFIX", &nats.prefix)
        .env("SERVER_HOST", "127.0.0.1")
        .env("SERVER_PORT", port.to_string())
        .env("MONITORING_ENABLED", "true")
        .stderr(File::create(log).map_err(unwritable)?);
    child::start(&mut command)
}

async fn wait_until_ready(worker: &mut Child, place: &Place, log: &Path) -> Result<(), String> {
    let began = Instant::now();
    let mut said = String::from("nothing");
    while began.elapsed() < READY_LIMIT {
        if let Ok(Some(status)) = worker.try_wait() {
            return Err(format!(
                "the worker ended with {status} before it was ready{}",
                last_lines(log)
            ));
        }
        let place = place.clone();
        match spawn_blocking(move || place.fetch("/readyz")).await {
            Ok(Ok(reply)) if reply.status == 200 => return Ok(()),
            Ok(Ok(reply)) => said = reply.body.trim().to_owned(),
            Ok(Err(_)) | Err(_) => {}
        }
        sleep(RETRY).await;
    }
    let log = last_lines(log);
    Err(format!("the worker was not ready within {READY_LIMIT:?}; it said: {said}{log}"))
}

/// What a worker wrote last, each line on one of its own.
fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines
        .iter()
        .skip(lines.len().saturating_sub(LAST_LINES))
        .map(|line| format!("\n  {line}"))
        .collect()
}

async fn start_echo(flags: &SettingsArgs, nats: &Nats, subject: String) -> Result<Child, Failure> {
    let mut command = child::command("bench-echo")?;
    // The pipe that tells it when we are gone.
    settle(&mut command, flags).args(["--subject", &subject]).stdin(Stdio::piped());
    let echo = child::start(&mut command)?;
    let client = nats::connect_once(nats, "bench").await?.client;
    let answered = async {
        while client.request(subject.clone(), "".into()).await.is_err() {
            sleep(RETRY).await;
        }
    };
    let silent = |_| {
        Failure::Unreachable(format!(
            "the echo did not answer on {subject} within {ECHO_LIMIT:?}: may this user subscribe there?"
        ))
    };
    timeout(ECHO_LIMIT, answered).await.map_err(silent).map(|()| echo)
}

/// Passes the flags on. An address may hold a password, which others could read among arguments.
fn settle<'a>(command: &'a mut Command, flags: &SettingsArgs) -> &'a mut Command {
    let SettingsArgs {
        config,
        profile,
        nats_url,
        model,
        model_version,
        artifacts,
        device,
        threads,
    } = flags;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.clone().into_os_string());
    let text = |text: &Option<String>| text.as_ref().map(OsString::from);
    let all = [
        ("--config", path(config)),
        ("--profile", text(profile)),
        ("--model", text(model)),
        ("--model-version", text(model_version)),
        ("--artifacts", path(artifacts)),
        ("--device", text(device)),
        ("--threads", text(threads)),
    ];
    for (flag, value) in all {
        command.args(value.map(|value| [flag.into(), value]).into_iter().flatten());
    }
    command.envs(nats_url.as_ref().map(|url| ("NATS_URL", url)))
}
