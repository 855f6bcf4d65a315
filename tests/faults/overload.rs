//! More than a worker can compute, and a client that takes no answers.

use std::time::Duration;

use carla_rl::wire::Code;
use tokio::time::{sleep, timeout};

use crate::{
    Outcome,
    common::{
        load::{Load, Pace, Plan},
        slow_reader,
    },
    membership::{NARROW, PATIENCE},
    report::Report,
    say,
    stand::Stand,
};

/// So wide that the device is what limits.
const WIDE: &[usize] = &[2048, 2048];
const LIMITS: &[(&str, &str)] = &[("LIMITS_QUEUE_ROWS", "1024")];

/// Five times what the device computes.
pub async fn flood() -> Outcome {
    let stand = Stand::start(WIDE)?;
    let worker = stand.worker(LIMITS).await?;
    let load = Load::start(&stand.url(), Plan::new(Pace::Window(256))).await?;
    let peak = rate(&load, Duration::from_secs(6)).await;
    load.finish().await;
    say("flood", format!("{peak:.0} actions/s at most"));
    let plan = Plan { connections: 4, ..Plan::new(Pace::Rate(5.0 * peak)) };
    let load = Load::start(&stand.url(), plan).await?;
    let goodput = rate(&load, Duration::from_secs(12)).await;
    let verdict = load.finish().await;
    say("flood", format!("{goodput:.0} actions/s in the flood"));
    let after = Load::start(&stand.url(), Plan::new(Pace::Rate(0.5 * peak))).await?;
    let recovery = after.recover(PATIENCE).await?;
    sleep(Duration::from_secs(1)).await;
    let calm = after.finish().await;
    let page = worker.page().await?;
    let ms = |quantile| verdict.refused.value_at_quantile(quantile) as f64 / 1e3;
    let (p50, p99) = (ms(0.5), ms(0.99));
    let served = verdict.served.value_at_quantile(0.99) as f64 / 1e3;
    let overloaded = verdict.error(Code::Overloaded);
    let promise =
        "at five times its capacity a worker serves 90 % of its peak, and says no at once";
    Ok(Report::new("flood", promise, verdict)
        .sound()
        .all_answered()
        .hold(goodput >= 0.9 * peak, "less than 90 % of the peak")
        .hold(p50 <= 5.0, "refusals take longer than 5 ms")
        .hold(calm.unanswered == 0 && calm.is_sound(), format!("{calm:?} afterwards"))
        .hold(page.conserves(), "the worker's counts don't add up")
        .recovered(recovery, Duration::from_secs(2))
        .note(format!(
            "peak {peak:.0}/s, in the flood {goodput:.0}/s ({:.0} %)",
            100.0 * goodput / peak
        ))
        .note(format!(
            "{overloaded} refused: p50 {p50:.2} ms, p99 {p99:.2} ms; actions p99 {served:.0} ms"
        )))
}

/// Actions per second, once it has run for two seconds.
async fn rate(load: &Load, time: Duration) -> f64 {
    sleep(Duration::from_secs(2)).await;
    let (ok, began) = (load.ok(), load.elapsed());
    sleep(time).await;
    (load.ok() - ok) as f64 / (load.elapsed() - began).as_secs_f64()
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
