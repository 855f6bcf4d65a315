//! From the distribution's action to environment units, as Stable-Baselines3's `predict` does.

use super::spec::Postprocess;
use crate::wire::Space;

/// The bounds of a box action, in f32 as the environment has them.
pub struct Bounds {
    low: Vec<f32>,
    high: Vec<f32>,
    postprocess: Postprocess,
}

impl Bounds {
    /// `space` is a checked box.
    pub fn new(space: &Space, postprocess: Postprocess) -> Self {
        let f32s = |bound: Option<Vec<f64>>| {
            bound.unwrap_or_default().iter().map(|x| *x as f32).collect::<Vec<_>>()
        };
        match space {
            Space::Box { low, high, .. } => Self {
                low: f32s(low.expand(space.size())),
                high: f32s(high.expand(space.size())),
                postprocess,
            },
            _ => Self { low: vec![], high: vec![], postprocess: Postprocess::None },
        }
    }

    /// One element of a raw action in environment units.
    pub fn apply(&self, element: usize, raw: f32) -> f32 {
        match self.postprocess {
            Postprocess::None => raw,
            // NaN stays NaN, and is then refused.
            Postprocess::Clip => raw.clamp(self.low[element], self.high[element]),
            Postprocess::Rescale => {
                let (low, high) = (self.low[element], self.high[element]);
                low + 0.5 * (raw + 1.0) * (high - low)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DType, space::Bound};

    fn bounds(low: f64, high: f64, postprocess: Postprocess) -> Bounds {
        let (low, high) = (Bound::Uniform(low), Bound::Uniform(high));
        Bounds::new(&Space::Box { dtype: DType::F4, shape: vec![1], low, high }, postprocess)
    }

    #[test]
    fn clipping_ends_at_the_bounds_and_infinite_ones_change_nothing() {
        let clip = bounds(-2.0, 1.0, Postprocess::Clip);
        assert_eq!([-3.0, 0.5, 2.0].map(|raw| clip.apply(0, raw)), [-2.0, 0.5, 1.0]);
        let unbounded = bounds(f64::NEG_INFINITY, f64::INFINITY, Postprocess::Clip);
        assert_eq!(unbounded.apply(0, 1e30), 1e30);
    }

    #[test]
    fn rescaling_maps_minus_one_and_one_exactly_to_the_bounds() {
        let rescale = bounds(-2.0, 1.0, Postprocess::Rescale);
        assert_eq!([-1.0, 0.0, 1.0].map(|raw| rescale.apply(0, raw)), [-2.0, -0.5, 1.0]);
    }
}
