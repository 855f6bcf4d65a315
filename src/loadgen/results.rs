//! All that a bench found, for people, scripts and later comparisons.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Arrivals, Cell, Latency,
    compare::Comparison,
    latency::Times,
    recorder::Counts,
    stages::{Stages, Sums},
    window::{Used, Window},
};

/// Of this form. Another form has another number.
pub const SCHEMA: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    pub carla_rl_bench: u32,
    pub machine: Machine,
    pub model: Model,
    pub settings: Settings,
    /// Somebody ended it before all was measured.
    pub stopped_early: bool,
    /// Why no power is told.
    pub no_power: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Vec<ByBatch>>,
    /// A worker without a broker: from requests to encoded replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_process: Option<Vec<ByBatch>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_to_end: Option<EndToEnd>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub cpu: String,
    pub processors: usize,
    pub cores: Option<usize>,
    pub memory_bytes: u64,
    pub os: String,
    pub kernel: String,
    pub arch: String,
    pub program: String,
    pub git: String,
    /// With optimisation. Figures of a debug build say nothing.
    pub release: bool,
    /// Of the broker; absent if none took part.
    pub nats_server: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub name: String,
    pub version: String,
    pub weights: String,
    pub device: String,
    pub precision: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Of a measured window.
    pub window_s: f64,
    /// Before each, not measured.
    pub warm_up_s: f64,
    pub rounds: usize,
    pub max_batch_size: usize,
    pub max_delay_us: u64,
}

/// One batch after the other: of a forward pass, or of requests with one row each that come together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByBatch {
    pub batch_rows: usize,
    /// How many batches.
    pub passes: u64,
    pub rows_per_s: f64,
    pub latency: Latency,
    /// Of this process: the policy, and the bench itself.
    pub memory_bytes: Option<u64>,
    pub watts: Option<f64>,
}

/// A worker behind a broker, and a bare echo in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndToEnd {
    /// From the start of its process until it takes requests.
    pub worker_start_s: f64,
    pub cells: Vec<Measured>,
    /// One cell at rising rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Measured>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub cell: Cell,
    pub arrivals: Arrivals,
    pub payload_bytes: usize,
    pub echo: Side,
    pub worker: Side,
    /// Medians of the rounds' ratios.
    pub ratio: Ratio,
    pub rounds: Vec<Round>,
    /// Means over the worker's windows.
    pub stages: Option<Stages>,
}

/// All windows of one who answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Answers a second; the median of the rounds.
    pub per_s: f64,
    /// Absent if nothing was answered.
    pub latency: Option<Latency>,
    pub counts: Counts,
    pub cpu_us: CpuTime,
    /// The most of the process, resident.
    pub memory_bytes: Option<u64>,
    pub watts: Option<f64>,
}

/// Processor time for each answered request, µs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CpuTime {
    pub responder: Option<f64>,
    pub broker: Option<f64>,
    pub load: Option<f64>,
}

/// The worker's by the echo's. Absent where either has none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub per_s: Option<f64>,
    pub p50: Option<f64>,
    pub p99: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub echo_per_s: f64,
    pub worker_per_s: f64,
    pub ratio: Ratio,
    pub foreign_cores: Option<f64>,
}

impl Measured {
    /// Of pairs of windows, echo and worker.
    pub fn of(
        cell: Cell,
        arrivals: Arrivals,
        payload_bytes: usize,
        rounds: &[(Window, Window)],
    ) -> Self {
        let sides: (Vec<_>, Vec<_>) = rounds.iter().map(|(echo, worker)| (echo, worker)).unzip();
        let ratios: Vec<_> = rounds.iter().map(|(echo, worker)| Ratio::of(echo, worker)).collect();
        let round = |((echo, worker), ratio): (&(Window, Window), &Ratio)| Round {
            echo_per_s: rounded(echo.recorder.throughput()),
            worker_per_s: rounded(worker.recorder.throughput()),
            ratio: *ratio,
            foreign_cores: worst([echo.foreign_cores, worker.foreign_cores]).map(hundredths),
        };
        Self {
            cell,
            arrivals,
            payload_bytes,
            echo: Side::of(&sides.0),
            worker: Side::of(&sides.1),
            ratio: Ratio::median(&ratios),
            rounds: rounds.iter().zip(&ratios).map(round).collect(),
            stages: stages(&sides.1),
        }
    }
}

