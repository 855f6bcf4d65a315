//! An observation that any model with this spec must take.

use crate::wire::{Space, Spec, named};

/// One observation: the middle of each element's bounds, and 0 where it has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Synthetic {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Synthetic {
    /// Where the card names features, the bounds of these hold too.
    ///
    /// # Errors
    /// The space is no box, or its bounds are not as many as its elements.
    pub fn of(spec: &Spec) -> Result<Self, String> {
        let space = &spec.observation_space;
        let Space::Box { shape, low, high, .. } = space else {
            return Err(format!("observations of a {} space can't be made up", space.name()));
        };
        // Before anything of that size is made: a spec may say what it likes.
        if space.size() > spec.max_bytes {
            return Err(format!("observations of shape {shape:?} are larger than a request"));
        }
        let (Some(low), Some(high)) = (low.expand(space.size()), high.expand(space.size())) else {
            return Err(format!("the space of shape {shape:?} has another number of bounds"));
        };
        let named = named_bounds(spec.observation_features.as_deref(), space.size());
        let values = low.into_iter().zip(high).zip(named);
        let values = values.map(|((low, high), named)| value(low.max(named.0), high.min(named.1)));
        Ok(Self { shape: shape.clone(), values: values.map(|value| value as f32).collect() })
    }
}

/// A bound that no f4 can hold is none: so JSON writes infinity, too.
fn value(low: f64, high: f64) -> f64 {
    let is_bound = |bound: f64| bound.abs() < f64::from(f32::MAX);
    match is_bound(low) && is_bound(high) {
        true => low + (high - low) / 2.0,
        false => 0.0_f64.max(low).min(high),
    }
}

/// One pair for each element. `sensors` stands for all that the other features leave.
fn named_bounds(features: Option<&[String]>, size: usize) -> Vec<(f64, f64)> {
    let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
    let Some(features) = features else { return vec![unbounded; size] };
    let sensors = (size + 1).saturating_sub(features.len());
    let elements = |name: &String| if name == named::SENSORS { sensors } else { 1 };
    let named = features.iter().flat_map(|name| vec![named::bounds(name); elements(name)]);
    named.chain(std::iter::repeat(unbounded)).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{DType, space::Bound};

    fn spec(size: usize, low: Bound, high: Bound) -> Spec {
        let space = Space::Box { dtype: DType::F4, shape: vec![size], low, high };
        Spec {
            model: "m".into(),
            model_version: "0.1.0".into(),
            weights: "00000000".into(),
            algorithm: "none".into(),
            observation_space: space.clone(),
            action_space: space,
            observation_features: None,
            action_names: None,
            wants: vec![],
            recurrent: false,
            masked: false,
            max_rows: 1,
            max_bytes: 1000,
            device: "cpu".into(),
            precision: "float32".into(),
            worker: "w".into(),
        }
    }

    #[test]
    fn elements_are_in_the_middle_of_their_bounds_and_0_without() {
        let low = Bound::Each(vec![0.0, -1.0, f64::NEG_INFINITY, 5.0, f64::MIN]);
        let high = Bound::Each(vec![200.0, 2.0, f64::INFINITY, f64::INFINITY, f64::MAX]);
        let made = Synthetic::of(&spec(5, low, high)).unwrap();
        assert_eq!(made, Synthetic { shape: vec![5], values: vec![100.0, 0.5, 0.0, 5.0, 0.0] });
    }

    #[test]
    fn named_features_keep_their_own_bounds() {
        let mut spec = spec(4, Bound::Uniform(-1e4), Bound::Uniform(2e4));
        let names = ["speed", "sensors", "steering"];
        spec.observation_features = Some(names.map(String::from).to_vec());
        let made = Synthetic::of(&spec).unwrap();
        assert_eq!(made.values, [100.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn what_cannot_be_made_up_is_told() {
        let mut discrete = spec(1, Bound::Uniform(0.0), Bound::Uniform(1.0));
        discrete.observation_space = Space::Discrete { n: 3, start: 0 };
        let huge = spec(usize::MAX, Bound::Uniform(0.0), Bound::Uniform(1.0));
        let uneven = spec(2, Bound::Each(vec![0.0]), Bound::Uniform(1.0));
        for (spec, told) in [(discrete, "discrete"), (huge, "larger"), (uneven, "bounds")] {
            assert!(Synthetic::of(&spec).unwrap_err().contains(told), "{told}");
        }
    }
}
