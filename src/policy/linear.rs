//! Fully connected layers.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::{
    device::{Place, Precision},
    product::{Packed, Rows},
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
        let mut y = vec![0.0; rows * self.packed.outputs()];
        self.packed.multiply(&Rows { values, count: rows, start: |row| row * inputs }, &mut y);
        self.precision.round_all(&mut y);
        self.activation.apply(&mut y);
        self.precision.round_all(&mut y);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny::wave;
    use candle_core::Device;

    /// The same layer as one operation and as candle's product.
    fn both(inputs: usize, outputs: usize) -> (Linear, Linear) {
        let (weight, bias) = (wave(10, &[outputs, inputs]), wave(50, &[outputs]));
        let place = Place { device: Device::Cpu, precision: Precision::F32 };
        let cpu = Linear::new(&weight, &bias, &place).unwrap();
        let weight_t = weight.t().unwrap().contiguous().unwrap();
        (cpu, Linear::Device { weight_t, bias })
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn packed_layers_agree_with_candle_over_odd_shapes() {
        for (inputs, outputs) in [(1, 1), (3, 2), (7, 31), (64, 32), (129, 33), (300, 97)] {
            let (cpu, device) = both(inputs, outputs);
            for rows in [1, 2, 3, 5, 11, 12, 13, 30] {
                let x = wave(900, &[rows, inputs]);
                for activation in [Activation::Identity, Activation::Tanh, Activation::Relu] {
                    let got = cpu.forward(&x, activation).unwrap();
                    let expected = device.forward(&x, activation).unwrap();
                    assert_eq!(got.dims(), [rows, outputs]);
                    for (got, expected) in values(&got).iter().zip(values(&expected)) {
                        // So many products of up to 1, summed up in another order.
                        let size = 4.0 * (inputs as f32).sqrt() + expected.abs();
                        let near = (got - expected).abs() <= 1e-6 * size;
                        assert!(near, "{inputs} x {outputs}, {rows} rows: {got} {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_row_of_a_layer_has_the_same_bits_in_blocks_of_every_size() {
        let (cpu, _) = both(261, 70);
        let x = wave(900, &[29, 261]);
        let together = values(&cpu.forward(&x, Activation::Identity).unwrap());
        for rows in 1..29 {
            let few = x.narrow(0, 0, rows).unwrap().contiguous().unwrap();
            let few = values(&cpu.forward(&few, Activation::Identity).unwrap());
            assert_eq!(few[..], together[..70 * rows], "{rows} rows");
        }
    }

    #[test]
    fn an_input_of_another_width_is_an_error() {
        let (cpu, _) = both(3, 2);
        let error = cpu.forward(&wave(0, &[1, 4]), Activation::Tanh).unwrap_err();
        assert!(error.to_string().contains("3 inputs was given 4"), "{error}");
    }
}
