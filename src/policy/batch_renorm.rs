//! Batch renormalisation with the statistics of the training (Ioffe 2017), as CrossQ uses it.

use candle_core::{Result, Tensor};

use super::{
    device::Place,
    matrix::{Buffers, Host, Matrix},
    weights::Weights,
};

/// `(x - mean) / sqrt(var + epsilon) * scale + bias`, column by column.
pub enum BatchRenorm {
    Host(Columns<Vec<f32>>),
    Device(Columns<Tensor>),
}

/// A number of each kind for each column.
pub struct Columns<T> {
    mean: T,
    deviation: T,
    scale: T,
    bias: T,
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
        let (mean, scale, bias) = (take("mean")?, take("scale")?, take("bias")?);
        Ok(match place.is_cpu() {
            true => BatchRenorm::Host(Columns {
                mean: place.values(&mean)?,
                deviation: place.values(&deviation)?,
                scale: place.values(&scale)?,
                bias: place.values(&bias)?,
            }),
            false => BatchRenorm::Device(Columns {
                mean: place.put(&mean)?,
                deviation: place.put(&deviation)?,
                scale: place.put(&scale)?,
                bias: place.put(&bias)?,
            }),
        })
    }

    /// From (rows, width) to the same.
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Matrix, buffers: &mut Buffers) -> Result<Matrix> {
        match self {
            BatchRenorm::Host(columns) => {
                let x = x.host()?;
                let mut y = buffers.take(x.rows(), x.columns());
                columns.apply(x, &mut y);
                Ok(Matrix::Host(y))
            }
            BatchRenorm::Device(Columns { mean, deviation, scale, bias }) => {
                let normal = x.device()?.broadcast_sub(mean)?.broadcast_div(deviation)?;
                normal.broadcast_mul(scale)?.broadcast_add(bias).map(Matrix::Device)
            }
        }
    }
}

impl Columns<Vec<f32>> {
    fn apply(&self, x: &Host, y: &mut Host) {
        for row in 0..x.rows() {
            let pairs = x.row(row).iter().zip(y.row_mut(row)).enumerate();
            for (column, (x, y)) in pairs {
                let normal = (x - self.mean[column]) / self.deviation[column];
                *y = normal * self.scale[column] + self.bias[column];
            }
        }
    }
}
