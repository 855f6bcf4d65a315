//! An observation that any model with this spec must take.

use serde::{Serialize, Serializer};

use super::piece::{Piece, UNBOUNDED};
use crate::wire::{Encoding, Space, Spec, WireError, named};

/// One observation: the middle of each element's bounds, and 0 where it has none.
#[derive(Clone, Debug, PartialEq)]
pub enum Synthetic {
    Tensor(Piece),
    /// The spaces of a dict by name.
    Dict(Vec<(String, Piece)>),
}

impl Synthetic {
    /// Where the card names features, the bounds of these hold too.
    ///
    /// # Errors
    /// The observation is larger than a request, its bounds are not as many as its elements, or an
    /// element has no value.
    pub fn of(spec: &Spec) -> Result<Self, String> {
        let space = &spec.observation_space;
        // Before anything of that size is made: a spec may say what it likes.
        if space.size() > spec.max_bytes {
            let (name, limit) = (space.name(), spec.max_bytes);
            return Err(format!(
                "an observation of the {name} space is larger than the {limit} bytes of a request"
            ));
        }
        let Space::Dict { spaces } = space else {
            let named = named_bounds(spec.observation_features.as_deref(), space.size());
            return Piece::of(space, named).map(Synthetic::Tensor);
        };
        let piece = |(name, space): &(String, Space)| {
            let piece = Piece::of(space, named_bounds(None, space.size()));
            Ok((name.clone(), piece.map_err(|problem| format!("{name}: {problem}"))?))
        };
        spaces.iter().map(piece).collect::<Result<_, String>>().map(Synthetic::Dict)
    }

    /// So many rows of it, with an axis for them.
    pub fn rows(&self, rows: usize) -> Self {
        match self {
            Synthetic::Tensor(piece) => Synthetic::Tensor(piece.rows(rows)),
            Synthetic::Dict(pieces) => {
                let rows = |(name, piece): &(String, Piece)| (name.clone(), piece.rows(rows));
                Synthetic::Dict(pieces.iter().map(rows).collect())
            }
        }
    }

    /// The body of a request for its action.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn request(&self) -> Result<Vec<u8>, WireError> {
        Encoding::MessagePack.write(&Question { obs: self, deterministic: true })
    }
}

#[derive(Serialize)]
struct Question<'a> {
    obs: &'a Synthetic,
    deterministic: bool,
}

/// As an observation of a request.
impl Serialize for Synthetic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Synthetic::Tensor(piece) => piece.serialize(serializer),
            Synthetic::Dict(pieces) => {
                serializer.collect_map(pieces.iter().map(|(name, piece)| (name, piece)))
            }
        }
    }
}

