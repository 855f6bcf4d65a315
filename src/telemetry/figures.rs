//! Every counter and gauge at one moment.

use std::{
    sync::atomic::Ordering,
    time::{Duration, SystemTime},
};

use super::{
    host::HostFigures,
    names::{self, Metric},
    vitals::{Vitals, Watched},
};
use crate::{nats, wire::State};

/// One series.
pub struct Figure {
    pub metric: &'static Metric,
    /// Values of the metric's labels, in their order.
    pub labels: Vec<String>,
    pub value: f64,
}

impl Figure {
    fn new(metric: &'static Metric, labels: &[&str], value: f64) -> Self {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        Self { metric, labels: labels.iter().map(|label| label.to_string()).collect(), value }
    }

    /// As Prometheus writes it: `name{label="value"}`.
    pub fn series(&self) -> String {
        series(self.metric, &self.labels)
    }
}

pub fn series(metric: &Metric, labels: &[String]) -> String {
    if labels.is_empty() {
        return metric.name.to_string();
    }
    let labels: Vec<_> = metric
        .labels
        .iter()
        .zip(labels)
        .map(|(label, value)| {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            format!("{label}=\"{value}\"")
        })
        .collect();
    format!("{}{{{}}}", metric.name, labels.join(","))
}

/// All of them.
pub fn gather(vitals: &Vitals, host: &HostFigures) -> Vec<Figure> {
    let mut figures = requests(vitals);
    figures.extend(batches(vitals));
    figures.extend(specs(vitals));
    figures.extend(device(vitals));
    figures.extend(state(vitals));
    figures.extend(information(vitals));
    for name in [nats::REQUESTS, nats::CONTROL, nats::MONITORING] {
        figures.extend(connection(name, vitals.connection(name).as_ref()));
    }
    figures.extend(said(vitals));
    figures.extend(process(host));
    figures
}

fn requests(vitals: &Vitals) -> Vec<Figure> {
    let model = vitals.about.spec.model.as_str();
    let limit = vitals.about.limits;
    let queue = vitals.queue();
    let tally = vitals.tally();
    let (queued, inflight) = tally.split(queue.requests);
    let of = |metric, value: f64| Figure::new(metric, &[model], value);
    let mut figures = vec![
        of(&names::REQUESTS_RECEIVED, tally.received as f64),
        of(&names::INFLIGHT_REQUESTS, inflight as f64),
        of(&names::QUEUED_REQUESTS, queued as f64),
        of(&names::REQUEST_BYTES, tally.request_bytes as f64),
        of(&names::RESPONSE_BYTES, tally.response_bytes as f64),
        of(&names::REQUESTS_DROPPED, vitals.dropped() as f64),
        of(&names::MALFORMED_TRACEPARENTS, tally.malformed_traceparents as f64),
        of(&names::QUEUED_ROWS, queue.rows as f64),
        of(&names::QUEUE_LIMIT, limit.queue_rows as f64),
        of(&names::QUEUE_OLDEST_AGE, queue.oldest_ms / 1e3),
        of(&names::MAX_BATCH_SIZE, limit.batch_rows as f64),
    ];
    let outcome = |(name, count)| Figure::new(&names::REQUESTS, &[model, name], count as f64);
    figures.extend(tally.outcomes().map(outcome));
    let refusals = |(name, count)| Figure::new(&names::REFUSALS, &[model, name], count as f64);
    figures.extend(tally.refused_for().map(refusals));
    figures
}

fn specs(vitals: &Vitals) -> Vec<Figure> {
    let model = vitals.about.spec.model.as_str();
    let outcome = |(name, count)| Figure::new(&names::SPEC_REQUESTS, &[model, name], count as f64);
    vitals.specs().outcomes().map(outcome).collect()
}

fn batches(vitals: &Vitals) -> Vec<Figure> {
    let model = vitals.about.spec.model.as_str();
    let tally = vitals.tally();
    let reason = |(name, count)| Figure::new(&names::BATCHES, &[model, name], count as f64);
    let last = tally.last_batch.map_or(0.0, unix);
    let mut figures: Vec<_> = tally.closed().map(reason).collect();
    figures.push(Figure::new(&names::LAST_BATCH, &[model], last));
    figures
}

fn device(vitals: &Vitals) -> Vec<Figure> {
    let device = vitals.about.spec.device.as_str();
    let tally = vitals.tally();
    let errors =
        |class, count: u64| Figure::new(&names::DEVICE_ERRORS, &[device, class], count as f64);
    let canaries =
        |result, count: u64| Figure::new(&names::CANARIES, &[device, result], count as f64);
    vec![
        Figure::new(&names::DEVICE_BUSY, &[device], tally.busy.as_secs_f64()),
        Figure::new(&names::DEVICE_COMPUTING, &[device], vitals.computing().as_secs_f64()),
        errors("error", tally.device_errors),
        errors("panic", tally.device_panics),
        canaries("right", tally.canaries - tally.canary_failures),
        canaries("wrong", tally.canary_failures),
    ]
}

