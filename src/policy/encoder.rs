//! From observations to what the network is given: normalised, divided by 255, or one-hot, as
//! Stable-Baselines3 does (`VecNormalize`, then `preprocess_obs`).

use std::ops::Range;

use candle_core::Result;
use pulp::{Arch, Simd, WithSimd};

use super::{
    PolicySpec,
    normalizer::Normalizer,
    spec::{IMAGE, Normalize},
    weights::Weights,
};
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
    order: Order,
}

/// In which order a piece's elements go into the network.
enum Order {
    AsTheyAre,
    /// Of an image whose planes (channels) have so many elements: pixel by pixel.
    ChannelsLast {
        channels: usize,
        plane: usize,
    },
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
    /// Takes the statistics of the normalisation. With `channels_last`, images that go through
    /// convolutions become (height, width, channels).
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(spec: &PolicySpec, weights: &mut Weights, channels_last: bool) -> Result<Self> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (key, space) in spec.observation_space.pieces() {
            let start = pieces.last().map_or(0, |last| last.start + last.size);
            let form = match normalized(spec.normalize.as_ref(), key) {
                Some(normalize) => {
                    Form::Normalized(Normalizer::load(weights, key, normalize, space.size())?)
                }
                None => Form::of(space, spec.network.features.scale_images),
            };
            let convolved = spec.network.features.images.contains_key(key.unwrap_or(IMAGE));
            let order = match space.shape()[..] {
                [channels, height, width] if convolved && channels_last => {
                    Order::ChannelsLast { channels, plane: height * width }
                }
                _ => Order::AsTheyAre,
            };
            pieces.push(Piece { start, size: space.size(), form, order });
        }
        Ok(Self { row: spec.observation_space.size(), pieces })
    }

    /// Columns of each piece.
    pub fn widths(&self) -> Vec<usize> {
        self.pieces.iter().map(Piece::width).collect()
    }

    /// Columns of the piece.
    pub fn width(&self, piece: usize) -> usize {
        self.pieces[piece].width()
    }

    /// The piece of these rows, (rows, width) in C order, into `encoded`, which has that size.
    pub fn encode(
        &self,
        piece: usize,
        observations: &Observations,
        rows: Range<usize>,
        encoded: &mut [f32],
    ) {
        let rows = rows.start * self.row..rows.end * self.row;
        let (piece, row) = (&self.pieces[piece], self.row);
        Arch::new().dispatch(Encode { piece, row, observations, rows, encoded });
    }

    /// Whether the piece is small numbers, whatever is observed.
    pub fn is_bounded(&self, piece: usize, observations: &Observations) -> bool {
        matches!(
            (&self.pieces[piece].form, observations),
            (Form::OneHot { .. }, _) | (Form::Number | Form::Pixel, Observations::U8(_))
        )
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

    #[inline(always)]
    fn encode_rows<T: Element>(&self, values: &[T], row: usize, encoded: &mut [f32]) {
        let rows = values.chunks_exact(row).zip(encoded.chunks_exact_mut(self.width().max(1)));
        for (values, encoded) in rows {
            self.encode_row(&values[self.start..self.start + self.size], encoded);
        }
    }

    #[inline(always)]
    fn encode_row<T: Element>(&self, values: &[T], encoded: &mut [f32]) {
        match &self.form {
            Form::Number => self.order.put(values, |_, x| x.single(), encoded),
            // A true division: a product with 1/255 rounds otherwise.
            Form::Pixel => self.order.put(values, |_, x| x.single() / 255.0, encoded),
            Form::Normalized(normalizer) => {
                self.order.put(values, |at, x| normalizer.apply(at, x.double()), encoded);
            }
            Form::OneHot { choices, start } => {
                encoded.fill(0.0);
                let mut first = 0;
                for (value, choices) in values.iter().zip(choices) {
                    let chosen = value.double() as i64 - start;
                    if let Ok(chosen) = usize::try_from(chosen)
                        && chosen < *choices
                    {
                        encoded[first + chosen] = 1.0;
                    }
                    first += choices;
                }
            }
        }
    }
}

/// For loops that the compiler makes vectors of, with the instructions that are found at run time.
struct Encode<'a> {
    piece: &'a Piece,
    /// Elements of an observation.
    row: usize,
    observations: &'a Observations,
    /// Where in the observations the rows are.
    rows: Range<usize>,
    encoded: &'a mut [f32],
}

impl WithSimd for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { piece, row, observations, rows, encoded } = self;
        match observations {
            Observations::U8(values) => piece.encode_rows(&values[rows], row, encoded),
            Observations::F32(values) => piece.encode_rows(&values[rows], row, encoded),
            Observations::F64(values) => piece.encode_rows(&values[rows], row, encoded),
        }
    }
}

impl Order {
    /// `f` of each element and its place, in this order.
    #[inline(always)]
    fn put<T: Copy>(&self, values: &[T], f: impl Fn(usize, T) -> f32, encoded: &mut [f32]) {
        match *self {
            Order::AsTheyAre => {
                for (at, (x, encoded)) in values.iter().zip(encoded).enumerate() {
                    *encoded = f(at, *x);
                }
            }
            // Those that there are most of have loops that the compiler makes vectors of.
            Order::ChannelsLast { channels: 1, plane } => {
                interleave::<1, T>(values, plane, f, encoded)
            }
            Order::ChannelsLast { channels: 3, plane } => {
                interleave::<3, T>(values, plane, f, encoded)
            }
            Order::ChannelsLast { channels: 4, plane } => {
                interleave::<4, T>(values, plane, f, encoded)
            }
            Order::ChannelsLast { channels, plane } => {
                for (pixel, encoded) in encoded.chunks_exact_mut(channels).enumerate() {
                    for (channel, encoded) in encoded.iter_mut().enumerate() {
                        let at = channel * plane + pixel;
                        *encoded = f(at, values[at]);
                    }
                }
            }
        }
    }
}

/// From `C` planes to pixels of `C` elements.
#[inline(always)]
fn interleave<const C: usize, T: Copy>(
    values: &[T],
    plane: usize,
    f: impl Fn(usize, T) -> f32,
    encoded: &mut [f32],
) {
    let mut planes: [&[T]; C] = [&[]; C];
    for (values, to) in values.chunks_exact(plane).zip(&mut planes) {
        *to = values;
    }
    let (pixels, _) = encoded.as_chunks_mut::<C>();
    for (pixel, encoded) in pixels[..plane].iter_mut().enumerate() {
        for channel in 0..C {
            encoded[channel] = f(channel * plane + pixel, planes[channel][pixel]);
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
