//! A row whose outputs are known, computed when nothing else is: a device that has begun to compute
//! something else is found out before the next simulator asks.

use std::time::Duration;

use crate::{
    artifact::Golden,
    policy::{Policy, device::Precision, message},
};

/// A golden row, and when to compute it.
pub struct Canary {
    pub golden: Golden,
    pub precision: Precision,
    /// Without a batch for so long.
    pub after: Duration,
}

impl Canary {
    /// # Errors
    /// A sentence: the device fails, or gives other outputs.
    pub fn sing(&self, policy: &mut dyn Policy) -> Result<(), String> {
        match self.golden.compare(policy, self.precision) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("the device was idle, then: {}", message(&error))),
        }
    }
}
