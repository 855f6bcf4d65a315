//! Observations brought to mean 0 and variance 1, as Stable-Baselines3's `VecNormalize` does.

use crate::fleet::observation::DIM;

/// Added to the variance, against a feature that never changes.
const EPSILON: f64 = 1e-8;
/// Normalised values are clipped to this on both sides.
const CLIP: f64 = 10.0;

/// Mean and variance of each feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    /// In the feature's unit.
    pub mean: [f64; DIM],
    /// In the square of the feature's unit.
    pub var: [f64; DIM],
}

impl Normaliser {
    /// Measures rows of length `DIM`, one after the other; there must be one at least.
    pub fn measure(rows: &[f32]) -> Self {
        let count = (rows.len() / DIM) as f64;
        let mean = std::array::from_fn(|i| column(rows, i).sum::<f64>() / count);
        let var = std::array::from_fn(|i| {
            column(rows, i).map(|x| (x - mean[i]).powi(2)).sum::<f64>() / count
        });
        Self { mean, var }
    }

    /// `clip((x - mean) / sqrt(var + 1e-8), -10, 10)` of each value, computed in f64.
    pub fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let scale = self.var.map(|var| (var + EPSILON).sqrt());
        let normal = |i: usize, x: f32| (f64::from(x) - self.mean[i]) / scale[i];
        rows.chunks_exact(DIM)
            .flat_map(|row| row.iter().enumerate())
            .map(|(i, x)| normal(i, *x).clamp(-CLIP, CLIP) as f32)
            .collect()
    }
}

fn column(rows: &[f32], i: usize) -> impl Iterator<Item = f64> {
    rows[i..].iter().step_by(DIM).map(|x| f64::from(*x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_rows_have_mean_0_and_variance_1() {
        let rows: Vec<f32> = (0..50 * DIM).map(|i| ((i * 37) % 101) as f32).collect();
        let normal = Normaliser::measure(&rows).apply(&rows);
        let again = Normaliser::measure(&normal);
        assert!(again.mean.iter().all(|mean| mean.abs() < 1e-6));
        assert!(again.var.iter().all(|var| (var - 1.0).abs() < 1e-5));
    }

    #[test]
    fn values_far_out_are_clipped_to_ten_deviations() {
        let normaliser = Normaliser { mean: [1.0; DIM], var: [4.0; DIM] };
        let mut row = [1.0; DIM];
        (row[0], row[1], row[2]) = (1e9, -1e9, 5.0);
        assert_eq!(normaliser.apply(&row)[..4], [10.0, -10.0, 2.0, 0.0]);
    }
}
