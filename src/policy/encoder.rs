//! From observations to what the network is given: normalised, divided by 255, or one-hot, as
//! Stable-Baselines3 does (`VecNormalize`, then `preprocess_obs`).

use candle_core::Result;

use super::{PolicySpec, normalizer::Normalizer, spec::Normalize, weights::Weights};
use crate::wire::{Observations, Space};

/// The pieces of an observation: one, or the spaces of a dict in their order.
pub struct Encoder {
    /// Elements of one observation.
    row: usize,
    pieces: Vec<Piece>,
}

struct Piece {
    /// Where its elements are in a row.
    start: usize,
    size: usize,
    form: Form,
}

enum Form {
    /// As they are.
    Number,
    /// Of an image: divided by 255.
    Pixel,
    Normalized(Normalizer),
    /// For each element so many columns, of which one is 1. Choices count from `start`.
    OneHot {
        choices: Vec<usize>,
        start: i64,
    },
}

impl Encoder {
    /// Takes the statistics of the normalisation.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(spec: &PolicySpec, weights: &mut Weights) -> Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (key, space) in spec.observation_space.pieces() {
            let start = pieces.last().map_or(0, |last| last.start + last.size);
            let form = match normalized(spec.normalize.as_ref(), key) {
                Some(normalize) => {
                    Form::Normalized(Normalizer::load(weights, key, normalize, space.size())?)
                }
                None => Form::of(space, spec.network.features.scale_images),
            };
            pieces.push(Piece { start, size: space.size(), form });
        }
        Ok(Self { row: spec.observation_space.size(), pieces })
    }

    /// Columns of each piece.
    pub fn widths(&self) -> Vec<usize> {
        self.pieces.iter().map(Piece::width).collect()
    }

    /// Each piece of all rows, (rows, width) in C order.
    pub fn encode(&self, observations: &Observations) -> Vec<Vec<f32>> {
        self.pieces.iter().map(|piece| piece.encode(observations, self.row)).collect()
    }
}

/// What applies to the piece `key`; a box has none.
fn normalized<'a>(normalize: Option<&'a Normalize>, key: Option<&str>) -> Option<&'a Normalize> {
    let normalize = normalize?;
    let applies = match (&normalize.keys, key) {
        (Some(keys), Some(key)) => keys.iter().any(|known| known == key),
        _ => true,
    };
    applies.then_some(normalize)
}

impl Form {
    fn of(space: &Space, scale_images: bool) -> Self {
        match space {
            Space::Discrete { n, start } => {
                Form::OneHot { choices: vec![*n as usize], start: *start }
            }
            Space::MultiDiscrete { nvec } => {
                Form::OneHot { choices: nvec.iter().map(|n| *n as usize).collect(), start: 0 }
            }
            space if scale_images && space.is_image() => Form::Pixel,
            _ => Form::Number,
        }
    }
}

impl Piece {
    fn width(&self) -> usize {
        match &self.form {
            Form::OneHot { choices, .. } => choices.iter().sum(),
            _ => self.size,
        }
    }

    fn encode(&self, observations: &Observations, row: usize) -> Vec<f32> {
        match observations {
            Observations::U8(values) => self.encode_rows(values, row),
            Observations::F32(values) => self.encode_rows(values, row),
            Observations::F64(values) => self.encode_rows(values, row),
        }
    }

    fn encode_rows<T: Element>(&self, values: &[T], row: usize) -> Vec<f32> {
        let rows = values.len() / row;
        let mut encoded = Vec::with_capacity(rows * self.width());
        for row in values.chunks_exact(row) {
            self.encode_row(&row[self.start..self.start + self.size], &mut encoded);
        }
        encoded
    }

    fn encode_row<T: Element>(&self, values: &[T], encoded: &mut Vec<f32>) {
        match &self.form {
            Form::Number => encoded.extend(values.iter().map(|x| x.single())),
            // A true division: a product with 1/255 rounds otherwise.
            Form::Pixel => encoded.extend(values.iter().map(|x| x.single() / 255.0)),
            Form::Normalized(normalizer) => encoded
                .extend(values.iter().enumerate().map(|(at, x)| normalizer.apply(at, x.double()))),
            Form::OneHot { choices, start } => {
                for (value, choices) in values.iter().zip(choices) {
                    let first = encoded.len();
                    encoded.resize(first + choices, 0.0);
                    let chosen = value.double() as i64 - start;
                    if let Ok(chosen) = usize::try_from(chosen)
                        && chosen < *choices
                    {
                        encoded[first + chosen] = 1.0;
                    }
                }
            }
        }
    }
}

/// A number of an observation.
trait Element: Copy {
    fn single(self) -> f32;
    fn double(self) -> f64;
}

impl Element for u8 {
    fn single(self) -> f32 {
        f32::from(self)
    }

    fn double(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f32 {
    fn single(self) -> f32 {
        self
    }

    fn double(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    fn single(self) -> f32 {
        self as f32
    }

    fn double(self) -> f64 {
        self
    }
}
