//! The way back to the clients: publishes answers, and knows which of them can't have arrived.

use std::{pin::pin, sync::Arc, time::Duration};

use async_nats::{Client, HeaderMap, HeaderValue, Subject};
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::timeout;

use super::{answer::Answer, pending::Trace, queue::Queue};
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
    /// Answers that are not yet counted.
    sent: Vec<Sent>,
}

struct Sent {
    arrived: Duration,
    outcome: Outcome,
    bytes: u64,
}

/// What there is to say of a request elsewhere than in its answer.
struct Asked {
    arrived: Duration,
    request_id: Option<HeaderValue>,
    trace: Option<Arc<Trace>>,
}

impl Outbox {
    pub fn new(client: Client, vitals: Arc<Vitals>, queue: Arc<Queue>) -> Self {
        Self { client, connected: true, vitals, queue, lost: 0, waiting: 0, sent: vec![] }
    }

    /// Publishes answers. Gives what there is to trace of them, as far as they are traced.
    pub async fn send(&mut self, answers: impl IntoIterator<Item = Answer>) -> Vec<RequestTrace> {
        let mut traces = Vec::new();
        for mut answer in answers {
            answer.fit(self.client.max_payload(), None);
            let Answer { to, headers, payload, error } = answer;
            let bytes = payload.len() as u64;
            let outcome = match self.publish(to.inbox, headers, payload).await {
                true => error.map_or(Outcome::Ok, Outcome::Error),
                false => Outcome::PublishFailed,
            };
            let asked = Asked { arrived: to.arrived, request_id: to.request_id, trace: to.trace };
            if asked.request_id.is_some() || asked.trace.is_some() {
                log(&asked, outcome);
                traces.extend(request_trace(&asked, outcome, self.queue.now()));
            }
            self.sent.push(Sent { arrived: asked.arrived, outcome, bytes });
        }
        self.count();
        traces
    }

    /// Whether the library took it.
    async fn publish(&mut self, inbox: Subject, headers: Option<HeaderMap>, body: Bytes) -> bool {
        let published = {
            let publish = async {
                match headers {
                    None => self.client.publish(inbox, body).await,
                    Some(headers) => self.client.publish_with_headers(inbox, headers, body).await,
                }
            };
            let mut publish = pin!(publish);
            match publish.as_mut().now_or_never() {
                Some(published) => Ok(published),
                // Without a broker nobody makes room in the library's line; that must not hold up a
                // stop.
                None => timeout(if self.connected { STALL } else { Duration::ZERO }, publish).await,
            }
        };
        let published = match published {
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

    fn count(&mut self) {
        if self.sent.is_empty() {
            return;
        }
        let now = self.queue.now();
        let mut tally = self.vitals.tally();
        for Sent { arrived, outcome, bytes } in self.sent.drain(..) {
            tally.ended(outcome);
            if outcome != Outcome::PublishFailed {
                tally.response_bytes += bytes;
            }
            if outcome == Outcome::Ok {
                tally.request_duration.record(now.saturating_sub(arrived).as_secs_f64());
            }
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
fn log(to: &Asked, outcome: Outcome) {
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

fn request_trace(to: &Asked, outcome: Outcome, answered: Duration) -> Option<RequestTrace> {
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
