//! The broker goes and comes back; the way to it breaks.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    Outcome,
    common::{
        load::{Load, Pace, Plan},
        proxy::{Fault, Proxy},
    },
    liveness::Liveness,
    membership::{NARROW, PATIENCE, progress},
    report::Report,
    say,
    stand::Stand,
};

/// The library looks once a second.
const LIMIT: Duration = Duration::from_secs(2);

/// The broker killed and started anew on the same port, ten times.
pub async fn broker() -> Outcome {
    const ROUNDS: u32 = 10;
    let mut stand = Stand::start(NARROW)?;
    let mut worker = stand.worker(&[]).await?;
    let liveness = Liveness::watch(worker.http);
    let load = Load::start(&stand.url(), Plan::new(Pace::Rate(5000.0))).await?;
    let mut longest = Duration::ZERO;
    for round in 1..=ROUNDS {
        load.serve(2500, PATIENCE).await?;
        stand.broker.kill();
        sleep(Duration::from_millis(700)).await;
        stand.broker.restart()?;
        longest = longest.max(load.recover(PATIENCE).await?);
        if round.is_multiple_of(5) {
            say("broker", format!("{round} of {ROUNDS}; {}", progress(&load)));
        }
    }
    let verdict = load.finish().await;
    let (alive, dead, page) = (worker.is_alive(), liveness.dead(), worker.page().await?);
    let code = worker.stop().await?.code();
    let promise = "workers outlive their broker, and serve again within 2 s of its return";
    Ok(Report::new("broker", promise, verdict)
        .sound()
        .recovered(longest, LIMIT)
        .hold(alive && code == Some(0), format!("alive: {alive}, exit code {code:?}"))
        .hold(dead == 0, format!("/livez was not 200 {dead} times"))
        .hold(page.conserves(), "the worker's counts don't add up")
        .note(format!("{ROUNDS} restarts of the broker")))
}

/// What happens to the only worker's connections, and for how long. Recovered is it once actions come
/// again, counted from the fault's end.
pub async fn cut(name: &'static str, fault: Fault, lasting: Duration) -> Outcome {
    let stand = Stand::start(NARROW)?;
    let proxy = Proxy::start(stand.broker.port).await.map_err(|error| error.to_string())?;
    let command = stand.command(&proxy.url());
    let worker = stand.ready(command, &[("NATS_PING_INTERVAL_S", "1")]).await?;
    let liveness = Liveness::watch(worker.http);
    let load = Load::start(&stand.url(), Plan::new(Pace::Rate(500.0))).await?;
    load.serve(500, PATIENCE).await?;
    load.forget_gap();
    proxy.set(fault);
    sleep(lasting).await;
    let called_ready = worker.get("/readyz").await?.0 == 200;
    proxy.set(Fault::None);
    load.recover(PATIENCE).await?;
    load.serve(1000, PATIENCE).await?;
    let recovery = load.gap().saturating_sub(lasting);
    let verdict = load.finish().await;
    let (dead, page) = (liveness.dead(), worker.page().await?);
    let code = worker.stop().await?.code();
    let report = Report::new(name, "a broken way to the broker is given up for a new one", verdict)
        .recovered(recovery, LIMIT)
        .hold(code == Some(0), format!("exit code {code:?}"))
        .hold(dead == 0, format!("/livez was not 200 {dead} times"))
        .hold(page.conserves(), "the worker's counts don't add up");
    Ok(match fault {
        // Nobody can tell what was altered within a body.
        Fault::Garbage => report,
        Fault::Slow => {
            Report { promise: "a slow way loses nothing".into(), ..report }.sound().all_answered()
        }
        Fault::BlackHole => report.sound().hold(!called_ready, "it still called itself ready"),
        _ => report.sound(),
    })
}
