//! Normal distributions over a box, with or without tanh.

use super::{Decided, Given};
use crate::policy::{Mode, draw::Draw, postprocess::Bounds};

/// Independent normal distributions around the network's means.
pub struct DiagonalGaussian {
    pub log_std: LogStd,
    pub size: usize,
    pub squash: bool,
    pub bounds: Bounds,
}

pub enum LogStd {
    /// The same for all observations.
    Fixed(Vec<f64>),
    /// From the network, clamped to this range.
    Given { low: f64, high: f64 },
}

impl DiagonalGaussian {
    pub fn decide(&self, given: &Given) -> Decided {
        let mut raw_action = Vec::with_capacity(given.outputs.len());
        let mut log_prob = Vec::with_capacity(given.modes.len());
        for (row, mode) in given.modes.iter().enumerate() {
            let range = row * self.size..(row + 1) * self.size;
            let mean = &given.outputs[range.clone()];
            let log_std = self.log_std_of(given.more.get(range));
            let first = raw_action.len();
            match given.floats(row, self.size) {
                Some(raw) => raw_action.extend_from_slice(raw),
                None => draw(mean, &log_std, (self.squash, *mode), &mut raw_action),
            }
            let density = log_density(mean, &log_std, &raw_action[first..], self.squash);
            log_prob.push(density as f32);
        }
        let decided = Decided::continuous(raw_action, self.size, &self.bounds);
        Decided { log_prob: Some(log_prob), ..decided }
    }

    fn log_std_of(&self, given: Option<&[f32]>) -> Vec<f64> {
        match &self.log_std {
            LogStd::Fixed(log_std) => log_std.clone(),
            LogStd::Given { low, high } => {
                let clamp = |x: &f32| f64::from(*x).clamp(*low, *high);
                given.unwrap_or(&[]).iter().map(clamp).collect()
            }
        }
    }
}

fn draw(mean: &[f32], log_std: &[f64], (squash, mode): (bool, Mode), raw: &mut Vec<f32>) {
    let mut draw = match mode {
        Mode::Deterministic => None,
        Mode::Sample { seed, row } => Some(Draw::new(seed, row)),
    };
    for (mean, log_std) in mean.iter().zip(log_std) {
        let z = draw.as_mut().map_or(0.0, Draw::normal);
        let gaussian = f64::from(*mean) + log_std.exp() * z;
        raw.push(if squash { gaussian.tanh() } else { gaussian } as f32);
    }
}

/// The log-density of a raw action: the sum over its elements of `-z^2 / 2 - log_std - log(2 pi) / 2`,
/// and, if squashed, of `-log(1 - a^2 + 1e-6)` (Haarnoja et al. 2018, Soft Actor-Critic, appendix C;
/// the 1e-6 is Stable-Baselines3's).
fn log_density(mean: &[f32], log_std: &[f64], raw: &[f32], squash: bool) -> f64 {
    let mut sum = 0.0;
    for ((mean, log_std), raw) in mean.iter().zip(log_std).zip(raw) {
        let gaussian = if squash { unsquash(*raw) } else { *raw };
        let z = f64::from(gaussian) - f64::from(*mean);
        sum += log_normal(z, log_std.exp());
        if squash {
            sum -= f64::from(squash_correction(*raw));
        }
    }
    sum
}

/// Of a deviation from the mean.
pub fn log_normal(deviation: f64, std: f64) -> f64 {
    let z = deviation / std;
    -0.5 * z * z - std.ln() - 0.5 * std::f64::consts::TAU.ln()
}

/// What tanh made the action of; ±1 count as their neighbours, as in Stable-Baselines3's
/// `TanhBijector.inverse`.
pub fn unsquash(raw: f32) -> f32 {
    let x = raw.clamp(-1.0 + f32::EPSILON, 1.0 - f32::EPSILON);
    0.5 * (x.ln_1p() - (-x).ln_1p())
}

/// In f32 on purpose: near ±1 the rounding of `1 - a^2` is a good part of the 1e-6.
pub fn squash_correction(squashed: f32) -> f32 {
    (1.0 - squashed * squashed + 1e-6).ln()
}
