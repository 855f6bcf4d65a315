//! Workers that come and go, as planned and otherwise.

use std::time::Duration;

use rand::Rng;
use rustix::process::Signal;
use tokio::time::sleep;

use crate::{
    Outcome,
    common::load::{Load, Pace, Plan},
    process::Process,
    report::Report,
    say,
    stand::Stand,
};

pub const PATIENCE: Duration = Duration::from_secs(20);
/// Of the small policy that tests the ways and not the device.
pub const NARROW: &[usize] = &[16];

/// Workers that stay for two seconds each, two at a time, beside one that stays.
pub async fn leave() -> Outcome {
    const ROUNDS: u32 = 100;
    const LANES: u32 = 2;
    let stand = Stand::start(NARROW)?;
    let _steady = stand.worker(&[]).await?;
    let load = start(&stand, Pace::Window(256)).await?;
    let lanes = (0..LANES).map(|lane| come_and_go(&stand, &load, lane, ROUNDS / LANES));
    let codes = futures_util::future::try_join_all(lanes).await?;
    let seconds = load.elapsed().as_secs_f64();
    let verdict = load.finish().await;
    let rate = verdict.sent as f64 / seconds;
    let clean = codes.iter().flatten().all(|code| *code == Some(0));
    let promise = "a worker that is told to stop under load leaves nothing unanswered";
    Ok(Report::new("leave", promise, verdict)
        .sound()
        .all_answered()
        .hold(clean, format!("exit codes {codes:?}"))
        .note(format!("{ROUNDS} times left and came back, {rate:.0} requests/s")))
}

async fn come_and_go(
    stand: &Stand,
    load: &Load,
    lane: u32,
    rounds: u32,
) -> Result<Vec<Option<i32>>, String> {
    let mut codes = Vec::new();
    for round in 1..=rounds {
        let passing = stand.worker(&[]).await?;
        load.serve(1000, PATIENCE).await?;
        codes.push(passing.stop().await?.code());
        if round.is_multiple_of(10) {
            say("leave", format!("lane {lane}: {round} of {rounds}; {}", progress(load)));
        }
    }
    Ok(codes)
}

/// All workers of a pool of three replaced, one after the other, several times.
pub async fn rolling() -> Outcome {
    const ROUNDS: usize = 4;
    let stand = Stand::start(NARROW)?;
    let mut pool = pool(&stand, &[]).await?;
    let load = start(&stand, Pace::Window(256)).await?;
    let mut codes = Vec::new();
    for round in 1..=ROUNDS {
        for place in &mut pool {
            let old = std::mem::replace(place, stand.worker(&[]).await?);
            codes.push(old.stop().await?.code());
        }
        say("rolling", format!("round {round} of {ROUNDS}; {}", progress(&load)));
    }
    let verdict = load.finish().await;
    let clean = codes.iter().all(|code| *code == Some(0));
    let promise = "a rolling restart leaves nothing unanswered, and each worker ends with 0";
    Ok(Report::new("rolling", promise, verdict)
        .sound()
        .all_answered()
        .hold(clean, format!("exit codes {codes:?}"))
        .note(format!("{} restarts", codes.len())))
}

/// One of three workers killed every two seconds, and started anew.
pub async fn kill() -> Outcome {
    const KILLS: u64 = 15;
    const QUEUE: u64 = 256;
    /// The queue, a batch in the device and one behind it, and what the socket and the client
    /// library hold.
    const BOUND: u64 = QUEUE + 2 * 64 + 1024;
    let stand = Stand::start(NARROW)?;
    let limits: &[(&str, &str)] = &[("LIMITS_QUEUE_ROWS", "256"), ("LIMITS_REQUEST_ROWS", "64")];
    let mut pool = pool(&stand, limits).await?;
    let load = start(&stand, Pace::Rate(10_000.0)).await?;
    let mut longest = Duration::ZERO;
    for kill in 1..=KILLS {
        sleep(Duration::from_millis(1700)).await;
        let place = rand::rng().random_range(0..pool.len());
        pool[place].signal(Signal::KILL)?;
        longest = longest.max(load.recover(PATIENCE).await?);
        pool[place] = stand.worker(limits).await?;
        if kill.is_multiple_of(5) {
            say("kill", format!("{kill} of {KILLS}; {}", progress(&load)));
        }
    }
    let verdict = load.finish().await;
    let (lost, bound) = (verdict.unanswered, KILLS * BOUND);
    let promise = "a crash loses no more than the worker held, and the others carry on";
    Ok(Report::new("kill", promise, verdict)
        .sound()
        .hold(lost <= bound, format!("{lost} unanswered, at most {bound} may be"))
        .recovered(longest, Duration::from_secs(1))
        .note(format!("{:.1} unanswered for each kill", lost as f64 / KILLS as f64)))
}

async fn pool(stand: &Stand, settings: &[(&str, &str)]) -> Result<Vec<Process>, String> {
    futures_util::future::try_join_all((0..3).map(|_| stand.worker(settings))).await
}

/// # Errors
/// There is no broker.
pub async fn start(stand: &Stand, pace: Pace) -> Result<Load, String> {
    Load::start(&stand.url(), Plan::new(pace)).await
}

pub fn progress(load: &Load) -> String {
    let seconds = load.elapsed().as_secs_f64();
    format!("{} sent, {} served in {seconds:.0} s", load.sent(), load.ok())
}
