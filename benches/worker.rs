//! From requests that came together to their encoded replies, in a worker without a broker.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::Message;
use bytes::Bytes;
use carla_rl::{
    artifact::Artifact,
    batch,
    fleet::observation::DIM,
    policy::device::{Device, Precision},
    settings::{Limits, Monitoring},
    telemetry::{
        Vitals,
        traces::{Origin, Traces},
        vitals::{About, STALL},
    },
    wire::{Encoding, TensorView, Values},
    worker::{InProcess, Served},
};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use serde::Serialize;

/// Messages, and rows of each.
const BURSTS: [(usize, usize); 4] = [(1, 1), (16, 1), (128, 1), (1, 64)];

pub fn benches(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("it is built");
    let mut worker = runtime.block_on(start());
    let mut group = criterion.benchmark_group("worker_in_process");
    for (messages, rows) in BURSTS {
        let name = BenchmarkId::from_parameter(format!("{messages} messages of {rows} rows"));
        group.throughput(Throughput::Elements((messages * rows) as u64));
        group.bench_with_input(name, &body(rows), |bencher, body| {
            let burst = || (0..messages).map(|at| message(at, body)).collect::<Vec<_>>();
            bencher.iter_batched(burst, |burst| worker.exchange(burst), BatchSize::SmallInput);
        });
    }
    group.finish();
}

async fn start() -> InProcess {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/lane-keeping/0.1.0");
    let artifact = Artifact::open(&folder).expect("the example is there");
    let verified = artifact.verify(Device::Cpu, Precision::F32).expect("it is sound");
    let limits = Limits { queue_rows: 4096, request_rows: 1024, request_bytes: 8 << 20 };
    let served = Served::new(&artifact, &verified, Precision::F32, &limits, "bench");
    let about = About {
        spec: served.spec.clone(),
        prefix: "policy".into(),
        boot_id: "0".into(),
        limits: batch::Limits {
            batch_rows: 64,
            max_delay: Duration::ZERO,
            queue_rows: limits.queue_rows,
            simulator_requests: 64,
            newest_wins: false,
        },
        stall: STALL,
        load: Duration::ZERO,
        started_at: SystemTime::now(),
    };
    let origin = Origin {
        worker: "bench".into(),
        model: served.spec.model.clone(),
        model_version: served.spec.model_version.clone(),
        subject: "policy.v1.infer.lane-keeping".into(),
        group: "lane-keeping".into(),
    };
    let monitoring = Monitoring { enabled: false, otlp_endpoint: None, trace_ratio: 0.0 };
    let traces = Traces::start(&monitoring, origin).expect("it starts");
    let vitals = Arc::new(Vitals::new(about, traces));
    InProcess::start(served, Box::new(verified.policy), vitals).await.expect("it starts")
}

#[derive(Serialize)]
struct Request<'a> {
    obs: TensorView<'a>,
    deterministic: bool,
}

fn body(rows: usize) -> Bytes {
    let values: Vec<f32> = (0..rows * DIM).map(|at| (at % 17) as f32 * 0.03).collect();
    let shape = if rows == 1 { &[DIM][..] } else { &[rows, DIM] };
    let request = Request { obs: TensorView::new(shape, Values::F4(&values)), deterministic: true };
    Encoding::MessagePack.write(&request).expect("it can be written").into()
}

fn message(at: usize, body: &Bytes) -> Message {
    Message {
        subject: "policy.v1.infer.lane-keeping".into(),
        reply: Some(format!("_INBOX.bench.{at}").into()),
        payload: body.clone(),
        headers: None,
        status: None,
        description: None,
        length: body.len(),
    }
}
