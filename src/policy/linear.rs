//! Fully connected layers.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{
    device::{Place, Precision},
    product::{Matrix, Packed},
    spec::Activation,
    weights::Weights,
};

/// `f(x W^T + b)`: on the CPU one fused operation over packed weights, elsewhere candle's product
/// with the weights kept transposed and contiguous.
pub enum Linear {
    Cpu { packed: Packed, precision: Precision },
    Device { weight_t: Tensor, bias: Tensor },
}

impl Linear {
    /// Takes `<name>.weight` of shape (outputs, inputs) and `<name>.bias` of shape (outputs).
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, outputs): (usize, usize),
        place: &Place,
    ) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        Self::new(&weight, &bias, place)
    }

    /// `weight`: (outputs, inputs).
    ///
    /// # Errors
    /// What the device reports.
    pub fn new(weight: &Tensor, bias: &Tensor, place: &Place) -> Result<Self> {
        if place.is_cpu() {
            let packed = Packed::new(&place.values(weight)?, &place.values(bias)?);
            return Ok(Linear::Cpu { packed, precision: place.precision });
        }
        Ok(Linear::Device {
            weight_t: place.put(&weight.t()?.contiguous()?)?,
            bias: place.put(bias)?,
        })
    }

    /// From (rows, inputs) to (rows, outputs).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        match self {
            Linear::Cpu { packed, precision } => {
                x.apply_op1_no_bwd(&Fused { packed, activation, precision: *precision })
            }
            Linear::Device { weight_t, bias } => {
                activation.forward(&x.matmul(weight_t)?.broadcast_add(bias)?)
            }
        }
    }
}

struct Fused<'a> {
    packed: &'a Packed,
    activation: Activation,
    precision: Precision,
}

impl CustomOp1 for Fused<'_> {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = layout.shape().dims2()?;
        if inputs != self.packed.inputs() {
            bail!("a layer of {} inputs was given {inputs}", self.packed.inputs());
        }
        let values = contiguous(storage, layout)?;
        let mut y = self.packed.multiply(&Matrix { values, inputs });
        for y in &mut y {
            *y = self.precision.round(self.activation.of(self.precision.round(*y)));
        }
        Ok((CpuStorage::F32(y), (rows, self.packed.outputs()).into()))
    }
}

/// The elements of an f32 tensor that is in C order.
///
/// # Errors
/// It is neither.
pub fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("the layer's input is not contiguous");
    };
    match storage {
        CpuStorage::F32(values) => Ok(&values[start..end]),
        _ => bail!("the layer's input is not f32"),
    }
}
