//! What a worker says of itself, every two seconds and at once when its state changes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The form of [`Health`] and [`super::Snapshot`]. Readers accept keys that they don't know.
pub const SCHEMA: u32 = 1;

/// starting → ready ⇄ saturated → draining → stopped. Only a ready or degraded worker is, or is
/// about to be, a member of the queue group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Loading, warming up, connecting, or looking for a lost broker.
    Starting,
    Ready,
    /// It serves, but something is wrong: the reasons say what.
    Degraded,
    /// The queue stays near its limit: other workers shall get the requests.
    Saturated,
    Draining,
    /// Ended as it was told to.
    Stopped,
    /// Can't go on.
    Failed,
}

impl State {
    pub const ALL: [State; 7] = [
        State::Starting,
        State::Ready,
        State::Degraded,
        State::Saturated,
        State::Draining,
        State::Stopped,
        State::Failed,
    ];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Starting => "starting",
            State::Ready => "ready",
            State::Degraded => "degraded",
            State::Saturated => "saturated",
            State::Draining => "draining",
            State::Stopped => "stopped",
            State::Failed => "failed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The message on the health subject, in JSON.
///
/// Rates, quantiles and means are those of the last ten seconds; a quantile or mean of nothing is
/// absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// [`SCHEMA`].
    pub schema: u32,
    pub worker: String,
    /// Another one after each start of the process: tells a restart from a new connection.
    pub boot_id: String,
    /// Counts the health messages of this start, from 1.
    pub seq: u64,
    /// When it was written, by the worker's clock: RFC 3339, UTC.
    pub time: String,
    pub state: State,
    /// What is wrong, a sentence each. Empty if all is well.
    pub reasons: Vec<String>,
    pub model: String,
    pub model_version: String,
    /// The first 8 hex digits of the weights' SHA-256.
    pub weights: String,
    pub device: String,
    pub precision: String,
    pub queue: QueueHealth,
    /// Requests that left the queue and are not yet answered.
    pub inflight: u64,
    /// Requests answered per second, whatever the answer.
    pub rate: f64,
    /// Of these, requests per second that were answered with an error.
    pub errors: f64,
    /// From a request's arrival in the process to its reply's being handed to the client library,
    /// in milliseconds; of requests that got an action.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub p99_ms: Option<f64>,
    /// Mean rows of a batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch_rows: Option<f64>,
    /// The same as a share of `model.max_batch_size`, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub batch_fill: Option<f64>,
    pub broker: BrokerHealth,
    /// Where probes and `/metrics` are answered, `host:port`.
    pub http: String,
    /// The machine's name.
    pub host: String,
    pub pid: u32,
    /// Of carla-rl.
    pub version: String,
    /// RFC 3339, UTC.
    pub started_at: String,
    pub uptime_s: f64,
}

/// What waits for the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueHealth {
    pub requests: u64,
    pub rows: u64,
    /// `limits.queue_rows`.
    pub limit: u64,
    /// How long the oldest row has waited, in milliseconds.
    pub oldest_ms: f64,
}

/// The way to the broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerHealth {
    /// The server's own name.
    pub server: String,
    /// There and back, in milliseconds; absent until it was measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub round_trip_ms: Option<f64>,
    /// Since the start, of the connection that takes requests.
    pub reconnects: u64,
    /// Requests that the client library dropped because too many came at once.
    pub dropped: u64,
}
