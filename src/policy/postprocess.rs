//! From the distribution's action to environment units, as Stable-Baselines3's `predict` does.

use super::spec::Postprocess;
use crate::wire::{DType, Space, space::Bound};

/// The bounds of a box action, in the precision that the environment has them in.
pub struct Bounds {
    low: Vec<f64>,
    high: Vec<f64>,
    /// Whether the environment computes with them in f64.
    double: bool,
    postprocess: Postprocess,
}

impl Bounds {
    /// `space` is a checked box.
    pub fn new(space: &Space, postprocess: Postprocess) -> Self {
        let expand = |bound: &Bound| bound.expand(space.size()).unwrap_or_default();
        match space {
            Space::Box { low, high, dtype, .. } => {
                let (low, high, double) = (expand(low), expand(high), *dtype == DType::F8);
                Self { low, high, double, postprocess }
            }
            _ => Self { low: vec![], high: vec![], double: false, postprocess: Postprocess::None },
        }
    }

    /// One element of a raw action in environment units.
    pub fn apply(&self, element: usize, raw: f32) -> f32 {
        match self.postprocess {
            Postprocess::None => raw,
            // NaN stays NaN, and is then refused.
            Postprocess::Clip => f64::from(raw).clamp(self.low[element], self.high[element]) as f32,
            Postprocess::Rescale => {
                let share = 0.5 * (raw.clamp(-1.0, 1.0) + 1.0);
                let (low, high) = (self.low[element], self.high[element]);
                match self.double {
                    true => (low + f64::from(share) * (high - low)) as f32,
                    false => low as f32 + share * (high as f32 - low as f32),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!([-1.5, 7.0].map(|raw| rescale.apply(0, raw)), [-2.0, 1.0], "and no further");
    }
}
