//! A policy that fails when it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use carla_rl::policy::{Input, Output, Policy, PolicySpec};

use crate::support::{TestBroker, Worker};

/// A policy with a defect: it fails, or panics, once it has been warmed up.
struct Broken {
    inner: Box<dyn Policy>,
    armed: Arc<AtomicBool>,
    panics: bool,
}

/// A worker with a defect, and the switch that brings it out.
pub async fn broken(broker: &TestBroker, panics: bool) -> (Worker, Arc<AtomicBool>) {
    let armed = Arc::<AtomicBool>::default();
    let switch = armed.clone();
    let worker = broker.worker().wrap(|inner| Box::new(Broken { inner, armed, panics }));
    (worker.start().await, switch)
}

impl Policy for Broken {
    fn spec(&self) -> &PolicySpec {
        self.inner.spec()
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()> {
        match (self.armed.load(Ordering::Relaxed), self.panics) {
            (false, _) => self.inner.forward(input, output),
            (true, true) => panic!("a defect, on purpose"),
            (true, false) => candle_core::bail!("the device is out of memory"),
        }
    }
}
