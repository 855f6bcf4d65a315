//! What a request costs on its way: reading it, batching it, the forward pass by batch size,
//! writing the reply; and what traces and log lines cost that are not wanted. Run with `make bench`; one table row is one benchmark.

use std::{hint::black_box, path::Path, str::FromStr, sync::Arc, time::Duration};

use carla_rl::{
    artifact::Artifact,
    batch::{self, Batcher, Limits},
    fleet::observation::DIM,
    policy::{
        Input, Mode, NeuralPolicy, Policy,
        device::{Device, Precision},
    },
    settings::{LogFormat, Logging, Monitoring},
    telemetry::{
        logs,
        traces::{Origin, Traces},
    },
    wire::{
        Encoding, Observations, Request, Space, Wants,
        view::{TensorView, Values},
    },
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::Serialize;

const BATCH_SIZES: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 256];

fn example() -> NeuralPolicy {
    // The compute core looks for the number of cores at each product unless it is told one.
    // `make bench` tells it, as the program itself does at its start.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/lane-keeping/0.1.0");
    let artifact = Artifact::open(&folder).expect("the example is there");
    let device = chosen("MODEL_DEVICE", Device::Cpu);
    let precision = chosen("MODEL_PRECISION", Precision::F32);
    artifact.verify(device, precision).expect("the example is sound on this device").policy
}

/// What the variable names, as it does for a worker.
fn chosen<T: FromStr<Err = String>>(variable: &str, default: T) -> T {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a known name"))
}

fn forward(criterion: &mut Criterion) {
    let mut policy = example();
    let mut group = criterion.benchmark_group("forward");
    for rows in BATCH_SIZES {
        let input = Input::new(
            Observations::F32(vec![1.0; rows * DIM]),
            vec![Mode::Deterministic; rows],
            Wants::default(),
        );
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::from_parameter(rows), &input, |bencher, input| {
            bencher.iter(|| policy.forward(black_box(input)).expect("the forward pass succeeds"));
        });
    }
    group.finish();
}

#[derive(Serialize)]
struct NativeRequest<'a> {
    obs: TensorView<'a>,
    deterministic: bool,
}

fn read_request(criterion: &mut Criterion) {
    let space: Space = example().spec().observation_space.clone();
    let values = vec![1.5; DIM];
    let obs = TensorView::new(&[DIM][..], Values::F4(&values));
    let native = NativeRequest { obs, deterministic: true };
    let native = Encoding::MessagePack.write(&native).expect("it can be written");
    let json = format!("{{\"obs\":{values:?},\"deterministic\":true}}").into_bytes();
    let mut group = criterion.benchmark_group("read_request");
    for (name, body) in [("native", native), ("json", json)] {
        group.bench_with_input(name, &body, |bencher, body| {
            bencher.iter(|| {
                let mut request = Request::read(black_box(body)).expect("it can be read");
                request.rows(&space, None, 1024).expect("it fits the space")
            });
        });
    }
    group.finish();
}

fn write_reply(criterion: &mut Criterion) {
    let action = [0.1, 0.2, 0.3];
    let mut group = criterion.benchmark_group("write_reply");
    for (name, encoding) in [("native", Encoding::MessagePack), ("json", Encoding::Json)] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| encoding.write(black_box(&reply(&action))).expect("it can be written"));
        });
    }
    group.finish();
}

fn reply(action: &[f32]) -> carla_rl::wire::reply::Reply<'_> {
    carla_rl::wire::reply::Reply {
        action: TensorView::new(&[3][..], Values::F4(action)),
        value: None,
        log_prob: None,
        raw_action: None,
        probs: None,
        q_values: None,
        state: None,
        seed: None,
        model_version: "0.1.0",
        weights: "0123abcd",
        worker: "0123abcd",
        batch_rows: 64,
        queue_us: 100,
        compute_us: 50,
        id: None,
    }
}

fn batch(criterion: &mut Criterion) {
    let limits = Limits {
        batch_rows: 64,
        max_delay: Duration::ZERO,
        queue_rows: 4096,
        simulator_requests: 64,
        newest_wins: false,
    };
    let simulators: Vec<Arc<str>> = (0..64).map(|i| format!("simulator-{i}").into()).collect();
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(64));
    let plain = |_: usize, _: Duration| (None, None);
    let by_deadline = |_: usize, now: Duration| (Some(now + Duration::from_secs(10)), None);
    let by_turns = |i: usize, now: Duration| {
        (Some(now + Duration::from_secs(10)), Some(simulators[i].clone()))
    };
    type Asks<'a> = &'a dyn Fn(usize, Duration) -> (Option<Duration>, Option<Arc<str>>);
    let kinds: [(&str, Asks); 3] =
        [("plain", &plain), ("with deadlines", &by_deadline), ("of simulators", &by_turns)];
    for (name, ask) in kinds {
        group.bench_function(format!("push 64, take 1, {name}"), |bencher| {
            let (mut queue, mut now) = (Batcher::new(limits), Duration::ZERO);
            bencher.iter(|| {
                now += Duration::from_micros(100);
                for i in 0..64 {
                    let (deadline, simulator) = ask(i, now);
                    let request = batch::Request { rows: 1, priority: 5, deadline, simulator };
                    queue.push(i, request, now).expect("there is room");
                }
                let batch = queue.take(now).expect("one is due");
                queue.computed(batch.rows, Duration::from_micros(50), &batch.simulators);
                batch
            });
        });
    }
    group.finish();
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

criterion_group!(
    benches,
    forward,
    read_request,
    write_reply,
    batch,
    decide_on_trace,
    refuse_log_line
);
criterion_main!(benches);
