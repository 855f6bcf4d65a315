//! The way back to the clients: publishes answers, and knows which of them can't have arrived.

use std::{sync::Arc, time::Duration};

use async_nats::{Client, HeaderMap, HeaderValue, Subject};
use bytes::Bytes;
use tokio::time::timeout;

use super::{answer::Answer, pending::ReplyTo, queue::Queue};
use crate::{
    batch::Reason,
    failure::Failure,
    nats,
    telemetry::{Outcome, Vitals, traces::RequestTrace},
};

/// How long an answer may wait for room in the client library's line.
const STALL: Duration = Duration::from_secs(5);

pub struct Outbox {
    client: Client,
    pub connected: bool,
    vitals: Arc<Vitals>,
    queue: Arc<Queue>,
    /// Answers for which there was no room on the way to the broker.
    lost: u64,
    /// Answers that wait in the library for the connection to come back.
    waiting: u64,
}

impl Outbox {
    pub fn new(client: Client, vitals: Arc<Vitals>, queue: Arc<Queue>) -> Self {
        Self { client, connected: true, vitals, queue, lost: 0, waiting: 0 }
    }

    /// Publishes an answer. Gives what there is to trace of it, if it is traced.
    pub async fn send(&mut self, answer: Answer) -> Option<RequestTrace> {
        let Answer { to, headers, payload, error } = answer.within(self.client.max_payload(), None);
        let bytes = payload.len() as u64;
        let outcome = match self.publish(to.inbox.clone(), headers, payload).await {
            true => error.map_or(Outcome::Ok, Outcome::Error),
            false => Outcome::PublishFailed,
        };
        let answered = self.queue.now();
        self.count(outcome, bytes, answered.saturating_sub(to.arrived));
        log(&to, outcome);
        request_trace(&to, outcome, answered)
    }

    /// Whether the library took it.
    async fn publish(&mut self, inbox: Subject, headers: Option<HeaderMap>, body: Bytes) -> bool {
        let publish = async {
            match headers {
                None => self.client.publish(inbox, body).await,
                Some(headers) => self.client.publish_with_headers(inbox, headers, body).await,
            }
        };
        // Without a broker nobody makes room in the library's line; that must not hold up a stop.
        let patience = if self.connected { STALL } else { Duration::ZERO };
        let published = match timeout(patience, publish).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a reply could not be published");
                false
            }
            Err(_) => {
                tracing::warn!("a reply found no room in the client library's line");
                false
            }
        };
        self.waiting += u64::from(published && !self.connected);
        self.lost += u64::from(!published);
        published
    }

    fn count(&self, outcome: Outcome, bytes: u64, spent: Duration) {
        let mut tally = self.vitals.tally();
        tally.ended(outcome);
        if outcome != Outcome::PublishFailed {
            tally.response_bytes += bytes;
        }
        if outcome == Outcome::Ok {
            tally.request_duration.record(spent.as_secs_f64());
        }
    }

    /// Requests that found no room in the queue so far.
    pub fn refused(&self) -> u64 {
        self.vitals.tally().refusals(Reason::Full)
    }

    /// Sees that the broker has all answers.
    ///
    /// # Errors
    /// It has not, or does not say so.
    pub async fn prove(&mut self) -> Result<(), Failure> {
        if self.connected {
            // A round trip also proves what had waited for the connection.
            let proven = nats::round_trip(&self.client).await;
            proven.map_err(|error| {
                Failure::Unreachable(format!("the last replies may be lost: {error}"))
            })?;
            self.waiting = 0;
        }
        match self.lost + self.waiting {
            0 => Ok(()),
            lost => Err(Failure::Unreachable(format!("{lost} replies did not reach the broker"))),
        }
    }
}

/// A line about a request that can be found again: about each that failed, and in detail about all.
fn log(to: &ReplyTo, outcome: Outcome) {
    if to.request_id.is_none() && to.trace.is_none() {
        return;
    }
    let request_id = to.request_id.as_ref().map(HeaderValue::as_str);
    let trace_id = || to.trace.as_ref().map(|trace| trace.context.trace());
    match outcome {
        Outcome::Ok => {
            tracing::debug!(request_id, trace_id = trace_id(), outcome = outcome.name(), "answered")
        }
        _ => {
            tracing::info!(request_id, trace_id = trace_id(), outcome = outcome.name(), "answered")
        }
    }
}

fn request_trace(to: &ReplyTo, outcome: Outcome, answered: Duration) -> Option<RequestTrace> {
    let trace = to.trace.as_ref()?;
    Some(RequestTrace {
        traced: trace.traced?,
        tracestate: trace.state.clone(),
        arrived: to.arrived,
        answered,
        request_id: to.request_id.as_ref().map(|id| id.as_str().to_owned()),
        outcome: outcome.name(),
    })
}
