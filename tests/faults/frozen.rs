//! Processes that stand still and come back: a worker, the broker.

use std::time::Duration;

use carla_rl::wire::subjects::DEADLINE_HEADER;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    Outcome,
    common::load::{Load, Pace, Plan},
    liveness::Liveness,
    membership::{NARROW, PATIENCE, progress},
    report::Report,
    say,
    stand::Stand,
};

const FROZEN: Duration = Duration::from_secs(15);
/// What simulators wait for.
const DEADLINE: Duration = Duration::from_millis(500);

/// A worker that stands still, with the broker's own idea of when a client is dead.
pub async fn stop() -> Outcome {
    let (report, _) = stop_one_of_three("stop", "").await?;
    let promise = "a worker that stood still computes nothing whose deadline has passed";
    Ok(Report { promise: promise.into(), ..report })
}

/// The same with pings that find it out.
pub async fn stop_tuned() -> Outcome {
    const LIMIT: Duration = Duration::from_secs(5);
    let tuned = "ping_interval: \"2s\"\nping_max: 1\n";
    let (report, noticed) = stop_one_of_three("stop-tuned", tuned).await?;
    let promise = "where the broker pings every 2 s, the others have all requests within 5 s";
    let report = Report { promise: promise.into(), ..report };
    Ok(report.hold(noticed <= LIMIT, format!("after {noticed:.1?}")))
}

/// Gives also how long the frozen worker went on getting requests that nobody answered in time.
async fn stop_one_of_three(
    name: &'static str,
    configuration: &str,
) -> Result<(Report, Duration), String> {
    let stand = Stand::configured(NARROW, configuration)?;
    let pool = futures_util::future::try_join_all((0..3).map(|_| stand.worker(&[]))).await?;
    let plan = Plan::new(Pace::Rate(3000.0));
    let plan = plan.with_header(DEADLINE_HEADER, &DEADLINE.as_millis().to_string());
    let load = Load::start(&stand.url(), plan).await?;
    load.serve(1000, PATIENCE).await?;
    let (stopped, before) = (load.elapsed(), pool[0].page().await?);
    pool[0].signal(Signal::STOP)?;
    sleep(FROZEN).await;
    say(name, progress(&load));
    pool[0].signal(Signal::CONT)?;
    pool[0].become_ready().await?;
    load.recover(PATIENCE).await?;
    load.serve(3000, PATIENCE).await?;
    let (verdict, after) = (load.finish().await, pool[0].page().await?);
    let noticed = verdict.last_unanswered.map_or(FROZEN, |last| last.saturating_sub(stopped));
    let count = |outcome| after.outcome(outcome) - before.outcome(outcome);
    let report = in_time(Report::new(name, "", verdict))
        .hold(after.conserves(), "its counts don't add up")
        .note(format!("frozen for {FROZEN:?}; it went on getting requests for {noticed:.1?}"))
        .note(format!("it: {} expired, {} computed", count("expired"), count("ok")));
    Ok((report, noticed))
}

/// No action is late, but of a batch that had begun. The deadline with something for a busy machine.
fn in_time(report: Report) -> Report {
    const LATE: Duration = Duration::from_secs(1);
    const BATCH: u64 = 64;
    let verdict = &report.verdict;
    let in_time = verdict.served.count_between(0, LATE.as_micros() as u64);
    let late = verdict.served.len() - in_time;
    let unanswered = 100.0 * verdict.unanswered as f64 / verdict.sent as f64;
    report
        .sound()
        .hold(late <= BATCH, format!("{late} actions later than {LATE:?}"))
        .note(format!("{unanswered:.1} % unanswered, {late} actions later than {LATE:?}"))
}

/// A broker that stands still, and workers that ask it every second whether it is there.
pub async fn frozen() -> Outcome {
    const LIMIT: Duration = Duration::from_secs(3);
    let stand = Stand::start(NARROW)?;
    let worker = stand.worker(&[("NATS_PING_INTERVAL_S", "1")]).await?;
    let liveness = Liveness::watch(worker.http);
    let load = Load::start(&stand.url(), Plan::new(Pace::Rate(2000.0))).await?;
    load.serve(1000, PATIENCE).await?;
    stand.signal_broker(Signal::STOP)?;
    sleep(Duration::from_secs(6)).await;
    let noticed = worker.get("/readyz").await?.0 == 503;
    stand.signal_broker(Signal::CONT)?;
    let recovery = load.recover(PATIENCE).await?;
    load.serve(2000, PATIENCE).await?;
    let verdict = load.finish().await;
    let dead = liveness.dead();
    let page = worker.page().await?;
    let promise = "a broker that stands still is noticed, and found again when it goes on";
    Ok(Report::new("frozen", promise, verdict)
        .sound()
        .recovered(recovery, LIMIT)
        .hold(noticed, "the worker still called itself ready after 6 s")
        .hold(dead == 0, format!("/livez was not 200 {dead} times"))
        .hold(page.conserves(), "the worker's counts don't add up"))
}
