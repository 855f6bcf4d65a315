//! What a request costs on its way: reading it, batching it, the forward pass by kind of policy and
//! batch size, writing the reply, and all of that in a worker without a broker; and what traces and log lines cost that are not wanted. Run with
//! `make bench`; one table row is one benchmark.

mod batching;
mod forward;
mod requests;
mod telemetry;
#[path = "../tests/integration/waves.rs"]
mod waves;
mod worker;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    forward::benches,
    requests::benches,
    batching::benches,
    telemetry::benches,
    worker::benches
);
criterion_main!(benches);
