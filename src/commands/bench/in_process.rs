//! The layer `in-process`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Message;

use super::{Plan, Progress, passes::watched};
use crate::{
    commands::worker,
    failure::Failure,
    loadgen::{Question, energy::Meters, forward::repeat, results::ByBatch, usage::Processes},
    policy::NeuralPolicy,
    worker::{InProcess, Served},
};

/// Measures each number of requests.
///
/// # Errors
/// No request can be made up, or the device fails.
pub async fn measure(
    plan: &Plan,
    served: &Served,
    policy: NeuralPolicy,
    meters: Option<&Meters>,
    into: &mut Vec<ByBatch>,
    progress: &Progress,
) -> Result<(), Failure> {
    let (most, room) = (plan.batch_sizes.iter().max(), plan.settings.limits.queue_rows);
    if let Some(most) = most.filter(|most| **most > room) {
        return Err(Failure::Configuration(format!(
            "--batch-sizes: {most} requests that come together don't fit the queue: expected at most {room} (limits.queue_rows)"
        )));
    }
    let question = Question::to_pool(&plan.settings.nats.prefix, &served.spec, 1);
    let question = question.map_err(Failure::Configuration)?;
    let vitals = Arc::new(worker::vitals(&plan.settings, &served.spec, Duration::ZERO)?);
    let mut worker = InProcess::start(served.clone(), Box::new(policy), vitals).await?;
    let mut processes = Processes::new(&[Some(std::process::id())]);
    for requests in &plan.batch_sizes {
        progress.step(format!("worker in process, {requests} requests"));
        let messages: Vec<_> = (0..*requests).map(|at| message(&question, at)).collect();
        let window = plan.window;
        let exchanging = move || {
            let times = repeat(window, || exchange(&mut worker, messages.clone()));
            (worker, times)
        };
        let measured;
        (worker, measured) = watched(*requests, exchanging, meters, &mut processes).await?;
        into.extend(measured);
        progress.done();
    }
    Ok(())
}

/// How long it took until all are answered.
///
/// # Errors
/// One was refused.
fn exchange(worker: &mut InProcess, messages: Vec<Message>) -> Result<Duration, String> {
    let (asked, began) = (messages.len(), Instant::now());
    let answers = worker.exchange(messages);
    let took = began.elapsed();
    match answers.into_iter().find_map(Result::err) {
        None => Ok(took),
        Some(code) => Err(format!("of {asked} requests that come together one is {}", code.name())),
    }
}

fn message(question: &Question, at: usize) -> Message {
    Message {
        subject: question.subject.clone().into(),
        reply: Some(format!("_INBOX.bench.{at}").into()),
        payload: question.body.clone(),
        headers: None,
        status: None,
        description: None,
        length: question.body.len(),
    }
}
