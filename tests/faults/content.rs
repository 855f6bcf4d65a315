//! Requests that no worker should be asked.

use std::time::Duration;

use async_nats::Client;
use carla_rl::wire::{Code, subjects};
use futures_util::StreamExt;
use tokio::time::{sleep, timeout};

use crate::{
    Outcome,
    common::{
        echo,
        load::{Load, Pace, Plan},
        message,
        oracle::{Answer, Verdict},
        poison,
    },
    membership::{NARROW, PATIENCE},
    report::Report,
    stand::Stand,
};

/// Bad requests among good ones.
pub async fn poison() -> Outcome {
    let stand = Stand::start(NARROW)?;
    let mut worker = stand.worker(&[]).await?;
    let plan = Plan { bad: poison::one_in_eleven, ..Plan::new(Pace::Window(256)) };
    let load = Load::start(&stand.url(), plan).await?;
    sleep(Duration::from_secs(8)).await;
    let verdict = load.finish().await;
    let page = worker.page().await?;
    let promise = "bad requests get typed errors, and the good ones beside them their actions";
    Ok(Report::new("poison", promise, verdict)
        .sound()
        .all_answered()
        .hold(worker.is_alive(), "the worker has ended")
        .hold(page.conserves(), "the worker's counts don't add up"))
}

/// Small or large bodies that claim to be much larger, or are nested deeply.
pub async fn bombs() -> Outcome {
    const GROWTH: u64 = 1 << 20;
    let stand = Stand::start(NARROW)?;
    let worker = stand.worker(&[]).await?;
    // The first bodies of that size make buffers grow that stay.
    drop_bombs(&stand, 200, poison::filler).await?;
    let before = worker.peak()?;
    let verdict = drop_bombs(&stand, 2000, poison::bomb).await?;
    let grown = worker.peak()?.saturating_sub(before);
    let promise = "a body's claims about its size cost no memory";
    Ok(Report::new("bombs", promise, verdict)
        .sound()
        .all_answered()
        .hold(grown < GROWTH, "it grew by 1 MiB or more")
        .note(format!("at most {} KiB before, {} KiB more then", before >> 10, grown >> 10)))
}

async fn drop_bombs(
    stand: &Stand,
    requests: u64,
    bad: fn(usize) -> Option<Vec<u8>>,
) -> Result<Verdict, String> {
    // One at a time: how many bodies wait somewhere is not the question.
    let plan = Plan { connections: 1, requests, bad, ..Plan::new(Pace::Window(1)) };
    let load = Load::start(&stand.url(), plan).await?;
    while !load.is_over() {
        sleep(Duration::from_millis(10)).await;
    }
    Ok(load.finish().await)
}

/// Bodies around the limit of a worker and of the broker, and a reply above the latter.
pub async fn oversize() -> Outcome {
    const WORKERS: usize = 16384;
    const BROKERS: usize = 65536;
    let stand = Stand::configured(NARROW, &format!("max_payload: {BROKERS}\n"))?;
    let client = async_nats::connect(stand.url()).await.map_err(|error| error.to_string())?;
    let limit = WORKERS.to_string();
    let narrow = stand.worker(&[("LIMITS_REQUEST_BYTES", &limit)]).await?;
    let mut tried = Vec::new();
    for (bytes, fits) in [(WORKERS - 1, true), (WORKERS, true), (WORKERS + 1, false)] {
        tried.push((bytes, fits, ask(&client, poison::padded(bytes)).await));
    }
    narrow.stop().await?;
    let _wide = stand.worker(&[("LIMITS_REQUEST_ROWS", "4096")]).await?;
    for (bytes, fits) in [(BROKERS - 1, true), (BROKERS, true)] {
        tried.push((bytes, fits, ask(&client, poison::padded(bytes)).await));
    }
    // Longer in the reply than in the request.
    tried.push((BROKERS + 1, false, ask(&client, poison::rows(4096)).await));
    let refused = client.publish(echo::INFER, vec![0; BROKERS + 1].into()).await.is_err();
    let mut report = Report::new("oversize", "a limit holds to the byte", Verdict::default());
    for (bytes, fits, answer) in tried {
        let right = match (&answer, fits) {
            (Some(Answer::Action { .. }), true) => true,
            (Some(Answer::Error(code)), false) => *code == Code::TooLarge,
            _ => false,
        };
        count(&mut report.verdict, &answer);
        report = report.hold(right, format!("{bytes} bytes: {answer:?}"));
    }
    Ok(report.hold(refused, "the library sends more than the broker takes"))
}

fn count(verdict: &mut Verdict, answer: &Option<Answer>) {
    verdict.sent += 1;
    match answer {
        Some(Answer::Action { .. }) => verdict.ok += 1,
        Some(Answer::Error(code)) => *verdict.errors.entry(code.name()).or_default() += 1,
        Some(Answer::NoResponders) => verdict.no_responders += 1,
        Some(Answer::Unreadable(_)) => verdict.wrong += 1,
        None => verdict.unanswered += 1,
    }
}

/// The answer to one request, if there is any.
async fn ask(client: &Client, body: Vec<u8>) -> Option<Answer> {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.ok()?;
    let subject = subjects::infer("policy", echo::MODEL);
    client.publish_with_reply(subject, inbox, body.into()).await.ok()?;
    let reply = timeout(PATIENCE, replies.next()).await.ok()??;
    Some(message::read(&reply))
}
