//! Observation and action spaces, after Gymnasium's.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::dtype::DType;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Space {
    Box {
        dtype: DType,
        shape: Vec<usize>,
        low: Bound,
        high: Bound,
    },
    Discrete {
        n: u64,
        #[serde(default)]
        start: i64,
    },
    MultiDiscrete {
        nvec: Vec<u64>,
    },
    MultiBinary {
        shape: Vec<usize>,
    },
    Dict {
        spaces: Vec<(String, Space)>,
    },
}

/// One number for every element, or one for each, in C order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    Uniform(f64),
    Each(Vec<f64>),
}

impl Bound {
    fn finite(&mut self) {
        let clamp = |bound: &mut f64| *bound = bound.clamp(f64::MIN, f64::MAX);
        match self {
            Bound::Uniform(bound) => clamp(bound),
            Bound::Each(bounds) => bounds.iter_mut().for_each(clamp),
        }
    }

    fn is_everywhere(&self, value: f64) -> bool {
        match self {
            Bound::Uniform(bound) => *bound == value,
            Bound::Each(bounds) => bounds.iter().all(|bound| *bound == value),
        }
    }

    /// The bounds of `size` elements; `None` if there are others.
    pub fn expand(&self, size: usize) -> Option<Vec<f64>> {
        match self {
            Bound::Uniform(bound) => Some(vec![*bound; size]),
            Bound::Each(bounds) if bounds.len() == size => Some(bounds.clone()),
            Bound::Each(_) => None,
        }
    }
}

impl Space {
    /// The shape of one observation or action.
    pub fn shape(&self) -> Vec<usize> {
        self.axes().into_owned()
    }

    /// The same, not copied if it need not be.
    pub(super) fn axes(&self) -> Cow<'_, [usize]> {
        match self {
            Space::Box { shape, .. } | Space::MultiBinary { shape } => Cow::Borrowed(shape),
            // A dict has none of its own.
            Space::Discrete { .. } | Space::Dict { .. } => Cow::Borrowed(&[]),
            Space::MultiDiscrete { nvec } => Cow::Owned(vec![nvec.len()]),
        }
    }

    /// Elements of one observation or action, or `usize::MAX` if they can't be counted.
    pub fn size(&self) -> usize {
        match self {
            Space::Dict { spaces } => {
                spaces.iter().fold(0, |sum, (_, space)| sum.saturating_add(space.size()))
            }
            space => space.axes().iter().copied().fold(1, usize::saturating_mul),
        }
    }

    /// The spaces of a dict with their keys, in order; of any other space, itself without a key.
    pub fn pieces(&self) -> Vec<(Option<&str>, &Space)> {
        match self {
            Space::Dict { spaces } => {
                spaces.iter().map(|(key, space)| (Some(key.as_str()), space)).collect()
            }
            space => vec![(None, space)],
        }
    }

    /// Whether it is an image as Stable-Baselines3 knows one: three axes of u1 from 0 to 255.
    pub fn is_image(&self) -> bool {
        match self {
            Space::Box { dtype: DType::U1, shape, low, high } => {
                shape.len() == 3 && low.is_everywhere(0.0) && high.is_everywhere(255.0)
            }
            _ => false,
        }
    }

    /// The least and the largest integer that element `at` may be; `None`: any finite number. As in
    /// Stable-Baselines3, the bounds of a box rule nothing out.
    pub fn choices(&self, at: usize) -> Option<(f64, f64)> {
        let below = |n: u64| n.saturating_sub(1) as f64;
        match self {
            Space::Box { dtype, .. } => dtype.integers(),
            Space::Discrete { n, start } => Some((*start as f64, *start as f64 + below(*n))),
            Space::MultiDiscrete { nvec } => Some((0.0, below(nvec.get(at).copied().unwrap_or(0)))),
            Space::MultiBinary { .. } => Some((0.0, 1.0)),
            Space::Dict { .. } => None,
        }
    }

    /// The number of a discrete space's first choice.
    pub fn start(&self) -> i64 {
        match self {
            Space::Discrete { start, .. } => *start,
            _ => 0,
        }
    }

    /// The same for JSON, which has no infinity: there the largest number stands for it.
    pub fn finite(mut self) -> Self {
        match &mut self {
            Space::Box { low, high, .. } => {
                low.finite();
                high.finite();
            }
            Space::Dict { spaces } => {
                let finite = |(name, space): (String, Space)| (name, space.finite());
                *spaces = std::mem::take(spaces).into_iter().map(finite).collect();
            }
            Space::Discrete { .. } | Space::MultiDiscrete { .. } | Space::MultiBinary { .. } => {}
        }
        self
    }

    pub fn name(&self) -> &'static str {
        match self {
            Space::Box { .. } => "box",
            Space::Discrete { .. } => "discrete",
            Space::MultiDiscrete { .. } => "multi_discrete",
            Space::MultiBinary { .. } => "multi_binary",
            Space::Dict { .. } => "dict",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_look_as_the_protocol_says() {
        let space = Space::Box {
            dtype: DType::F4,
            shape: vec![2],
            low: Bound::Uniform(-1.0),
            high: Bound::Each(vec![1.0, 2.0]),
        };
        assert_eq!(
            serde_json::to_value(&space).unwrap(),
            serde_json::json!({"type": "box", "dtype": "f4", "shape": [2], "low": -1.0, "high": [1.0, 2.0]})
        );
        let discrete = Space::Discrete { n: 5, start: 0 };
        assert_eq!(
            serde_json::to_value(&discrete).unwrap(),
            serde_json::json!({"type": "discrete", "n": 5, "start": 0})
        );
    }

    #[test]
    fn an_unbounded_space_stays_readable_in_json() {
        let (low, high) =
            (Bound::Each(vec![f64::NEG_INFINITY, 1.0]), Bound::Uniform(f64::INFINITY));
        let space = Space::Box { dtype: DType::F4, shape: vec![2], low, high };
        let json = serde_json::to_string(&space.finite()).unwrap();
        let back: Space = serde_json::from_str(&json).unwrap();
        let (low, high) = (Bound::Each(vec![f64::MIN, 1.0]), Bound::Uniform(f64::MAX));
        assert_eq!(back, Space::Box { dtype: DType::F4, shape: vec![2], low, high });
    }

    #[test]
    fn bounds_must_be_as_many_as_elements() {
        assert_eq!(Bound::Each(vec![1.0, 2.0]).expand(3), None);
        assert_eq!(Bound::Uniform(3.0).expand(2), Some(vec![3.0, 3.0]));
    }
}
