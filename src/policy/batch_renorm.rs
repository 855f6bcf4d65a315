//! Batch renormalisation with the statistics of the training (Ioffe 2017), as CrossQ uses it.

use candle_core::{Result, Tensor};

use super::{device::Place, weights::Weights};

/// `(x - mean) / sqrt(var + epsilon) * scale + bias`, column by column.
pub struct BatchRenorm {
    mean: Tensor,
    deviation: Tensor,
    scale: Tensor,
    bias: Tensor,
}

impl BatchRenorm {
    /// Takes `<name>.mean`, `<name>.var`, `<name>.scale` and `<name>.bias`, one for each column.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        width: usize,
        epsilon: f64,
        place: &Place,
    ) -> Result<Self> {
        let mut take = |what: &str| weights.take(&format!("{name}.{what}"), &[width]);
        let deviation = (take("var")? + epsilon)?.sqrt()?;
        Ok(Self {
            mean: place.put(&take("mean")?)?,
            deviation: place.put(&deviation)?,
            scale: place.put(&take("scale")?)?,
            bias: place.put(&take("bias")?)?,
        })
    }

    /// From (rows, width) to the same.
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let normal = x.broadcast_sub(&self.mean)?.broadcast_div(&self.deviation)?;
        normal.broadcast_mul(&self.scale)?.broadcast_add(&self.bias)
    }
}
