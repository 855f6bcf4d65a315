//! The way back to the clients: publishes answers, and knows which of them can't have arrived.

use std::{sync::Arc, time::Duration};

use async_nats::Client;
use tokio::time::timeout;

use super::{answer::Answer, queue::Queue};
use crate::{
    failure::Failure,
    nats,
    telemetry::{Outcome, Vitals},
    wire::Code,
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

    pub async fn send(&mut self, answer: Answer) {
        let Answer { to, headers, payload, error } = answer.within(self.client.max_payload(), None);
        let outcome = error.map_or("ok", Code::name);
        let arrived = to.arrived;
        match (&to.request_id, error) {
            (Some(id), None) => tracing::debug!(request_id = id.as_str(), outcome, "answered"),
            (Some(id), Some(_)) => tracing::info!(request_id = id.as_str(), outcome, "answered"),
            (None, _) => {}
        }
        let bytes = payload.len() as u64;
        let publish = async {
            match headers {
                None => self.client.publish(to.inbox, payload).await,
                Some(headers) => self.client.publish_with_headers(to.inbox, headers, payload).await,
            }
        };
        // Without a broker nobody makes room in the library's line; that must not hold up a stop.
        let patience = if self.connected { STALL } else { Duration::ZERO };
        let published = match timeout(patience, publish).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, outcome, "a reply could not be published");
                false
            }
            Err(_) => false,
        };
        self.waiting += u64::from(published && !self.connected);
        self.lost += u64::from(!published);
        let mut tally = self.vitals.tally();
        if !published {
            return tally.ended(Outcome::PublishFailed);
        }
        tally.ended(error.map_or(Outcome::Ok, Outcome::Error));
        tally.response_bytes += bytes;
        if error.is_none() {
            let spent = self.queue.now().saturating_sub(arrived);
            tally.request_duration.record(spent.as_secs_f64());
        }
    }

    /// Requests that found no room in the queue so far.
    pub fn refused(&self) -> u64 {
        self.vitals.tally().count(Outcome::Error(Code::Overloaded))
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
