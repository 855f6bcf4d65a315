//! Fully connected layers on candle.

use candle_core::{DType, Device, Result, Tensor};

use super::{spec::Activation, weights::Weights};

/// `x W^T + b`, with the weights kept transposed and contiguous: candle then neither re-packs
/// them at each call nor lets the kernel, and so a row's rounding, depend on the batch.
pub struct Linear {
    weight_t: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Takes `<name>.weight` of shape (outputs, inputs) and `<name>.bias` of shape (outputs).
    pub fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, outputs): (usize, usize),
        place: (&Device, DType),
    ) -> Result<Self> {
        let weight = weights.take(&format!("{name}.weight"), &[outputs, inputs])?;
        let bias = weights.take(&format!("{name}.bias"), &[outputs])?;
        let put = |tensor: Tensor| tensor.to_dtype(place.1)?.to_device(place.0);
        Ok(Self { weight_t: put(weight.t()?.contiguous()?)?, bias: put(bias)? })
    }

    /// From (rows, inputs) to (rows, outputs).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight_t)?.broadcast_add(&self.bias)
    }
}

/// Hidden layers, each followed by the activation, and a last layer without one.
pub struct Mlp {
    hidden: Vec<Linear>,
    activation: Activation,
    last: Linear,
}

impl Mlp {
    /// Takes `<branch>.0`, `<branch>.1`, … and the last layer `<last>`.
    pub fn load(
        weights: &mut Weights,
        (branch, last): (&str, &str),
        (inputs, widths, outputs): (usize, &[usize], usize),
        activation: Activation,
        place: (&Device, DType),
    ) -> Result<Self> {
        let mut size = inputs;
        let mut hidden = Vec::with_capacity(widths.len());
        for (i, width) in widths.iter().enumerate() {
            hidden.push(Linear::load(weights, &format!("{branch}.{i}"), (size, *width), place)?);
            size = *width;
        }
        let last = Linear::load(weights, last, (size, outputs), place)?;
        Ok(Self { hidden, activation, last })
    }

    /// From (rows, inputs) to (rows, outputs).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.hidden {
            x = activate(&layer.forward(&x)?, self.activation)?;
        }
        self.last.forward(&x)
    }
}

fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => relu(x),
        Activation::Elu => x.elu(1.0),
        Activation::LeakyRelu => x.lt(0f32)?.where_cond(&(x * 0.01)?, x),
        Activation::Gelu => x.gelu_erf(),
        Activation::Silu => x.silu(),
        Activation::Sigmoid => candle_nn::ops::sigmoid(x),
    }
}

/// candle's own `relu`, and on a GPU its `maximum` too, make 0 of NaN: an overflow inside the
/// network would come out as a plausible action.
fn relu(x: &Tensor) -> Result<Tensor> {
    match x.device() {
        Device::Cpu => x.maximum(0f32),
        _ => x.lt(0f32)?.where_cond(&x.zeros_like()?, x),
    }
}