fn state(vitals: &Vitals) -> Vec<Figure> {
    let state = vitals.shown_state();
    let switch = |metric, on: bool| Figure::new(metric, &[], f64::from(u8::from(on)));
    vec![
        switch(&names::READY, vitals.is_ready()),
        switch(&names::SUBSCRIBED, vitals.is_subscribed()),
        switch(&names::SATURATED, state == State::Saturated),
        switch(&names::DRAINING, state == State::Draining),
        Figure::new(&names::RUNTIME_STALL, &[], vitals.runtime_stall().as_secs_f64()),
    ]
}

fn information(vitals: &Vitals) -> Vec<Figure> {
    let spec = &vitals.about.spec;
    let model = [
        &spec.model,
        &spec.model_version,
        &spec.weights,
        &spec.algorithm,
        &spec.precision,
        &spec.device,
    ];
    let worker = [
        &spec.worker,
        env!("CARGO_PKG_VERSION"),
        GIT,
        &features(),
        std::env::consts::OS,
        std::env::consts::ARCH,
    ];
    vec![
        Figure::new(&names::MODEL_LOAD, &[&spec.model], vitals.about.load.as_secs_f64()),
        Figure::new(&names::MODEL_INFO, &model.map(String::as_str), 1.0),
        Figure::new(&names::WORKER_INFO, &worker, 1.0),
    ]
}

/// What the build was made from, if whoever built it said so.
pub const GIT: &str = match option_env!("CARLA_RL_GIT") {
    Some(git) => git,
    None => "unknown",
};

fn features() -> String {
    let all = [
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
        ("otlp", cfg!(feature = "otlp")),
    ];
    let built: Vec<_> = all.iter().filter(|(_, built)| *built).map(|(name, _)| *name).collect();
    if built.is_empty() { "none".into() } else { built.join(",") }
}

fn connection(name: &str, watched: Option<&Watched>) -> Vec<Figure> {
    use async_nats::connection::State::Connected;
    let connected = watched.is_some_and(|watched| watched.client.connection_state() == Connected);
    let event =
        |count: fn(&nats::Events) -> u64| watched.map_or(0, |watched| count(&watched.events));
    let messages = watched.map(|watched| watched.client.statistics());
    let inward = messages.as_ref().map_or(0, |m| m.in_messages.load(Ordering::Relaxed));
    let outward = messages.as_ref().map_or(0, |m| m.out_messages.load(Ordering::Relaxed));
    let of = |metric, count: u64| Figure::new(metric, &[name], count as f64);
    let both = |metric, label, count: u64| Figure::new(metric, &[name, label], count as f64);
    vec![
        of(&names::NATS_CONNECTED, u64::from(connected)),
        of(&names::NATS_DISCONNECTS, event(nats::Events::disconnects)),
        of(&names::NATS_RECONNECTS, event(nats::Events::reconnects)),
        of(&names::NATS_LAME_DUCK, event(nats::Events::lame_ducks)),
        of(&names::NATS_DROPPED, event(nats::Events::dropped)),
        both(&names::NATS_ERRORS, "permission", event(nats::Events::refusals)),
        both(&names::NATS_ERRORS, "other", event(nats::Events::other_errors)),
        both(&names::NATS_MESSAGES, "in", inward),
        both(&names::NATS_MESSAGES, "out", outward),
    ]
}

fn said(vitals: &Vitals) -> Vec<Figure> {
    let logs = vitals.logs();
    let dropped = logs.map_or([("stderr", 0), ("file", 0)], |logs| logs.dropped());
    let repeats = logs.map_or(0, |logs| logs.repeats());
    let spans = vitals.traces.counts();
    let span = |result, count: u64| Figure::new(&names::SPANS, &[result], count as f64);
    let mut figures = vec![
        Figure::new(&names::LOG_REPEATS, &[], repeats as f64),
        span("exported", spans.exported),
        span("dropped", spans.dropped),
    ];
    let lines = |(destination, lines): (&str, u64)| {
        Figure::new(&names::LOG_LINES_DROPPED, &[destination], lines as f64)
    };
    figures.extend(dropped.map(lines));
    figures
}

fn process(host: &HostFigures) -> Vec<Figure> {
    let of = |metric, value: f64| Figure::new(metric, &[], value);
    let mut figures = vec![
        of(&names::NATS_ROUND_TRIP, host.round_trip.map_or(0.0, |time| time.as_secs_f64())),
        of(&names::PROCESS_CPU, host.cpu.as_secs_f64()),
        of(&names::PROCESS_MEMORY, host.memory as f64),
        of(&names::PROCESS_VIRTUAL_MEMORY, host.virtual_memory as f64),
        of(&names::PROCESS_START, host.start as f64),
        of(&names::HOST_CPU, host.host_cpu),
        of(&names::HOST_CPUS, host.host_cpus as f64),
        of(&names::HOST_LOAD, host.host_load),
        of(&names::HOST_MEMORY, host.host_memory as f64),
        of(&names::HOST_MEMORY_AVAILABLE, host.host_memory_available as f64),
    ];
    figures.extend(host.open_fds.map(|open| of(&names::PROCESS_OPEN_FDS, open as f64)));
    figures.extend(host.max_fds.map(|max| of(&names::PROCESS_MAX_FDS, max as f64)));
    figures
}

fn unix(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
