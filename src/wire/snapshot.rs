//! What a worker has counted, every five seconds: the figures of its Prometheus page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The message on the metrics subject, in MessagePack.
///
/// Keys of the maps are series as Prometheus writes them, a name with its labels:
/// `carla_rl_requests_total{model="lane-keeping",outcome="ok"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`super::health::SCHEMA`].
    pub schema: u32,
    pub worker: String,
    /// As in [`super::Health`]. Counters begin anew with each.
    pub boot_id: String,
    /// Counts the metrics messages of this start, from 1.
    pub seq: u64,
    /// RFC 3339, UTC, by the worker's clock.
    pub time: String,
    pub model: String,
    /// Since the start of the process. Divide the difference between two messages by their
    /// distance for a rate.
    pub counters: BTreeMap<String, f64>,
    pub gauges: BTreeMap<String, f64>,
    /// What Prometheus gets as histograms.
    pub quantiles: BTreeMap<String, Quantiles>,
}

/// A distribution, in the unit that its name ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Since the start.
    pub count: u64,
    /// Since the start.
    pub sum: f64,
    /// From here on: of the last ten seconds, 0 if there was nothing.
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}