/// One pair for each element. `sensors` stands for all that the other features leave.
fn named_bounds(features: Option<&[String]>, size: usize) -> Vec<(f64, f64)> {
    let Some(features) = features else { return vec![UNBOUNDED; size] };
    let sensors = (size + 1).saturating_sub(features.len());
    let elements = |name: &String| if name == named::SENSORS { sensors } else { 1 };
    let named = features.iter().flat_map(|name| vec![named::bounds(name); elements(name)]);
    named.chain(std::iter::repeat(UNBOUNDED)).take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ping::elements::Elements;
    use crate::wire::{DType, Request, space::Bound};

    fn spec(observation_space: Space) -> Spec {
        Spec {
            model: "m".into(),
            model_version: "0.1.0".into(),
            weights: "00000000".into(),
            algorithm: "none".into(),
            observation_space,
            action_space: Space::Discrete { n: 2, start: 0 },
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

    fn boxed(dtype: DType, shape: &[usize], (low, high): (Bound, Bound)) -> Space {
        Space::Box { dtype, shape: shape.to_vec(), low, high }
    }

    fn uniform(low: f64, high: f64) -> (Bound, Bound) {
        (Bound::Uniform(low), Bound::Uniform(high))
    }

    /// A space of each kind, and an image.
    fn dict() -> Space {
        let spaces = [
            ("view", boxed(DType::U1, &[3, 2, 4], uniform(0.0, 255.0))),
            ("gear", Space::Discrete { n: 6, start: -1 }),
            ("lights", Space::MultiDiscrete { nvec: vec![3, 2] }),
            ("doors", Space::MultiBinary { shape: vec![2, 2] }),
            ("lane", boxed(DType::I8, &[1], uniform(f64::NEG_INFINITY, f64::INFINITY))),
            ("speed", boxed(DType::F4, &[2], uniform(0.0, 50.0))),
        ];
        let spaces = spaces.map(|(name, space)| (name.to_string(), space)).to_vec();
        Space::Dict { spaces }
    }

    fn floats(made: Synthetic) -> Vec<f32> {
        match made {
            Synthetic::Tensor(Piece { elements: Elements::F4(values), .. }) => values,
            other => panic!("no floats: {other:?}"),
        }
    }

    #[test]
    fn elements_are_in_the_middle_of_their_bounds_and_0_without() {
        let low = Bound::Each(vec![0.0, -1.0, f64::NEG_INFINITY, 5.0, f64::MIN]);
        let high = Bound::Each(vec![200.0, 2.0, f64::INFINITY, f64::INFINITY, f64::MAX]);
        let made = Synthetic::of(&spec(boxed(DType::F4, &[5], (low, high)))).unwrap();
        assert_eq!(floats(made), [100.0, 0.5, 0.0, 5.0, 0.0]);
    }

    #[test]
    fn named_features_keep_their_own_bounds() {
        let mut spec = spec(boxed(DType::F4, &[4], uniform(-1e4, 2e4)));
        let names = ["speed", "sensors", "steering"];
        spec.observation_features = Some(names.map(String::from).to_vec());
        assert_eq!(floats(Synthetic::of(&spec).unwrap()), [100.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_dict_has_a_tensor_of_the_shape_and_type_of_each_space() {
        let Synthetic::Dict(pieces) = Synthetic::of(&spec(dict())).unwrap() else {
            panic!("no dict")
        };
        let piece = |shape: &[usize], elements| Piece { shape: shape.to_vec(), elements };
        let expected = [
            ("view", piece(&[3, 2, 4], Elements::U1(vec![127; 24]))),
            ("gear", piece(&[], Elements::I8(vec![1]))),
            ("lights", piece(&[2], Elements::I8(vec![1, 0]))),
            ("doors", piece(&[2, 2], Elements::U1(vec![0; 4]))),
            ("lane", piece(&[1], Elements::I8(vec![0]))),
            ("speed", piece(&[2], Elements::F4(vec![25.0; 2]))),
        ];
        assert_eq!(pieces, expected.map(|(name, piece)| (name.to_string(), piece)));
    }

    #[test]
    fn a_worker_takes_what_was_made_up() {
        let Space::Dict { spaces } = dict() else { panic!("no dict") };
        let alone = spaces.into_iter().map(|(_, space)| space);
        for space in alone.chain([dict()]) {
            let made = Synthetic::of(&spec(space.clone())).unwrap();
            for (made, count, single) in [(made.rows(3), 3, false), (made, 1, true)] {
                let body = made.request().unwrap();
                let rows = Request::read(&body).unwrap().rows(&space, None, 3).unwrap();
                assert_eq!((rows.count, rows.single), (count, single), "{space:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_made_up_is_told() {
        let nested = Space::Dict { spaces: vec![("in".into(), dict())] };
        let huge = boxed(DType::F4, &[usize::MAX], uniform(0.0, 1.0));
        let uneven = boxed(DType::F4, &[2], (Bound::Each(vec![0.0]), Bound::Uniform(1.0)));
        let named = Space::Dict { spaces: vec![("a".into(), uneven.clone())] };
        for (space, told) in
            [(nested, "in: a dict within"), (huge, "larger"), (uneven, "bounds"), (named, "a: the")]
        {
            let problem = Synthetic::of(&spec(space)).unwrap_err();
            assert!(problem.contains(told), "{told}: {problem}");
        }
    }
}
