//! `carla-rl bench`: how fast the policy is, and a worker with all that is around it.

mod in_process;
mod passes;
mod plan;
mod progress;
mod report;
mod stand;

use std::{fs, io::Write, path::Path, thread};

use tokio::task::spawn_blocking;

use super::{artifacts::written, fleet, load_settings, worker};
use crate::{
    cli::{BenchArgs, BenchEchoArgs},
    failure::Failure,
    loadgen::{
        Arrivals, Results,
        compare::{self, Comparison},
        echo,
        energy::Meters,
        machine,
        results::{self, EndToEnd, Measured, Model},
        table,
    },
    nats,
    policy::NeuralPolicy,
    wire::Spec,
    worker::Served,
};
use plan::Plan;
use progress::Progress;
use stand::Stand;

/// Shares of the closed loop's answers a second at which the report looks.
const RISING: [f64; 5] = [0.1, 0.3, 0.5, 0.7, 0.9];

/// # Errors
/// What keeps something from being measured, a file that can't be read or written, or with
/// `--compare` a figure that is worse.
pub fn run(arguments: &BenchArgs, out: &mut impl Write) -> Result<(), Failure> {
    let earlier = arguments.compare.as_deref().map(read_earlier).transpose()?;
    let plan = Plan::new(arguments)?;
    // Before minutes of measuring.
    arguments.report.as_deref().map(report::prepare).transpose()?;
    let runtime = fleet::runtime()?;
    let results = runtime.block_on(measure(&plan));
    // A pass that is being computed must not keep us.
    runtime.shutdown_background();
    let mut results = results?;
    results.comparison = earlier.map(|old| Comparison::of(&old, &results, arguments.threshold));
    match arguments.json {
        true => written(writeln!(out, "{:#}", serde_json::json!(results)))?,
        false => {
            table::lines(&results).iter().try_for_each(|line| written(writeln!(out, "{line}")))?
        }
    }
    if let Some(folder) = &arguments.report {
        for file in report::write(folder, &results)? {
            eprintln!("{}", file.display());
        }
    }
    results.comparison.as_ref().map_or(Ok(()), judge)
}

/// Answers as barely as can be, until whoever started it is gone.
///
/// # Errors
/// There is no broker, or it goes away.
pub fn echo(arguments: &BenchEchoArgs) -> Result<(), Failure> {
    let settings = load_settings(&arguments.settings)?.settings;
    // A bench that is killed can't end it, but its end of the pipe closes.
    thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = fleet::runtime()?;
    let answering = async {
        let client = nats::connect_once(&settings.nats, "bench-echo").await?.client;
        let subject = arguments.subject.clone();
        echo::answer(&client, subject, "echo".into()).await.map_err(Failure::Unreachable)
    };
    runtime.block_on(answering)
}

fn read_earlier(file: &Path) -> Result<Results, Failure> {
    let wrong =
        |why: String| Failure::Configuration(format!("--compare: {}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    compare::read(&text).map_err(wrong)
}

fn judge(comparison: &Comparison) -> Result<(), Failure> {
    if !comparison.has_common() {
        return Err(Failure::Configuration(
            "--compare: the two runs have no figure in common: measure the same layers, batch sizes and loads"
                .into(),
        ));
    }
    let worse: Vec<_> = comparison.worse().map(|line| line.figure.as_str()).collect();
    match worse.is_empty() {
        true => Ok(()),
        false => Err(Failure::Different(format!("worse than before: {}", worse.join("; ")))),
    }
}

async fn measure(plan: &Plan) -> Result<Results, Failure> {
    // First: whatever ends us must leave no process behind.
    let mut stop = fleet::stop_on_signal()?;
    let model = plan.settings.model.clone();
    let opened = spawn_blocking(move || worker::open(&model)).await;
    let (artifact, verified) = opened.map_err(|error| Failure::Defect(error.to_string()))??;
    let Plan { settings, .. } = plan;
    let served =
        Served::new(&artifact, &verified, settings.model.precision, &settings.limits, "bench");
    let (meters, no_power) = match Meters::find() {
        Ok(meters) => (Some(meters), None),
        Err(why) => (None, Some(why)),
    };
    let mut results = empty(plan, &served.spec, no_power);
    let progress = Progress::new(plan.steps());
    let all = layers(plan, &served, verified.policy, meters.as_ref(), &mut results, &progress);
    let ended = tokio::select! {
        ended = all => Some(ended),
        _ = stop.wait_for(|stop| *stop) => None,
    };
    progress.finish();
    results.stopped_early = ended.is_none();
    ended.unwrap_or(Ok(())).map(|()| results)
}

async fn layers(
    plan: &Plan,
    served: &Served,
    mut policy: NeuralPolicy,
    meters: Option<&Meters>,
    results: &mut Results,
    progress: &Progress,
) -> Result<(), Failure> {
    let spec = &served.spec;
    if plan.forward {
        let passes = results.forward.insert(Vec::new());
        policy = passes::measure(plan, spec, policy, meters, passes, progress).await?;
    }
    if plan.in_process {
        let bursts = results.in_process.insert(Vec::new());
        in_process::measure(plan, served, policy, meters, bursts, progress).await?;
    } else {
        // A device may be too small for the worker's policy and another one.
        drop(policy);
    }
    if plan.end_to_end {
        let mut stand = Stand::start(plan, spec, meters).await?;
        results.machine.nats_server = Some(stand.server.clone());
        let worker_start_s = stand.worker_start.as_secs_f64();
        let into = EndToEnd { worker_start_s, cells: vec![], sweep: vec![] };
        end_to_end(plan, &mut stand, results.end_to_end.insert(into), progress).await?;
        stand.end().await?;
    }
    Ok(())
}

async fn end_to_end(
    plan: &Plan,
    stand: &mut Stand<'_>,
    into: &mut EndToEnd,
    progress: &Progress,
) -> Result<(), Failure> {
    for cell in &plan.cells {
        let measured = stand.rounds(*cell, plan.arrivals, plan.rounds, progress).await?;
        into.cells.push(measured);
    }
    let top = plan.sweep.and_then(|cell| into.cells.iter().find(|measured| measured.cell == cell));
    let Some(Measured { cell, worker, .. }) = top.cloned() else { return Ok(()) };
    for share in RISING {
        let arrivals = Arrivals::Poisson { rate: (share * worker.per_s).max(1.0).round() };
        let measured = stand.rounds(cell, arrivals, 1, progress).await?;
        into.sweep.push(measured);
    }
    Ok(())
}

fn empty(plan: &Plan, spec: &Spec, no_power: Option<String>) -> Results {
    let model = Model {
        name: spec.model.clone(),
        version: spec.model_version.clone(),
        weights: spec.weights.clone(),
        device: spec.device.clone(),
        precision: spec.precision.clone(),
    };
    let settings = results::Settings {
        window_s: plan.window.as_secs_f64(),
        warm_up_s: plan.warm_up.as_secs_f64(),
        rounds: plan.rounds,
        max_batch_size: plan.settings.model.max_batch_size,
        max_delay_us: plan.settings.model.max_delay.as_micros() as u64,
    };
    Results {
        carla_rl_bench: results::SCHEMA,
        machine: machine::describe(None),
        model,
        settings,
        stopped_early: false,
        no_power,
        forward: None,
        in_process: None,
        end_to_end: None,
        comparison: None,
    }
}
