//! The layer `forward`.

use std::time::Instant;

use tokio::task::spawn_blocking;

use super::{Plan, Progress};
use crate::{
    failure::Failure,
    loadgen::{energy::Meters, forward, latency::Times, results::ByBatch, usage::Processes},
    policy::NeuralPolicy,
    wire::Spec,
};

/// Measures each batch size. On a thread of its own, so that a signal is heard meanwhile. Gives the
/// policy back.
///
/// # Errors
/// The policy takes no observation that can be made up, or its device fails.
pub async fn measure(
    plan: &Plan,
    spec: &Spec,
    mut policy: NeuralPolicy,
    meters: Option<&Meters>,
    into: &mut Vec<ByBatch>,
    progress: &Progress,
) -> Result<NeuralPolicy, Failure> {
    let mut processes = Processes::new(&[Some(std::process::id())]);
    for rows in &plan.batch_sizes {
        let batch = forward::batch(spec, *rows).map_err(|why| {
            Failure::Configuration(format!(
                "--batch-sizes: a batch of {rows} can't be made up: {why}"
            ))
        })?;
        progress.step(format!("forward pass, batch of {rows}"));
        let window = plan.window;
        let computing = move || {
            let times = forward::passes(&mut policy, &batch, window);
            (policy, times)
        };
        let measured;
        (policy, measured) = watched(*rows, computing, meters, &mut processes).await?;
        into.extend(measured);
        progress.done();
    }
    Ok(policy)
}

/// Does it on a thread of its own, and looks what power and memory it takes.
///
/// # Errors
/// Its own; it panicked.
pub async fn watched<T: Send + 'static>(
    batch_rows: usize,
    computing: impl FnOnce() -> (T, Result<Times, String>) + Send + 'static,
    meters: Option<&Meters>,
    processes: &mut Processes,
) -> Result<(T, Option<ByBatch>), Failure> {
    let before = meters.and_then(|meters| meters.read().ok());
    let began = Instant::now();
    let computed = spawn_blocking(computing).await;
    let (back, times) = computed.map_err(|error| Failure::Defect(error.to_string()))?;
    let times = times.map_err(Failure::Defect)?;
    let joules = meters
        .zip(before)
        .and_then(|(meters, before)| Some(meters.joules(&before, &meters.read().ok()?)));
    processes.look();
    let watts = joules.map(|joules| joules / began.elapsed().as_secs_f64());
    Ok((back, summary(batch_rows, &times, processes.peak()[0], watts)))
}

/// `None` if not one pass was done.
fn summary(
    batch_rows: usize,
    times: &Times,
    memory_bytes: Option<u64>,
    watts: Option<f64>,
) -> Option<ByBatch> {
    let latency = times.latency()?;
    let rows_per_s = (batch_rows as f64 / latency.mean * 1e6).round();
    Some(ByBatch { batch_rows, passes: times.count(), rows_per_s, latency, memory_bytes, watts })
}
