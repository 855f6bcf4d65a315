//! Observation normalisation, after Stable-Baselines3's `VecNormalize`.

use candle_core::{Result, bail};

use super::{spec::Normalize, weights::Weights};

/// Running statistics of the training, applied in f64: with a large mean, f32 would lose the
/// digits that the network looks at.
pub struct Normalizer {
    mean: Vec<f64>,
    deviation: Vec<f64>,
    clip: f64,
    /// What each element is clipped to before anything else.
    range: Option<(Vec<f64>, Vec<f64>)>,
}

impl Normalizer {
    /// Takes the mean and the variance of each element, of the space `key` of a dict or of the
    /// whole observation.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, not finite, or a variance negative.
    pub fn load(
        weights: &mut Weights,
        key: Option<&str>,
        spec: &Normalize,
        size: usize,
    ) -> Result<Self> {
        let name = |what: &str| match key {
            Some(key) => format!("observation.{key}.{what}"),
            None => format!("observation.{what}"),
        };
        let mean = weights.take_vec(&name("mean"), size)?;
        let var = weights.take_vec(&name("var"), size)?;
        let deviation: Vec<f64> = var.iter().map(|var| (var + spec.epsilon).sqrt()).collect();
        if let Some(at) = deviation.iter().position(|x| !(x.is_finite() && *x > 0.0)) {
            let name = name("var");
            bail!("the tensor {name} can't be a variance: element {at} is {}", var[at]);
        }
        let range = match spec.clip_inputs {
            true => Some((
                weights.take_vec(&name("low"), size)?,
                weights.take_vec(&name("high"), size)?,
            )),
            false => None,
        };
        Ok(Self { mean, deviation, clip: spec.clip, range })
    }

    /// Element `at` of an observation. NaN stays NaN.
    pub fn apply(&self, at: usize, mut x: f64) -> f32 {
        if let Some((low, high)) = &self.range {
            // Unlike `clamp`, this does not panic for a range that is none.
            x = if x < low[at] { low[at] } else { x };
            x = if x > high[at] { high[at] } else { x };
        }
        ((x - self.mean[at]) / self.deviation[at]).clamp(-self.clip, self.clip) as f32
    }
}
