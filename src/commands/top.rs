//! `carla-rl top`: a pool of workers as they say they are.

use std::{
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use super::{artifacts::written, fleet};
use crate::{
    cli::TopArgs,
    failure::Failure,
    nats,
    settings::Nats,
    view::{
        feed::{self, Feed},
        live, report,
        watch::Watch,
    },
    wire::subjects::is_token,
};

/// A little more than the two seconds between two health messages.
const ONCE: Duration = Duration::from_millis(2500);

/// # Errors
/// No broker (with `--once`), no terminal (without), or a broker that refuses us.
pub fn run(arguments: &TopArgs, out: &mut impl Write) -> Result<(), Failure> {
    check(arguments)?;
    let nats = fleet::pool_settings(&arguments.pool, None)?.nats;
    let watch = Watch::new(nats.servers.to_string(), nats.prefix.clone(), arguments.model.clone());
    let runtime = fleet::runtime()?;
    let ended = runtime.block_on(async {
        match arguments.once {
            true => once(nats, watch, arguments.json, out).await,
            false => follow(nats, watch).await,
        }
    });
    // A name server that hangs must not keep us.
    runtime.shutdown_background();
    ended
}

fn check(arguments: &TopArgs) -> Result<(), Failure> {
    let model = &arguments.model;
    if model != "*" && !is_token(model) {
        let expected = "expected letters, digits, _ and -, or * for all models";
        return Err(Failure::Configuration(format!("--model: {expected}, got {model:?}")));
    }
    if !arguments.once && !stdout().is_terminal() {
        let why = "standard output is no terminal: use top --once, or --once --json for scripts";
        return Err(Failure::Configuration(why.into()));
    }
    Ok(())
}

async fn follow(nats: Nats, watch: Watch) -> Result<(), Failure> {
    let stop = fleet::stop_on_signal()?;
    let feed = feed::listen(feed::with_patience(nats), &watch.prefix, &watch.model);
    live::show(watch, feed, stop).await
}

async fn once(
    nats: Nats,
    mut watch: Watch,
    json: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let connection = nats::connect_once(&nats, "top").await?;
    let feed = feed::listen(async { Ok(connection) }, &watch.prefix, &watch.model);
    let started = Instant::now();
    let collecting = collect(feed, &mut watch, started);
    if let Ok(Err(failure)) = tokio::time::timeout(ONCE, collecting).await {
        return Err(failure);
    }
    let now = started.elapsed();
    if watch.pool.workers().next().is_none() {
        let Watch { prefix, model, broker, .. } = &watch;
        let model = if model == "*" { "any model" } else { model };
        eprintln!(
            "carla-rl: no worker of {model} under the prefix {prefix} was heard at {} in {ONCE:?}",
            broker.address
        );
    }
    match json {
        true => {
            let object = report::json(&watch, now);
            let object = object.map_err(|error| Failure::Defect(error.to_string()))?;
            written(writeln!(out, "{object:#}"))
        }
        false => written(writeln!(out, "{}", report::table(&watch, now))),
    }
}

async fn collect(mut feed: Feed, watch: &mut Watch, started: Instant) -> Result<(), Failure> {
    while let Some(heard) = feed.recv().await {
        watch.hear(&heard?, started.elapsed());
    }
    Ok(())
}
