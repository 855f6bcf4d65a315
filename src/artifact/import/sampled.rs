//! Observations to record golden outputs for, drawn from the observation space.

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{
    policy::PolicySpec,
    wire::{Observations, Space},
};

/// Rows, and numbers in all of them: an artifact with images stays small.
const MAX_ROWS: usize = 256;
const MIN_ROWS: usize = 4;
const MAX_NUMBERS: usize = 1 << 18;
/// Images come in different brightnesses, or a network for them would see the same grey each time.
const PIXELS: f64 = 255.0;

/// Around the training's statistics where there are some, else within the bounds, else from a
/// normal distribution. The same spec gives the same numbers.
pub fn observations(spec: &PolicySpec, tensors: &HashMap<String, Tensor>) -> Observations {
    let size = spec.observation_space.size().max(1);
    let rows = (MAX_NUMBERS / size).clamp(MIN_ROWS, MAX_ROWS);
    let mut generator = ChaCha8Rng::seed_from_u64(0);
    let pieces: Vec<_> = spec
        .observation_space
        .pieces()
        .into_iter()
        .map(|(key, space)| Piece::of(key, space, tensors))
        .collect();
    let mut values = Vec::with_capacity(rows * size);
    for _ in 0..rows {
        for piece in &pieces {
            piece.draw(&mut generator, &mut values);
        }
    }
    Observations::of(&spec.observation_space, values)
}

enum Piece {
    /// Mean and standard deviation of each element, and its bounds.
    Normal(Vec<(f64, f64)>, Vec<(f64, f64)>),
    Box(Vec<(f64, f64)>, bool),
    Image(usize),
    /// First choice and how many there are, for each element.
    Choices(Vec<(i64, u64)>),
}

impl Piece {
    fn of(key: Option<&str>, space: &Space, tensors: &HashMap<String, Tensor>) -> Self {
        let stem = key.map_or("observation".to_owned(), |key| format!("observation.{key}"));
        let vector = |what: &str| {
            let tensor = tensors.get(&format!("{stem}.{what}"))?.to_dtype(DType::F64).ok()?;
            tensor.to_vec1::<f64>().ok()
        };
        match space {
            Space::Discrete { n, start } => Piece::Choices(vec![(*start, *n)]),
            Space::MultiDiscrete { nvec } => Piece::Choices(nvec.iter().map(|n| (0, *n)).collect()),
            Space::MultiBinary { .. } => Piece::Choices(vec![(0, 2); space.size()]),
            Space::Box { low, high, dtype, .. } => {
                let size = space.size();
                let bounds = low.expand(size).unwrap_or_default();
                let bounds = bounds.into_iter().zip(high.expand(size).unwrap_or_default());
                let bounds: Vec<_> = bounds.collect();
                match (vector("mean"), vector("var")) {
                    (Some(mean), Some(var)) => {
                        let moments = mean.into_iter().zip(var.into_iter().map(f64::sqrt));
                        Piece::Normal(moments.collect(), bounds)
                    }
                    _ if space.is_image() => Piece::Image(size),
                    _ => Piece::Box(bounds, !dtype.is_float()),
                }
            }
            // A checked spec has no dict within a dict.
            Space::Dict { .. } => Piece::Choices(vec![]),
        }
    }

    fn draw(&self, generator: &mut ChaCha8Rng, values: &mut Vec<f64>) {
        match self {
            Piece::Normal(moments, bounds) => {
                for ((mean, std), (low, high)) in moments.iter().zip(bounds) {
                    let z: f64 = generator.sample(StandardNormal);
                    values.push((mean + std * z).clamp(*low, *high));
                }
            }
            Piece::Box(bounds, whole) => values.extend(bounds.iter().map(|(low, high)| {
                let value = within(generator, *low, *high);
                if *whole { value.round() } else { value }
            })),
            Piece::Image(size) => {
                let brightest = generator.random_range(1.0..=PIXELS);
                values.extend((0..*size).map(|_| generator.random_range(0.0..=brightest).floor()));
            }
            Piece::Choices(choices) => values.extend(
                choices
                    .iter()
                    .map(|(start, n)| *start as f64 + generator.random_range(0..*n) as f64),
            ),
        }
    }
}

/// Uniform between bounds, else a normal number on the side that has none. Bounds that stand for
/// infinity count as none.
fn within(generator: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    let is_bound = |bound: f64| bound.abs() < 1e6;
    let z: f64 = generator.sample(StandardNormal);
    match (is_bound(low), is_bound(high)) {
        (true, true) => generator.random_range(low..=high),
        (true, false) => low + z.abs(),
        (false, true) => high - z.abs(),
        (false, false) => z.clamp(low, high),
    }
}
