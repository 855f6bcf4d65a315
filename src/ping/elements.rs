//! The elements of an observation that is made up.

use crate::wire::{DType, Space, view::Values};

/// In the type in which a simulator would send them.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    U1(Vec<u8>),
    F4(Vec<f32>),
    I8(Vec<i64>),
}

impl Elements {
    /// One for each pair of bounds, in the middle of it, and one that `space` has.
    ///
    /// # Errors
    /// Nothing lies within an element's bounds.
    pub fn within(bounds: Vec<(f64, f64)>, space: &Space) -> Result<Self, String> {
        let elements = bounds.into_iter().enumerate().map(|(at, bounds)| match space.choices(at) {
            Some(choices) => integer(bounds, choices)
                .ok_or_else(|| format!("element {at} of the {} space has no value", space.name())),
            None => Ok(middle(bounds)),
        });
        let elements = elements.collect::<Result<Vec<f64>, String>>()?.into_iter();
        Ok(match space {
            Space::Box { dtype: DType::U1, .. } | Space::MultiBinary { .. } => {
                Elements::U1(elements.map(|x| x as u8).collect())
            }
            Space::Box { dtype, .. } if dtype.is_float() => {
                Elements::F4(elements.map(|x| x as f32).collect())
            }
            _ => Elements::I8(elements.map(|x| x as i64).collect()),
        })
    }

    pub fn repeat(&self, times: usize) -> Self {
        match self {
            Elements::U1(values) => Elements::U1(values.repeat(times)),
            Elements::F4(values) => Elements::F4(values.repeat(times)),
            Elements::I8(values) => Elements::I8(values.repeat(times)),
        }
    }

    pub fn values(&self) -> Values<'_> {
        match self {
            Elements::U1(values) => Values::U1(values),
            Elements::F4(values) => Values::F4(values),
            Elements::I8(values) => Values::I8(values),
        }
    }
}

/// A bound that no f4 can hold is none: so JSON writes infinity, too.
fn middle((low, high): (f64, f64)) -> f64 {
    let is_bound = |bound: f64| bound.abs() < f64::from(f32::MAX);
    match is_bound(low) && is_bound(high) {
        true => low + (high - low) / 2.0,
        false => 0.0_f64.max(low).min(high),
    }
}

/// The integer in the middle of what lies within both bounds.
fn integer((low, high): (f64, f64), choices: (f64, f64)) -> Option<f64> {
    let (low, high) = (low.max(choices.0).ceil(), high.min(choices.1).floor());
    (low <= high).then(|| middle((low, high)).floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::space::Bound;

    fn made(dtype: DType, low: f64, high: f64) -> Result<Elements, String> {
        let (of_low, of_high) = (Bound::Uniform(low), Bound::Uniform(high));
        let space = Space::Box { dtype, shape: vec![1], low: of_low, high: of_high };
        Elements::within(vec![(low, high)], &space)
    }

    #[test]
    fn integers_keep_to_their_bounds_and_to_their_type() {
        for (dtype, low, high, expected) in [
            (DType::I4, -2.5, 0.5, Elements::I8(vec![-1])),
            (DType::I8, f64::MIN, f64::MAX, Elements::I8(vec![0])),
            (DType::I8, 7.0, f64::INFINITY, Elements::I8(vec![1 << 62])),
            (DType::U1, -1000.0, 11.0, Elements::U1(vec![5])),
            (DType::B1, 1.0, 1.0, Elements::I8(vec![1])),
        ] {
            assert_eq!(made(dtype, low, high), Ok(expected), "{dtype:?} from {low} to {high}");
        }
    }

    #[test]
    fn bounds_without_an_integer_between_them_are_told() {
        for (dtype, low, high) in [(DType::I4, 0.2, 0.8), (DType::U1, 300.0, 400.0)] {
            let problem = made(dtype, low, high).unwrap_err();
            assert_eq!(problem, "element 0 of the box space has no value");
        }
    }

    #[test]
    fn a_choice_is_the_one_in_the_middle() {
        let gears = Space::Discrete { n: 6, start: -1 };
        let all = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(Elements::within(vec![all], &gears), Ok(Elements::I8(vec![1])));
    }
}
