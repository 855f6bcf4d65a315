//! More than a worker can compute, and a client that takes no answers.

use std::time::Duration;

use carla_rl::{telemetry::names::DEVICE_BUSY, wire::Code};
use tokio::time::{sleep, timeout};

use crate::{
    Outcome,
    common::{
        load::{Load, Pace, Plan},
        oracle::Verdict,
        slow_reader,
    },
    membership::{NARROW, PATIENCE},
    process::Process,
    report::Report,
    say,
    stand::Stand,
};

/// So wide that the device is what limits.
const WIDE: &[usize] = &[4096, 4096];
/// One thread computes, so that its time is all that the device got.
const LIMITS: &[(&str, &str)] = &[("LIMITS_QUEUE_ROWS", "1024"), ("MODEL_THREADS", "1")];

/// Five times what the device computes. Clients and broker want processors, too, and so may others
/// on the machine: what counts is what the device makes of the time that it gets.
pub async fn flood() -> Outcome {
    let stand = Stand::start(WIDE)?;
    let worker = stand.worker(LIMITS).await?;
    let load = Load::start(&stand.url(), Plan::new(Pace::Window(256))).await?;
    let peak = Speed::of(&load, &worker).await?;
    load.finish().await;
    say("flood", &peak);
    let plan = Plan { connections: 4, ..Plan::new(Pace::Rate(5.0 * peak.served)) };
    let load = Load::start(&stand.url(), plan).await?;
    let flood = Speed::of(&load, &worker).await?;
    let verdict = load.finish().await;
    say("flood", &flood);
    let after = Load::start(&stand.url(), Plan::new(Pace::Rate(0.5 * peak.served))).await?;
    let recovery = after.recover(PATIENCE).await?;
    sleep(Duration::from_secs(1)).await;
    let calm = after.finish().await;
    let page = worker.page().await?;
    Ok(judge(verdict, &peak, &flood)
        .hold(calm.unanswered == 0 && calm.is_sound(), format!("{calm:?} afterwards"))
        .hold(page.conserves(), "the worker's counts don't add up")
        .recovered(recovery, Duration::from_secs(2)))
}

fn judge(verdict: Verdict, peak: &Speed, flood: &Speed) -> Report {
    let ms = |quantile| verdict.refused.value_at_quantile(quantile) as f64 / 1e3;
    let (p50, p99) = (ms(0.5), ms(0.99));
    let (overloaded, share) = (verdict.error(Code::Overloaded), flood.served / peak.served);
    let latest = verdict.served.value_at_quantile(0.99) as f64 / 1e3;
    let promise = "at five times its capacity a worker's device goes on as at its peak, and the rest hears no at once";
    Report::new("flood", promise, verdict)
        .sound()
        .all_answered()
        .hold(flood.yields >= 0.9 * peak.yields, "less than 90 % of the peak's actions")
        .hold(flood.busy >= 0.9, "the device was idle")
        .hold(p50 <= 5.0, "refusals take longer than 5 ms")
        .note(format!("peak: {peak}"))
        .note(format!("flood: {flood}; {:.0} % of the peak by the clock", 100.0 * share))
        .note(format!("{overloaded} refused: p50 {p50:.2} ms, p99 {p99:.2} ms"))
        .note(format!("99 % of the actions within {latest:.0} ms"))
}

/// How fast a worker is under load.
struct Speed {
    /// Actions per second.
    served: f64,
    /// Share of the time in which the device had a batch.
    busy: f64,
    /// Actions for each tick of a processor that the device got.
    yields: f64,
}

impl Speed {
    /// Over ten seconds, once the load has run for two.
    async fn of(load: &Load, worker: &Process) -> Result<Self, String> {
        sleep(Duration::from_secs(2)).await;
        let (served, elapsed) = (load.ok(), load.elapsed());
        let (busy, ticks) = (worker.page().await?.sum(DEVICE_BUSY.name), worker.ticks("device")?);
        sleep(Duration::from_secs(10)).await;
        let (served, elapsed) = ((load.ok() - served) as f64, load.elapsed() - elapsed);
        let (seconds, ticks) = (elapsed.as_secs_f64(), worker.ticks("device")? - ticks);
        let busy = worker.page().await?.sum(DEVICE_BUSY.name) - busy;
        let yields = served / ticks as f64;
        Ok(Self { served: served / seconds, busy: busy / seconds, yields })
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { served, busy, yields } = self;
        write!(f, "{served:.0} actions/s, the device {:.0} % busy, ", 100.0 * busy)?;
        write!(f, "{yields:.2} for each tick of a processor")
    }
}

/// One client that asks and asks and reads no answer.
pub async fn slow_reader() -> Outcome {
    let stand = Stand::configured(NARROW, slow_reader::IMPATIENT)?;
    let worker = stand.worker(&[]).await?;
    let load = Load::start(&stand.url(), Plan::new(Pace::Rate(2000.0))).await?;
    load.serve(1000, PATIENCE).await?;
    let asked = timeout(Duration::from_secs(30), slow_reader::ask(stand.broker.port)).await;
    let asked = asked.map_err(|_| "the broker bears with the slow reader")?;
    let asked = asked.map_err(|error| error.to_string())?;
    load.serve(2000, PATIENCE).await?;
    let verdict = load.finish().await;
    let page = worker.page().await?;
    let promise = "a client that reads no answers is the broker's to end, and harms no other";
    Ok(Report::new("slow-reader", promise, verdict)
        .sound()
        .all_answered()
        .hold(page.conserves(), "the worker's counts don't add up")
        .note(format!("the broker ended it after {asked} requests")))
}
