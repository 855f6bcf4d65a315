//! Many requests through one worker, with clients that vanish and garbage among them: nothing may
//! pile up.

use std::time::Duration;

use carla_rl::wire::subjects;
use tokio::time::interval;

use crate::{
    Outcome,
    common::{
        echo,
        load::{Load, Pace, Plan},
        poison,
    },
    membership::NARROW,
    process::Process,
    report::Report,
    say,
    stand::Stand,
};

/// Share of the requests after which the memory is what it is.
const WARM: f64 = 0.3;
/// Bytes for each request that are no leak: what an allocator does in ten million requests.
const LEAK: f64 = 1.0;

pub async fn soak(requests: u64) -> Outcome {
    let stand = Stand::start(NARROW)?;
    let worker = stand.worker(&[]).await?;
    let before = (worker.descriptors()?, worker.threads()?);
    let plan = Plan { requests, bad: poison::one_in_eleven, ..Plan::new(Pace::Window(512)) };
    let load = Load::start(&stand.url(), plan).await?;
    let vanishing = tokio::spawn(vanish(stand.url()));
    let samples = watch(&load, &worker).await;
    vanishing.abort();
    let seconds = load.elapsed().as_secs_f64();
    let verdict = load.finish().await;
    let (samples, after) = (samples?, (worker.descriptors()?, worker.threads()?));
    let conserves = worker.page().await?.conserves();
    let warm = samples.iter().filter(|(answered, _)| *answered > WARM * requests as f64);
    let slope = slope(&warm.copied().collect::<Vec<_>>());
    let rate = verdict.sent as f64 / seconds;
    let code = worker.stop().await?.code();
    let promise = "memory, files and threads of a worker don't grow with its requests";
    Ok(Report::new("soak", promise, verdict)
        .sound()
        .all_answered()
        .hold(slope < LEAK, "memory grows")
        .hold(after.0 <= before.0 + 2 && after.1 <= before.1, "files or threads grow")
        .hold(conserves, "the worker's counts don't add up")
        .hold(code == Some(0), format!("exit code {code:?}"))
        .note(format!("{slope:+.4} bytes/request after the first {:.0} %", WARM * 100.0))
        .note(format!("files and threads: {before:?} at first, {after:?} at last"))
        .note(format!("{rate:.0} requests/s")))
}

/// Requests answered so far and bytes of memory, every half second.
async fn watch(load: &Load, worker: &Process) -> Result<Vec<(f64, f64)>, String> {
    let mut samples: Vec<(f64, f64)> = Vec::new();
    let mut tick = interval(Duration::from_millis(500));
    while !load.is_over() {
        tick.tick().await;
        let answered = load.progress.answered.load(std::sync::atomic::Ordering::Relaxed);
        let resident = worker.resident()?;
        if samples.len().is_multiple_of(20) {
            let mib = resident as f64 / f64::from(1 << 20);
            say("soak", format!("{answered} answered, {mib:.2} MiB"));
        }
        samples.push((answered as f64, resident as f64));
    }
    Ok(samples)
}

/// Clients that ask and are gone before the answers.
async fn vanish(url: String) {
    let mut tick = interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        let Ok(client) = async_nats::connect(&url).await else { continue };
        let subject = subjects::infer("policy", echo::MODEL);
        for number in 0..50 {
            let body = poison::body(number).into();
            let inbox = client.new_inbox();
            // It is about to be gone anyway.
            let _ = client.publish_with_reply(subject.clone(), inbox, body).await;
        }
        let _ = client.flush().await;
    }
}

/// The slope of the line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}
