//! Normal distributions over a box, with or without tanh.

use super::{Given, bound};
use crate::policy::{Mode, Output, draw::Draw, postprocess::Bounds};

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
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let raw_action = output.raw_action.floats_mut();
        for (row, mode) in given.modes.iter().enumerate() {
            let range = row * self.size..(row + 1) * self.size;
            let around = Around {
                mean: &given.outputs[range.clone()],
                log_std: &self.log_std,
                given: given.more.get(range).unwrap_or(&[]),
                squash: self.squash,
            };
            let first = raw_action.len();
            match given.floats(row, self.size) {
                Some(raw) => raw_action.extend_from_slice(raw),
                None => around.draw(*mode, raw_action),
            }
            if let Some(log_prob) = &mut output.log_prob {
                log_prob.push(around.log_density(&raw_action[first..]) as f32);
            }
        }
        bound(output, self.size, &self.bounds);
    }
}

/// The distribution of one row.
struct Around<'a> {
    mean: &'a [f32],
    log_std: &'a LogStd,
    /// What the network says of the deviations.
    given: &'a [f32],
    squash: bool,
}

impl Around<'_> {
    fn log_std(&self, element: usize) -> f64 {
        match self.log_std {
            LogStd::Fixed(log_std) => log_std[element],
            LogStd::Given { low, high } => f64::from(self.given[element]).clamp(*low, *high),
        }
    }

    fn draw(&self, mode: Mode, raw_action: &mut Vec<f32>) {
        let squash = |gaussian: f64| if self.squash { gaussian.tanh() } else { gaussian };
        match mode {
            Mode::Deterministic => {
                raw_action.extend(self.mean.iter().map(|mean| squash(f64::from(*mean)) as f32));
            }
            Mode::Sample { seed, row } => {
                let mut draw = Draw::new(seed, row);
                raw_action.extend(self.mean.iter().enumerate().map(|(element, mean)| {
                    let noise = self.log_std(element).exp() * draw.normal();
                    squash(f64::from(*mean) + noise) as f32
                }));
            }
        }
    }

    /// The log-density of a raw action: the sum over its elements of
    /// `-z^2 / 2 - log_std - log(2 pi) / 2`, and, if squashed, of `-log(1 - a^2 + 1e-6)` (Haarnoja et
    /// al. 2018, Soft Actor-Critic, appendix C; the 1e-6 is Stable-Baselines3's).
    fn log_density(&self, raw: &[f32]) -> f64 {
        let mut sum = 0.0;
        for (element, (mean, raw)) in self.mean.iter().zip(raw).enumerate() {
            let gaussian = if self.squash { unsquash(*raw) } else { *raw };
            let z = f64::from(gaussian) - f64::from(*mean);
            sum += log_normal(z, self.log_std(element).exp());
            if self.squash {
                sum -= f64::from(squash_correction(*raw));
            }
        }
        sum
    }
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
