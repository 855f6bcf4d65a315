//! A pool of one model, and single requests to it.

use std::time::{Duration, Instant};

use async_nats::{Client, HeaderMap, Message, Request, RequestError, RequestErrorKind};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::observation::Synthetic;
use crate::{
    failure::Failure,
    wire::{Spec, subjects},
};

/// A pool that has told what it takes.
pub struct Target {
    pub spec: Spec,
    /// Of the requests.
    pub subject: String,
    prefix: String,
    client: Client,
    body: Bytes,
}

/// An action came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    pub worker: String,
    pub round_trip_ms: f64,
    pub queue_us: u64,
    pub compute_us: u64,
    pub batch_rows: u64,
    pub model_version: String,
}

/// None came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trouble {
    /// The protocol's code, or `no_responders`, `timeout`, `unreadable`, `broker`.
    pub code: String,
    pub message: String,
}

/// A reply, as far as it matters here; later versions may hold more.
#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "action")]
    _action: IgnoredAny,
    worker: String,
    queue_us: u64,
    compute_us: u64,
    batch_rows: u64,
    model_version: String,
}

/// An error in place of an action.
#[derive(Deserialize)]
pub struct Refusal {
    pub error: Told,
}

/// Later versions may know more codes than this one.
#[derive(Deserialize)]
pub struct Told {
    pub code: String,
    pub message: String,
}

impl Target {
    /// Asks the pool of `model` what it takes.
    ///
    /// # Errors
    /// Nobody answers within `limit`, or a valid observation can't be made up.
    pub async fn find(
        client: Client,
        prefix: &str,
        model: &str,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let subject = subjects::spec(prefix, model);
        let request = Request::new().timeout(Some(limit));
        let unreachable = |trouble: Trouble| Failure::Unreachable(trouble.message);
        let reply = client.send_request(subject.clone(), request).await;
        let reply =
            reply.map_err(|error| unreachable(trouble(&error, model, prefix, &subject, limit)))?;
        let unfit = |why| Failure::Configuration(format!("{model} can't be asked: {why}"));
        let spec: Spec = rmp_serde::from_slice(&reply.payload)
            .map_err(|error| unfit(format!("its spec can't be read: {error}")))?;
        let body = Synthetic::of(&spec).map_err(unfit)?.request();
        let body = body.map_err(|error| Failure::Defect(error.to_string()))?.into();
        let subject = subjects::infer(prefix, model);
        Ok(Self { spec, subject, prefix: prefix.to_owned(), client, body })
    }

    /// Sends one request, whose deadline is `limit`.
    ///
    /// # Errors
    /// Why no action came within `limit`.
    pub async fn ask(&self, limit: Duration) -> Result<Answer, Trouble> {
        let mut headers = HeaderMap::new();
        headers.insert(subjects::DEADLINE_HEADER, limit.as_millis().max(1).to_string());
        let request = Request::new().headers(headers).payload(self.body.clone());
        let sent = Instant::now();
        let request = request.timeout(Some(limit));
        match self.client.send_request(self.subject.clone(), request).await {
            Ok(message) => read(&message, sent.elapsed()),
            Err(error) => {
                Err(trouble(&error, &self.spec.model, &self.prefix, &self.subject, limit))
            }
        }
    }
}

fn read(message: &Message, round_trip: Duration) -> Result<Answer, Trouble> {
    if let Ok(Refusal { error }) = rmp_serde::from_slice(&message.payload) {
        return Err(Trouble { code: error.code, message: error.message });
    }
    let reply: Reply = rmp_serde::from_slice(&message.payload).map_err(|error| Trouble {
        code: "unreadable".into(),
        message: format!("neither an action nor an error: {error}"),
    })?;
    Ok(Answer {
        worker: reply.worker,
        round_trip_ms: round_trip.as_secs_f64() * 1e3,
        queue_us: reply.queue_us,
        compute_us: reply.compute_us,
        batch_rows: reply.batch_rows,
        model_version: reply.model_version,
    })
}

fn trouble(
    error: &RequestError,
    model: &str,
    prefix: &str,
    subject: &str,
    limit: Duration,
) -> Trouble {
    let (code, message) = match error.kind() {
        RequestErrorKind::NoResponders => (
            "no_responders",
            format!(
                "no worker serves model {model} under prefix {prefix} (nobody listens on {subject})"
            ),
        ),
        RequestErrorKind::TimedOut => {
            ("timeout", format!("no answer on {subject} within {limit:?}"))
        }
        _ => ("broker", error.to_string()),
    };
    Trouble { code: code.into(), message }
}
