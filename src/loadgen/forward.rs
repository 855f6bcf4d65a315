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
    time(policy, input, WARM_UP.min(window))?;
    time(policy, input, window)
}

fn time(policy: &mut dyn Policy, input: &Input, window: Duration) -> Result<Times, String> {
    let (mut times, mut output) = (Times::default(), Output::default());
    let began = Instant::now();
    let mut last = began;
    while last - began < window {
        policy.forward(input, &mut output).map_err(|error| message(&error))?;
        let now = Instant::now();
        times.record(now - last);
        last = now;
    }
    Ok(times)
}
