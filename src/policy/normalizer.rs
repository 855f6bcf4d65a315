//! Observation normalisation, after Stable-Baselines3's `VecNormalize`.

use candle_core::{Result, bail};

use super::{spec::Normalize, weights::Weights};
use crate::wire::Observations;

/// Running statistics of the training, applied in f64: with a large mean, f32 would lose the
/// digits that the network looks at.
pub struct Normalizer {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    clip: f64,
}

impl Normalizer {
    /// Takes `observation.mean` and `observation.var`, one for each element.
    pub fn load(weights: &mut Weights, spec: &Normalize, size: usize) -> Result<Self> {
        let mean = weights.take_vec("observation.mean", size)?;
        let var = weights.take_vec("observation.var", size)?;
        let deviation: Vec<f64> = var.iter().map(|var| (var + spec.epsilon).sqrt()).collect();
        if let Some(at) = deviation.iter().position(|x| !(x.is_finite() && *x > 0.0)) {
            bail!("the tensor observation.var can't be a variance: element {at} is {}", var[at]);
        }
        Ok(Self { mean, deviation, clip: spec.clip })
    }

    fn apply(&self, (i, x): (usize, f64)) -> f32 {
        let at = i % self.mean.len();
        (((x - self.mean[at]) / self.deviation[at]).clamp(-self.clip, self.clip)) as f32
    }
}

/// The network's input: normalised if there are statistics, else only cast.
pub fn network_input(normalizer: Option<&Normalizer>, observations: &Observations) -> Vec<f32> {
    match (normalizer, observations) {
        (None, Observations::F32(values)) => values.clone(),
        (None, Observations::F64(values)) => values.iter().map(|x| *x as f32).collect(),
        (Some(normalizer), Observations::F32(values)) => {
            values.iter().map(|x| f64::from(*x)).enumerate().map(|x| normalizer.apply(x)).collect()
        }
        (Some(normalizer), Observations::F64(values)) => {
            values.iter().copied().enumerate().map(|x| normalizer.apply(x)).collect()
        }
    }
}
