//! Results as a bench might find them, for tests.

use super::{
    Arrivals, Cell, Latency, Results,
    recorder::Counts,
    results::{
        ByBatch, CpuTime, EndToEnd, Machine, Measured, Model, Ratio, Round, SCHEMA, Settings, Side,
    },
    stages::{Stage, Stages},
};

/// One batch size, one cell in a closed loop and one in an open one.
pub fn results() -> Results {
    let forward = ByBatch {
        batch_rows: 1,
        passes: 1000,
        rows_per_s: 400_000.0,
        latency: latency(2.5),
        memory_bytes: Some(10 << 20),
        watts: None,
    };
    let poisson = Arrivals::Poisson { rate: 500.0 };
    let cells = vec![measured(Arrivals::Closed), measured(poisson)];
    Results {
        carla_rl_bench: SCHEMA,
        machine: machine(),
        model: Model {
            name: "a<b".into(),
            version: "0.1.0".into(),
            weights: "01234567".into(),
            device: "cpu".into(),
            precision: "float32".into(),
        },
        settings: Settings {
            window_s: 1.5,
            warm_up_s: 0.3,
            rounds: 1,
            max_batch_size: 64,
            max_delay_us: 0,
        },
        stopped_early: false,
        no_power: Some("no meter".into()),
        forward: Some(vec![forward]),
        in_process: None,
        end_to_end: Some(EndToEnd { worker_start_s: 0.25, cells, sweep: vec![measured(poisson)] }),
        comparison: None,
    }
}

fn machine() -> Machine {
    Machine {
        cpu: "CPU".into(),
        processors: 2,
        cores: Some(1),
        memory_bytes: 8 << 30,
        os: "OS".into(),
        kernel: "1".into(),
        arch: "x86_64".into(),
        program: "0.1.0".into(),
        git: "unknown".into(),
        release: true,
        nats_server: Some("2.15.1".into()),
    }
}

fn measured(arrivals: Arrivals) -> Measured {
    let ratio = Ratio { per_s: Some(0.8), p50: Some(1.5), p99: Some(2.0) };
    let stage = Stage { name: "wait".into(), of: "request".into(), mean_us: 12.5 };
    let mut worker = side(80.0, 150.0);
    worker.counts.errors = [("overloaded".to_owned(), 3)].into();
    worker.counts.unanswered = 2;
    Measured {
        cell: Cell::FLEET,
        arrivals,
        payload_bytes: 140,
        echo: side(100.0, 100.0),
        worker,
        ratio,
        rounds: vec![Round {
            echo_per_s: 100.0,
            worker_per_s: 80.0,
            ratio,
            foreign_cores: Some(0.25),
        }],
        stages: Some(Stages { batch_rows: 4.0, stages: vec![stage] }),
    }
}

fn side(per_s: f64, p50: f64) -> Side {
    Side {
        per_s,
        latency: Some(latency(p50)),
        counts: Counts { sent: 105, answered: 100, ..Counts::default() },
        cpu_us: CpuTime { responder: Some(5.0), broker: None, load: Some(7.0) },
        memory_bytes: None,
        watts: None,
    }
}

fn latency(p50: f64) -> Latency {
    let (p95, p99, max) = (2.0 * p50, 3.0 * p50, 4.0 * p50);
    Latency { p50, p95, p99, mean: p50, max, curve: vec![(0.0, p50), (50.0, p50), (99.0, p99)] }
}
