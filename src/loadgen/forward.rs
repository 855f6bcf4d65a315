//! The forward pass alone: no broker, no queue, one batch after the other.

use std::time::{Duration, Instant};

use super::latency::Times;
use crate::{
    ping::observation::Synthetic,
    policy::{Input, Mode, Output, Policy, message},
    wire::{Request, Spec, Wants},
};

/// Before each batch size, not measured.
const WARM_UP: Duration = Duration::from_millis(200);

/// A batch of so many observations, made up as those of a request are.
///
/// # Errors
/// A sentence: none can be made up, or the policy would not take it.
pub fn batch(spec: &Spec, rows: usize) -> Result<Input, String> {
    let body = Synthetic::of(spec)?.rows(rows).request().map_err(|error| error.to_string())?;
    let mut request = Request::read(&body).map_err(|rejected| rejected.error.to_string())?;
    let features = spec.observation_features.as_deref();
    let values = request.rows(&spec.observation_space, features, rows);
    let values = values.map_err(|error| error.to_string())?.values;
    Ok(Input::new(values.to_observations(), vec![Mode::Deterministic; rows], Wants::default()))
}

/// Passes for so long, each timed.
///
/// # Errors
/// What the device says.
pub fn passes(policy: &mut dyn Policy, input: &Input, window: Duration) -> Result<Times, String> {
    let mut output = Output::default();
    repeat(window, || {
        let began = Instant::now();
        policy.forward(input, &mut output).map_err(|error| message(&error))?;
        Ok(began.elapsed())
    })
}

/// Does it again and again for so long, after a warm-up. It tells how long it took.
///
/// # Errors
/// Its first one.
pub fn repeat(
    window: Duration,
    mut once: impl FnMut() -> Result<Duration, String>,
) -> Result<Times, String> {
    let mut times = Times::default();
    for (window, counts) in [(WARM_UP.min(window), false), (window, true)] {
        let began = Instant::now();
        while began.elapsed() < window {
            let time = once()?;
            if counts {
                times.record(time);
            }
        }
    }
    Ok(times)
}
