//! `carla-rl ping`: whether and how fast a pool answers.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use async_nats::Client;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{artifacts::written, fleet};
use crate::{
    cli::PingArgs,
    failure::Failure,
    nats,
    ping::{Report, Target, Times, report::Outcome},
    printable::printable,
    settings::Settings,
    wire::Spec,
};

/// Round trips to the broker alone.
const BARE: usize = 5;

/// # Errors
/// No broker, no worker, or a request that was not answered with an action.
pub fn run(arguments: &PingArgs, out: &mut impl Write) -> Result<(), Failure> {
    let settings = fleet::pool_settings(&arguments.pool, arguments.model.clone())?;
    let runtime = fleet::runtime()?;
    let report = runtime.block_on(ping(&settings, arguments, out));
    // A name server that hangs must not keep us.
    runtime.shutdown_background();
    let report = report?;
    match arguments.json {
        true => written(writeln!(out, "{:#}", serde_json::json!(report)))?,
        false => written(writeln!(out, "{}", report.line()))?,
    }
    judge(&report)
}

async fn ping(
    Settings { nats, model, .. }: &Settings,
    arguments: &PingArgs,
    out: &mut impl Write,
) -> Result<Report, Failure> {
    let stop = fleet::stop_on_signal()?;
    let client = nats::connect_once(nats, "ping").await?.client;
    let limit = arguments.timeout;
    let broker = bare_round_trips(&client, limit).await;
    let target = Target::find(client, &nats.prefix, &model.name, limit).await?;
    if !arguments.json {
        let Spec { model, model_version, weights, device, precision, .. } = &target.spec;
        let subject = &target.subject;
        let served = format!("{model} {model_version} ({weights}), {device} {precision}");
        written(writeln!(out, "{subject}: {}", printable(&served)))?;
        let inbox = &nats.inbox_prefix;
        match &broker {
            Some(times) => written(writeln!(out, "broker alone: {times}"))?,
            None => written(writeln!(
                out,
                "broker alone: not known, as nothing comes back on {inbox}.>: may we publish there?"
            ))?,
        }
    }
    let replies = ask(&target, arguments, stop, out).await?;
    Ok(Report::new(&target.subject, &target.spec, broker, replies))
}

/// Until all are sent or somebody stops it.
async fn ask(
    target: &Target,
    arguments: &PingArgs,
    mut stop: watch::Receiver<bool>,
    out: &mut impl Write,
) -> Result<Vec<Outcome>, Failure> {
    let mut ticks = interval(arguments.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut replies = Vec::new();
    for number in 1..=arguments.count {
        let asked = async {
            ticks.tick().await;
            Outcome::from(target.ask(arguments.timeout).await)
        };
        let outcome = tokio::select! {
            outcome = asked => outcome,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        if !arguments.json {
            written(writeln!(out, "{number:>3}  {}", printable(&outcome.to_string())))?;
        }
        replies.push(outcome);
    }
    Ok(replies)
}

/// `None`: nothing comes back within `limit`, as where a user may not publish to its own inbox.
async fn bare_round_trips(client: &Client, limit: Duration) -> Option<Times> {
    let mut durations = Vec::new();
    for _ in 0..BARE {
        let sent = Instant::now();
        timeout(limit, nats::round_trip(client)).await.ok()?.ok()?;
        durations.push(sent.elapsed());
    }
    Times::of_durations(&durations)
}

fn judge(report: &Report) -> Result<(), Failure> {
    let first = report.replies.iter().find_map(|outcome| match outcome {
        Outcome::Trouble { error } => Some(error),
        Outcome::Answer(_) => None,
    });
    match first {
        None => Ok(()),
        Some(trouble) => Err(Failure::Unreachable(format!(
            "{} of {} requests got no action: {}: {}",
            report.errors, report.sent, trouble.code, trouble.message
        ))),
    }
}

/// One request, for whoever only wants to know whether an action comes. All of it within `limit`.
///
/// # Errors
/// [`Failure::Unreachable`] if none came; [`Failure::Configuration`] if none could.
pub async fn once(
    nats: &crate::settings::Nats,
    model: &str,
    limit: Duration,
) -> Result<(), Failure> {
    let asked = async {
        let client = nats::connect_once(nats, "probe").await?.client;
        let target = Target::find(client, &nats.prefix, model, limit).await?;
        let answer = target.ask(limit).await;
        answer.map_err(|why| Failure::Unreachable(format!("{}: {}", why.code, why.message)))
    };
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map(|_| ()),
        Err(_) => Err(Failure::Unreachable(format!(
            "model {model} did not answer at {} within {limit:?}",
            nats.servers
        ))),
    }
}
