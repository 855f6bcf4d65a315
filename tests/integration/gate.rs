//! A policy that computes only when it is told to, so that a batch's content is exact.

use std::sync::{
    Arc, Mutex,
    mpsc::{Receiver, Sender, channel},
};

use carla_rl::policy::{Input, Output, Policy, PolicySpec};

/// The test's side of the gate.
pub struct Gate {
    permits: Sender<()>,
    state: Arc<Mutex<GateState>>,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    batches: Vec<usize>,
}

struct Gated {
    inner: Box<dyn Policy>,
    permits: Receiver<()>,
    state: Arc<Mutex<GateState>>,
}

impl Gate {
    /// Puts a gate before `inner`. It stands open, for the warm-up, until it is closed.
    pub fn before(inner: Box<dyn Policy>) -> (Self, Box<dyn Policy>) {
        let (permits, receiver) = channel();
        let state = Arc::<Mutex<GateState>>::default();
        let gated = Gated { inner, permits: receiver, state: state.clone() };
        (Self { permits, state }, Box::new(gated))
    }

    /// From now on every batch needs a permit.
    pub fn close(&self) {
        let mut state = self.state.lock().unwrap();
        state.closed = true;
        state.batches.clear();
    }

    /// Lets one batch through.
    pub fn pass(&self) {
        self.permits.send(()).unwrap();
    }

    /// Lets all batches through from now on.
    pub fn open(&self) {
        self.state.lock().unwrap().closed = false;
        self.pass();
    }

    /// Rows of each batch that has come to the gate since it was closed.
    pub fn batches(&self) -> Vec<usize> {
        self.state.lock().unwrap().batches.clone()
    }
}

impl Policy for Gated {
    fn spec(&self) -> &PolicySpec {
        self.inner.spec()
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()> {
        let closed = {
            let mut state = self.state.lock().unwrap();
            state.batches.push(input.modes.len());
            state.closed
        };
        if closed {
            self.permits.recv().unwrap();
        }
        self.inner.forward(input, output)
    }
}
