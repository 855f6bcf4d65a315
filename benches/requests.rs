//! Reading a request, writing its reply.

use std::hint::black_box;

use bytes::BytesMut;
use carla_rl::{
    fleet::observation::DIM,
    policy::Policy,
    wire::{
        Encoding, Request, Space,
        view::{TensorView, Values},
    },
};
use criterion::Criterion;
use serde::Serialize;

pub fn benches(criterion: &mut Criterion) {
    read_request(criterion);
    write_reply(criterion);
}

#[derive(Serialize)]
struct NativeRequest<'a> {
    obs: TensorView<'a>,
    deterministic: bool,
}

fn read_request(criterion: &mut Criterion) {
    let space: Space = crate::forward::example().spec().observation_space.clone();
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
            let mut buffer = BytesMut::with_capacity(1 << 16);
            bencher.iter(|| {
                buffer.reserve(512);
                black_box(&reply(&action)).write_in(encoding, &mut buffer).expect("it is written")
            });
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
