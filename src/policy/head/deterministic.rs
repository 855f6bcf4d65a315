//! Policies with nothing to sample: the network's outputs are the action of a box.

use super::{Decided, Given};
use crate::policy::postprocess::Bounds;

pub struct Deterministic {
    pub size: usize,
    pub squash: bool,
    pub bounds: Bounds,
}

impl Deterministic {
    pub fn decide(&self, given: &Given) -> Decided {
        let raw = |x: &f32| if self.squash { x.tanh() } else { *x };
        let raw_action = given.outputs.iter().map(raw).collect();
        Decided::continuous(raw_action, self.size, &self.bounds)
    }
}
