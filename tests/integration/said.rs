//! What workers say of themselves, for the tests inside the library and outside of it.

use carla_rl::wire::{
    Health, Quantiles, Snapshot, State,
    health::{BrokerHealth, QueueHealth, SCHEMA},
};

/// The start that [`health`] and [`snapshot`] are of.
const BOOT_ID: &str = "b0071d";

/// A worker that is well and has something to do.
pub fn health(worker: &str) -> Health {
    Health {
        schema: SCHEMA,
        worker: worker.into(),
        boot_id: BOOT_ID.into(),
        seq: 1,
        time: "2026-01-02T03:04:05Z".into(),
        state: State::Ready,
        reasons: vec![],
        model: "lane-keeping".into(),
        model_version: "0.1.0".into(),
        weights: "9d1914cf".into(),
        device: "cpu".into(),
        precision: "float32".into(),
        queue: QueueHealth { requests: 3, rows: 12, limit: 4096, oldest_ms: 0.4 },
        inflight: 4,
        rate: 1234.5,
        errors: 0.5,
        p50_ms: Some(0.21),
        p99_ms: Some(1.62),
        batch_rows: Some(12.2),
        batch_fill: Some(0.19),
        broker: BrokerHealth {
            server: "broker-1".into(),
            round_trip_ms: Some(0.15),
            reconnects: 2,
            dropped: 7,
        },
        http: "127.0.0.1:8080".into(),
        host: "sim-1".into(),
        pid: 4711,
        version: "0.1.0".into(),
        started_at: "2026-01-02T00:00:00Z".into(),
        uptime_s: 11_045.0,
    }
}

/// Counters of the same worker, which has used so many seconds of CPU time.
pub fn snapshot(worker: &str, cpu_seconds: f64) -> Snapshot {
    let sizes = Quantiles { count: 400, sum: 4880.0, p50: 8.0, p90: 16.0, p99: 32.0, max: 64.0 };
    let outcome = |name: &str| {
        format!("carla_rl_requests_total{{model=\"lane-keeping\",outcome=\"{name}\"}}")
    };
    Snapshot {
        schema: SCHEMA,
        worker: worker.into(),
        boot_id: BOOT_ID.into(),
        seq: 1,
        time: "2026-01-02T03:04:05Z".into(),
        model: "lane-keeping".into(),
        counters: [
            ("process_cpu_seconds_total".into(), cpu_seconds),
            (outcome("ok"), 5000.0),
            (outcome("overloaded"), 12.0),
            (outcome("internal"), 0.0),
        ]
        .into(),
        gauges: [("process_resident_memory_bytes".into(), 134_217_728.0)].into(),
        quantiles: [("carla_rl_batch_size_rows{model=\"lane-keeping\"}".into(), sizes)].into(),
    }
}

/// As on the health subject.
pub fn health_body(health: &Health) -> Vec<u8> {
    serde_json::to_vec(health).unwrap()
}

/// As on the metrics subject.
pub fn snapshot_body(snapshot: &Snapshot) -> Vec<u8> {
    rmp_serde::to_vec_named(snapshot).unwrap()
}
