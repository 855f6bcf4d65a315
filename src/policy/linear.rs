//! Fully connected layers.

use candle_core::{Result, Tensor, bail};

use super::{
    device::{Place, Precision},
    epilogue::Epilogue,
    matrix::{Buffers, Matrix},
    product::{Packed, Rows},
    spec::Activation,
    weights::Weights,
};

/// `f(x W^T + b)`: on the CPU one fused product over packed weights, elsewhere candle's product with
/// the weights kept transposed and contiguous.
pub enum Linear {
    Host { packed: Packed, precision: Precision },
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
            return Ok(Linear::Host { packed, precision: place.precision });
        }
        Ok(Linear::Device {
            weight_t: place.put(&weight.t()?.contiguous()?)?,
            bias: place.put(bias)?,
        })
    }

    /// From (rows, inputs) to (rows, outputs).
    ///
    /// # Errors
    /// `x` has another width or is elsewhere; what the device reports.
    pub fn forward(
        &self,
        x: &Matrix,
        activation: Activation,
        buffers: &mut Buffers,
    ) -> Result<Matrix> {
        match self {
            Linear::Host { packed, precision } => {
                let (x, inputs) = (x.host()?, packed.inputs());
                if x.columns() != inputs {
                    bail!("a layer of {inputs} inputs was given {}", x.columns());
                }
                let mut y = buffers.take(x.rows(), packed.outputs());
                let epilogue = Epilogue { precision: *precision, activation };
                let rows = Rows { values: x.values(), count: x.rows(), start: |row| row * inputs };
                packed.multiply(&rows, epilogue, y.values_mut());
                Ok(Matrix::Host(y))
            }
            Linear::Device { weight_t, bias } => {
                let y = x.device()?.matmul(weight_t)?.broadcast_add(bias)?;
                activation.forward(&y).map(Matrix::Device)
            }
        }
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

    fn on_host(layer: &Linear, x: &Tensor, activation: Activation) -> Result<Vec<f32>> {
        let mut buffers = Buffers::default();
        let mut host = buffers.take(x.dim(0)?, x.dim(1)?);
        host.values_mut().copy_from_slice(&values(x));
        let y = layer.forward(&Matrix::Host(host), activation, &mut buffers)?;
        Ok(y.host()?.values().to_vec())
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn packed_layers_agree_with_candle_over_odd_shapes() {
        let shapes = [(1, 1), (3, 2), (7, 31), (64, 32), (129, 33), (300, 97), (37, 8), (21, 9)];
        for (inputs, outputs) in shapes {
            let (cpu, device) = both(inputs, outputs);
            for rows in [1, 2, 3, 5, 11, 12, 13, 30] {
                let x = wave(900, &[rows, inputs]);
                for activation in [Activation::Identity, Activation::Tanh, Activation::Relu] {
                    let got = on_host(&cpu, &x, activation).unwrap();
                    let there = Matrix::Device(x.clone());
                    let expected =
                        device.forward(&there, activation, &mut Buffers::default()).unwrap();
                    let expected = values(expected.device().unwrap());
                    assert_eq!(got.len(), rows * outputs);
                    for (got, expected) in got.iter().zip(expected) {
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
        for outputs in [3, 70] {
            let (cpu, _) = both(261, outputs);
            let x = wave(900, &[29, 261]);
            let together = on_host(&cpu, &x, Activation::Elu).unwrap();
            for rows in 1..29 {
                let few = x.narrow(0, 0, rows).unwrap();
                let few = on_host(&cpu, &few, Activation::Elu).unwrap();
                assert_eq!(few[..], together[..outputs * rows], "{rows} rows");
            }
        }
    }

    #[test]
    fn an_input_of_another_width_or_from_elsewhere_is_an_error() {
        let (cpu, _) = both(3, 2);
        let error = on_host(&cpu, &wave(0, &[1, 4]), Activation::Tanh).unwrap_err();
        assert!(error.to_string().contains("3 inputs was given 4"), "{error}");
        let elsewhere = Matrix::Device(wave(0, &[1, 3]));
        assert!(cpu.forward(&elsewhere, Activation::Tanh, &mut Buffers::default()).is_err());
    }
}
