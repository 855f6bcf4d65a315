//! Where everything that is told of a worker is put together.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    exposition::Exposition,
    figures::{self, Figure},
    host::{self, Host, HostFigures},
    names::Kind,
    vitals::Vitals,
};
use crate::{
    nats,
    wire::{
        Health, Quantiles, Snapshot,
        health::{BrokerHealth, SCHEMA},
    },
};

pub struct Desk {
    pub vitals: Arc<Vitals>,
    exposition: Exposition,
    host: Mutex<Host>,
    host_name: String,
    /// Where HTTP is answered, `host:port`.
    http: String,
    /// The last health message's number.
    seq: AtomicU64,
    /// The last one, in ns; 0 before.
    round_trip: AtomicU64,
}

impl Desk {
    pub fn new(vitals: Arc<Vitals>, http: String) -> Self {
        Self {
            exposition: Exposition::attach(&vitals),
            host: Mutex::new(Host::new()),
            host_name: host::name(),
            http,
            seq: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            vitals,
        }
    }

    /// To be called every second or so.
    pub fn upkeep(&self) {
        self.exposition.upkeep();
    }

    /// How long a message to ourselves took over the broker and back.
    pub fn set_round_trip(&self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.round_trip.store(ns, Ordering::Relaxed);
    }

    /// The number of the last health message, and of the next one.
    pub fn seq(&self) -> u64 {
        self.seq.load(Ordering::Relaxed)
    }

    pub fn next_seq(&self) -> u64 {
        self.seq.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The page for Prometheus.
    pub fn page(&self) -> String {
        self.exposition.page(&self.figures())
    }

    pub fn health(&self, seq: u64) -> Health {
        let vitals = &self.vitals;
        let about = &vitals.about;
        let spec = &about.spec;
        let mut queue = vitals.queue();
        let (rates, durations, inflight) = {
            let tally = vitals.tally();
            let inflight;
            (queue.requests, inflight) = tally.split(queue.requests);
            (tally.rates(Instant::now()), tally.request_duration.recent(), inflight)
        };
        let latency = durations.quantiles();
        let milliseconds = |seconds: f64| (latency.max > 0.0).then_some(rounded(seconds * 1e3));
        let fill = |rows: f64| rounded(rows / about.limits.batch_rows as f64);
        Health {
            schema: SCHEMA,
            worker: spec.worker.clone(),
            boot_id: about.boot_id.clone(),
            seq,
            time: rfc3339(SystemTime::now()),
            state: vitals.shown_state(),
            reasons: vitals.reasons(),
            model: spec.model.clone(),
            model_version: spec.model_version.clone(),
            weights: spec.weights.clone(),
            device: spec.device.clone(),
            precision: spec.precision.clone(),
            inflight,
            queue,
            rate: rounded(rates.ended),
            errors: rounded(rates.failed),
            p50_ms: milliseconds(latency.p50),
            p99_ms: milliseconds(latency.p99),
            batch_rows: rates.batch_rows.map(rounded),
            batch_fill: rates.batch_rows.map(fill),
            broker: self.broker(),
            http: self.http.clone(),
            host: self.host_name.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            started_at: rfc3339(about.started_at),
            uptime_s: rounded(vitals.uptime().as_secs_f64()),
        }
    }

    pub fn snapshot(&self, seq: u64) -> Snapshot {
        let about = &self.vitals.about;
        let (counters, gauges): (Vec<_>, Vec<_>) =
            self.figures().into_iter().partition(|figure| figure.metric.kind == Kind::Counter);
        let values = |figures: Vec<Figure>| -> BTreeMap<_, _> {
            figures.iter().map(|figure| (figure.series(), figure.value)).collect()
        };
        Snapshot {
            schema: SCHEMA,
            worker: about.spec.worker.clone(),
            boot_id: about.boot_id.clone(),
            seq,
            time: rfc3339(SystemTime::now()),
            model: about.spec.model.clone(),
            counters: values(counters),
            gauges: values(gauges),
            quantiles: self.quantiles(),
        }
    }

    fn quantiles(&self) -> BTreeMap<String, Quantiles> {
        let model = [self.vitals.about.spec.model.clone()];
        // Copied in one go, so that they belong together; the work is done without the lock.
        let copies =
            self.vitals.tally().distributions().map(|(metric, all)| (metric, all.recent()));
        let copies = copies.into_iter();
        copies.map(|(metric, all)| (figures::series(metric, &model), all.quantiles())).collect()
    }

    fn figures(&self) -> Vec<Figure> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).look();
        let host = HostFigures { round_trip: self.round_trip(), ..host };
        figures::gather(&self.vitals, &host)
    }

    fn broker(&self) -> BrokerHealth {
        let Some(requests) = self.vitals.connection(nats::REQUESTS) else {
            return BrokerHealth::default();
        };
        BrokerHealth {
            server: requests.client.server_info().server_name,
            round_trip_ms: self.round_trip().map(|time| rounded(time.as_secs_f64() * 1e3)),
            reconnects: requests.events.reconnects(),
            dropped: self.vitals.dropped(),
        }
    }

    fn round_trip(&self) -> Option<Duration> {
        let ns = self.round_trip.load(Ordering::Relaxed);
        (ns > 0).then(|| Duration::from_nanos(ns))
    }
}

/// UTC, to the millisecond. Years beyond four digits, the one thing that it can't write, come out
/// empty.
pub fn rfc3339(moment: SystemTime) -> String {
    let moment = OffsetDateTime::from(moment);
    let milliseconds = moment.replace_millisecond(moment.millisecond()).unwrap_or(moment);
    milliseconds.format(&Rfc3339).unwrap_or_default()
}

/// To a thousandth: what people read needs no more.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
