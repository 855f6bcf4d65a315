//! The way back to the clients: publishes answers, and knows which of them can't have arrived.

use std::{collections::BTreeMap, time::Duration};

use async_nats::Client;
use tokio::time::timeout;

use super::answer::Answer;
use crate::{failure::Failure, nats, wire::Code};

/// How long an answer may wait for room in the client library's line.
const STALL: Duration = Duration::from_secs(5);

pub struct Outbox {
    client: Client,
    pub connected: bool,
    /// Answers by outcome: `ok`, or the error's code.
    pub answered: BTreeMap<&'static str, u64>,
    /// Answers for which there was no room on the way to the broker.
    lost: u64,
    /// Answers that wait in the library for the connection to come back.
    waiting: u64,
}

impl Outbox {
    pub fn new(client: Client) -> Self {
        Self { client, connected: true, answered: BTreeMap::new(), lost: 0, waiting: 0 }
    }

    pub async fn send(&mut self, answer: Answer) {
        let Answer { to, headers, payload, error } = answer.within(self.client.max_payload(), None);
        let outcome = error.map_or("ok", Code::name);
        match (&to.request_id, error) {
            (Some(id), None) => tracing::debug!(request_id = id.as_str(), outcome, "answered"),
            (Some(id), Some(_)) => tracing::info!(request_id = id.as_str(), outcome, "answered"),
            (None, _) => {}
        }
        let publish = async {
            match headers {
                None => self.client.publish(to.inbox, payload).await,
                Some(headers) => self.client.publish_with_headers(to.inbox, headers, payload).await,
            }
        };
        // Without a broker nobody makes room in the library's line; that must not hold up a stop.
        let patience = if self.connected { STALL } else { Duration::ZERO };
        match timeout(patience, publish).await {
            Ok(Ok(())) => {
                self.waiting += u64::from(!self.connected);
                *self.answered.entry(outcome).or_default() += 1;
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, outcome, "a reply could not be published");
                self.lost += 1;
            }
            Err(_) => self.lost += 1,
        }
    }

    /// Requests that found no room in the queue so far.
    pub fn refused(&self) -> u64 {
        self.answered.get(Code::Overloaded.name()).copied().unwrap_or(0)
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
