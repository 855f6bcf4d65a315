//! Traces and log lines that are not wanted.

use std::hint::black_box;

use carla_rl::{
    settings::{LogFormat, Logging, Monitoring},
    telemetry::{
        logs,
        traces::{Origin, Traces},
    },
};
use criterion::Criterion;

pub fn benches(criterion: &mut Criterion) {
    decide_on_trace(criterion);
    refuse_log_line(criterion);
}

/// With the feature `otlp` as it is in a worker that exports, without it as in one that can't.
fn decide_on_trace(criterion: &mut Criterion) {
    let origin = Origin {
        worker: "0123abcd".into(),
        model: "lane-keeping".into(),
        model_version: "0.1.0".into(),
        subject: "policy.v1.infer.lane-keeping".into(),
        group: "lane-keeping".into(),
    };
    let otlp_endpoint = cfg!(feature = "otlp").then(|| "http://127.0.0.1:4318".into());
    let monitoring = Monitoring { enabled: true, otlp_endpoint, trace_ratio: 0.0 };
    let traces = Traces::start(&monitoring, origin).expect("it starts");
    let header = |flags| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    let headers =
        [("no header", None), ("unsampled", Some(header("00"))), ("sampled", Some(header("01")))];
    let mut group = criterion.benchmark_group("decide_on_trace");
    for (name, header) in headers {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let parent = black_box(header.as_deref()).and_then(|text| text.parse().ok());
                traces.decide(parent)
            });
        });
    }
    group.finish();
}

fn refuse_log_line(criterion: &mut Criterion) {
    let level = "info,async_nats=warn".parse().expect("it is a level");
    let format = LogFormat::Json;
    let logging = Logging { level, format, file_path: None, file_max_bytes: 0, file_keep: 0 };
    let _logs = logs::install(&logging).expect("nothing is installed yet");
    criterion.bench_function("refuse_log_line", |bencher| {
        bencher.iter(|| tracing::debug!(number = black_box(7), "a detail"));
    });
}