impl Side {
    fn of(windows: &[&Window]) -> Self {
        let (mut times, mut counts) = (Times::default(), Counts::default());
        for window in windows {
            times.add(&window.recorder.times);
            counts.add(&window.recorder.counts);
        }
        let rates = windows.iter().map(|window| window.recorder.throughput()).collect();
        let watts = windows.iter().map(|window| window.watts).collect::<Option<Vec<_>>>();
        Self {
            per_s: median(rates).map_or(0.0, rounded),
            latency: times.latency(),
            counts,
            cpu_us: CpuTime::of(windows),
            memory_bytes: windows.iter().filter_map(|window| window.memory).max(),
            watts: watts.and_then(median).map(hundredths),
        }
    }
}

impl CpuTime {
    fn of(windows: &[&Window]) -> Self {
        let used = windows.iter().map(|window| window.used).reduce(|a, b| a.add(&b));
        let Used { responder, broker, load } = used.unwrap_or_default();
        let answers: u64 = windows.iter().map(|window| window.recorder.completed()).sum();
        let each = |time: Option<Duration>| {
            let us = time?.as_secs_f64() * 1e6;
            (answers > 0).then(|| hundredths(us / answers as f64))
        };
        Self { responder: each(responder), broker: each(broker), load: each(load) }
    }
}

impl Ratio {
    fn of(echo: &Window, worker: &Window) -> Self {
        let by = |worker: f64, echo: f64| (echo > 0.0).then(|| thousandths(worker / echo));
        let latencies = echo.recorder.times.latency().zip(worker.recorder.times.latency());
        let of = |pick: fn(&Latency) -> f64| {
            latencies.as_ref().and_then(|(echo, worker)| by(pick(worker), pick(echo)))
        };
        Self {
            per_s: by(worker.recorder.throughput(), echo.recorder.throughput()),
            p50: of(|latency| latency.p50),
            p99: of(|latency| latency.p99),
        }
    }

    fn median(ratios: &[Self]) -> Self {
        let of = |pick: fn(&Ratio) -> Option<f64>| {
            median(ratios.iter().filter_map(pick).collect()).map(thousandths)
        };
        Self { per_s: of(|r| r.per_s), p50: of(|r| r.p50), p99: of(|r| r.p99) }
    }
}

fn stages(windows: &[&Window]) -> Option<Stages> {
    let mut all = Sums::default();
    windows.iter().filter_map(|window| window.sums.as_ref()).for_each(|sums| all.add(sums));
    all.stages()
}

/// `None` of nothing.
fn median(values: Vec<f64>) -> Option<f64> {
    crate::ping::Times::of(values).map(|times| times.median)
}

fn worst(values: [Option<f64>; 2]) -> Option<f64> {
    values.into_iter().flatten().reduce(f64::max)
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::Recorder;

    const CELL: Cell = Cell::FLEET;

    /// A window of a second with so many answers after so many milliseconds.
    fn window(answers: u64, ms: u64) -> Window {
        let at = Duration::from_millis;
        let mut recorder = Recorder::new(at(0)..at(1000));
        for _ in 0..answers {
            recorder.sent(at(1));
            recorder.answered(at(1), at(1 + ms));
        }
        let used = Used { responder: Some(at(answers)), broker: None, load: Some(at(1)) };
        Window {
            recorder,
            used,
            memory: Some(answers),
            watts: None,
            foreign_cores: Some(0.5),
            sums: None,
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_of_their_sums() {
        let rounds = [
            (window(100, 1), window(90, 2)),
            (window(10, 1), window(1, 2)),
            (window(1000, 1), window(800, 2)),
        ];
        let measured = Measured::of(CELL, Arrivals::Closed, 100, &rounds);
        assert_eq!(measured.ratio.per_s, Some(0.8));
        assert_eq!((measured.echo.per_s, measured.worker.per_s), (100.0, 90.0));
        assert!(measured.ratio.p50.is_some_and(|ratio| (ratio - 2.0).abs() < 0.01));
    }

    #[test]
    fn processor_time_is_of_each_answer_and_unknown_where_a_process_is_elsewhere() {
        let rounds = [(window(10, 1), window(20, 1)), (window(10, 1), window(20, 1))];
        let measured = Measured::of(CELL, Arrivals::Closed, 100, &rounds);
        let CpuTime { responder, broker, load } = measured.worker.cpu_us;
        assert_eq!((responder, broker, load), (Some(1000.0), None, Some(50.0)));
        assert_eq!(measured.worker.memory_bytes, Some(20));
    }

    #[test]
    fn a_side_that_never_answers_has_no_latency_and_no_ratio() {
        let measured = Measured::of(CELL, Arrivals::Closed, 100, &[(window(0, 1), window(1, 1))]);
        assert_eq!((measured.echo.latency, measured.ratio.per_s), (None, None));
        assert_eq!(measured.echo.cpu_us.responder, None);
    }
}
