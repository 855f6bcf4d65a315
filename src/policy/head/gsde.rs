//! Generalised state-dependent exploration (Raffin, Kober and Stulp 2020): the noise of a row is a
//! random matrix times what goes into the last layer.
//!
//! The seed and the row draw the matrix, so a client that keeps its seed for some steps keeps its
//! matrix, which is what the method asks for.

use candle_core::Result;

use super::{
    Given, bound,
    gaussian::{log_normal, squash_correction, unsquash},
};
use crate::policy::{Mode, Output, draw::Draw, postprocess::Bounds, weights::Weights};

/// Added to the variance, as in Stable-Baselines3.
const EPSILON: f64 = 1e-6;

pub struct Gsde {
    /// Of the matrix's elements, (latent, size) in C order.
    pub deviation: Vec<f64>,
    pub size: usize,
    pub squash: bool,
    pub clip_mean: Option<f64>,
    pub bounds: Bounds,
}

/// Takes `log_std`, of shape (latent, size), or (latent, 1) if all actions share it.
///
/// # Errors
/// It is missing, of another shape, or not finite.
pub fn deviation(
    weights: &mut Weights,
    (latent, size): (usize, usize),
    expln: bool,
) -> Result<Vec<f64>> {
    let columns = match weights.shape("log_std") {
        Some([_, 1]) => 1,
        _ => size,
    };
    let log_std = weights.take("log_std", &[latent, columns])?.flatten_all()?.to_vec1::<f64>()?;
    let std = log_std.iter().map(|x| if expln { expln_of(*x) } else { x.exp() });
    Ok(std.flat_map(|std| vec![std; size / columns]).collect())
}

/// `exp` below 0 and `log1p(x) + 1` above: it grows slowly.
fn expln_of(log_std: f64) -> f64 {
    if log_std <= 0.0 { log_std.exp() } else { (log_std + EPSILON).ln_1p() + 1.0 }
}

impl Gsde {
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let latent = self.deviation.len() / self.size;
        let raw_action = output.raw_action.floats_mut();
        for (row, mode) in given.modes.iter().enumerate() {
            let mean = self.mean(&given.outputs[row * self.size..(row + 1) * self.size]);
            let latent = &given.more[row * latent..(row + 1) * latent];
            let first = raw_action.len();
            match given.floats(row, self.size) {
                Some(raw) => raw_action.extend_from_slice(raw),
                None => self.draw(&mean, latent, *mode, raw_action),
            }
            if let Some(log_prob) = &mut output.log_prob {
                log_prob.push(self.log_density(&mean, latent, &raw_action[first..]) as f32);
            }
        }
        bound(output, self.size, &self.bounds);
    }

    fn mean(&self, outputs: &[f32]) -> Vec<f32> {
        match self.clip_mean {
            Some(clip) => outputs.iter().map(|x| x.clamp(-clip as f32, clip as f32)).collect(),
            None => outputs.to_vec(),
        }
    }

    fn draw(&self, mean: &[f32], latent: &[f32], mode: Mode, raw_action: &mut Vec<f32>) {
        let noise = self.noise(latent, mode);
        raw_action.extend(mean.iter().zip(noise).map(|(mean, noise)| {
            let gaussian = f64::from(*mean) + noise;
            if self.squash { gaussian.tanh() as f32 } else { gaussian as f32 }
        }));
    }

    fn noise(&self, latent: &[f32], mode: Mode) -> Vec<f64> {
        let mut noise = vec![0.0; self.size];
        let Mode::Sample { seed, row } = mode else { return noise };
        let mut draw = Draw::new(seed, row);
        for (latent, deviation) in latent.iter().zip(self.deviation.chunks_exact(self.size)) {
            for (noise, deviation) in noise.iter_mut().zip(deviation) {
                *noise += f64::from(*latent) * deviation * draw.normal();
            }
        }
        noise
    }

    /// A sum of independent normal numbers is one.
    fn log_density(&self, mean: &[f32], latent: &[f32], raw: &[f32]) -> f64 {
        let mut variance = vec![EPSILON; self.size];
        for (latent, deviation) in latent.iter().zip(self.deviation.chunks_exact(self.size)) {
            for (variance, deviation) in variance.iter_mut().zip(deviation) {
                *variance += (f64::from(*latent) * deviation).powi(2);
            }
        }
        let elements = mean.iter().zip(raw).zip(variance);
        elements.map(|((mean, raw), variance)| self.log_element(*mean, *raw, variance)).sum()
    }

    fn log_element(&self, mean: f32, raw: f32, variance: f64) -> f64 {
        let gaussian = if self.squash { unsquash(raw) } else { raw };
        let density = log_normal(f64::from(gaussian) - f64::from(mean), variance.sqrt());
        match self.squash {
            true => density - f64::from(squash_correction(gaussian.tanh())),
            false => density,
        }
    }
}
