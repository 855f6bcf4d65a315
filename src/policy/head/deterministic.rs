//! Policies with nothing to sample: the network's outputs are the action of a box.

use super::{Given, bound};
use crate::policy::{Output, postprocess::Bounds};

pub struct Deterministic {
    pub size: usize,
    pub squash: bool,
    pub bounds: Bounds,
}

impl Deterministic {
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let raw = |x: &f32| if self.squash { x.tanh() } else { *x };
        output.raw_action.floats_mut().extend(given.outputs.iter().map(raw));
        bound(output, self.size, &self.bounds);
    }
}
