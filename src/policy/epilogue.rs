//! What follows a product, element by element, while its results are still in the cache.

use pulp::Simd;

use super::{device::Precision, spec::Activation};

#[derive(Clone, Copy)]
pub struct Epilogue {
    /// What results are rounded to, before the activation and behind it.
    pub precision: Precision,
    pub activation: Activation,
}

impl Epilogue {
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, values: &mut [f32]) {
        self.precision.round_all(values);
        self.activation.apply(simd, values);
        self.precision.round_all(values);
    }
}
