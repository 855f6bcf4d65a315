//! What follows a layer, element by element: as PyTorch has it, with its default parameters.
//!
//! Twice: for the CPU, where it is applied to a layer's result in place, and as operations of candle
//! for other devices. NaN stays NaN in all of them: candle's own `relu`, and
//! on a GPU its `maximum` too, would make 0 of it, and an overflow inside the network would come
//! out as a plausible action.

use candle_core::{Result, Tensor, cpu::erf::erf_f32};

use pulp::Simd;

use super::{
    curve::{Bent, Positive, over},
    exponential::{Elu, Mish, Silu},
    spec::Activation,
    squash::{Logistic, Tanh},
};

/// PyTorch's constants of SELU (Klambauer et al. 2017).
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SOFTPLUS_THRESHOLD: f32 = 20.0;
const SHRINK: f32 = 0.5;

impl Activation {
    /// Of all elements, on the CPU. What is used most is computed for vectors of them.
    #[inline(always)]
    pub fn apply<S: Simd>(self, simd: S, values: &mut [f32]) {
        match self {
            Activation::Identity => {}
            Activation::Tanh => over(simd, Tanh, values),
            Activation::Sigmoid => over(simd, Logistic, values),
            Activation::Relu => over(simd, Positive, values),
            Activation::LeakyRelu => over(simd, Bent { slope: 0.01 }, values),
            Activation::Elu | Activation::Celu => {
                over(simd, Elu { alpha: 1.0, scale: 1.0 }, values)
            }
            Activation::Selu => {
                let (alpha, scale) = (SELU_ALPHA as f32, SELU_SCALE as f32);
                over(simd, Elu { alpha, scale }, values);
            }
            Activation::Silu => over(simd, Silu, values),
            Activation::Mish => over(simd, Mish, values),
            other => other.of_each(values),
        }
    }

    fn of_each(self, values: &mut [f32]) {
        values.iter_mut().for_each(|x| *x = self.of(*x));
    }

    /// Of one element, on the CPU.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Activation::Identity => x,
            Activation::Tanh => x.tanh(),
            Activation::Relu => above(x, 0.0),
            Activation::Relu6 => x.clamp(0.0, 6.0),
            Activation::Elu | Activation::Celu => elu(x, 1.0),
            Activation::Selu => SELU_SCALE as f32 * elu(x, SELU_ALPHA as f32),
            Activation::LeakyRelu => {
                if x < 0.0 {
                    0.01 * x
                } else {
                    x
                }
            }
            Activation::Gelu => 0.5 * x * (1.0 + erf_f32(x * std::f32::consts::FRAC_1_SQRT_2)),
            Activation::Silu => x * sigmoid(x),
            Activation::Mish => x * softplus(x).tanh(),
            Activation::Sigmoid => sigmoid(x),
            Activation::LogSigmoid => x.min(0.0) - (-x.abs()).exp().ln_1p(),
            Activation::Softplus => softplus(x),
            Activation::Softsign => x / (1.0 + x.abs()),
            Activation::Softshrink => x - x.clamp(-SHRINK, SHRINK),
            Activation::Hardshrink => {
                if (-SHRINK..=SHRINK).contains(&x) {
                    0.0
                } else {
                    x
                }
            }
            Activation::Tanhshrink => x - x.tanh(),
            Activation::Hardtanh => x.clamp(-1.0, 1.0),
            Activation::Hardsigmoid => (x + 3.0).clamp(0.0, 6.0) / 6.0,
            Activation::Hardswish => x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
        }
    }

    /// Of a tensor, on any device.
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Identity => Ok(x.clone()),
            Activation::Tanh => x.tanh(),
            Activation::Relu => x.lt(0f32)?.where_cond(&x.zeros_like()?, x),
            Activation::Relu6 => between(x, 0.0, 6.0),
            Activation::Elu | Activation::Celu => x.elu(1.0),
            Activation::Selu => x.elu(SELU_ALPHA)?.affine(SELU_SCALE, 0.0),
            Activation::LeakyRelu => x.lt(0f32)?.where_cond(&(x * 0.01)?, x),
            Activation::Gelu => x.gelu_erf(),
            Activation::Silu => x.silu(),
            Activation::Mish => x * softplus_of(x)?.tanh()?,
            Activation::Sigmoid => candle_nn::ops::sigmoid(x),
            Activation::LogSigmoid => softplus_of(&x.neg()?)?.neg(),
            Activation::Softplus => softplus_of(x),
            Activation::Softsign => x / x.abs()?.affine(1.0, 1.0)?,
            Activation::Softshrink => x - between(x, f64::from(-SHRINK), f64::from(SHRINK))?,
            Activation::Hardshrink => x.abs()?.le(SHRINK)?.where_cond(&x.zeros_like()?, x),
            Activation::Tanhshrink => x - x.tanh()?,
            Activation::Hardtanh => between(x, -1.0, 1.0),
            Activation::Hardsigmoid => between(&(x + 3.0)?, 0.0, 6.0)? / 6.0,
            Activation::Hardswish => x * (between(&(x + 3.0)?, 0.0, 6.0)? / 6.0)?,
        }
    }
}

pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `f32::max` would take the other number for NaN.
fn above(x: f32, low: f32) -> f32 {
    if x < low { low } else { x }
}

fn elu(x: f32, alpha: f32) -> f32 {
    if x < 0.0 { alpha * x.exp_m1() } else { x }
}

fn softplus(x: f32) -> f32 {
    if x > SOFTPLUS_THRESHOLD { x } else { x.exp().ln_1p() }
}

fn between(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let end = |value: f64| x.ones_like()?.affine(value, 0.0);
    let x = &x.lt(low)?.where_cond(&end(low)?, x)?;
    x.gt(high)?.where_cond(&end(high)?, x)
}

/// `max(x, 0) + log(1 + exp(-|x|))`, which does not overflow.
fn softplus_of(x: &Tensor) -> Result<Tensor> {
    let positive = x.lt(0f32)?.where_cond(&x.zeros_like()?, x)?;
    positive + x.abs()?.neg()?.exp()?.affine(1.0, 1.0)?.log()?
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use pulp::{Arch, WithSimd};

    struct Apply<'a>(Activation, &'a mut [f32]);

    impl WithSimd for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            self.0.apply(simd, self.1);
        }
    }

    #[test]
    fn all_forms_agree_and_keep_nan() {
        let x: Vec<f32> = (-400..=400).map(|k| k as f32 / 16.0).chain([f32::NAN]).collect();
        let tensor = Tensor::new(&x[..], &Device::Cpu).unwrap();
        for activation in ALL {
            let there: Vec<f32> = activation.forward(&tensor).unwrap().to_vec1().unwrap();
            let mut together = x.clone();
            Arch::new().dispatch(Apply(activation, &mut together));
            for ((x, here), there) in x.iter().zip(together).zip(there) {
                for here in [here, activation.of(*x)] {
                    let near = (here - there).abs() <= 2e-6 * (1.0 + there.abs());
                    assert!(near || x.is_nan(), "{activation:?}({x}): {here} {there}");
                    assert_eq!(here.is_nan() && there.is_nan(), x.is_nan(), "{activation:?}({x})");
                }
            }
        }
    }

    const ALL: [Activation; 21] = [
        Activation::Identity,
        Activation::Tanh,
        Activation::Relu,
        Activation::Relu6,
        Activation::Elu,
        Activation::Selu,
        Activation::Celu,
        Activation::LeakyRelu,
        Activation::Gelu,
        Activation::Silu,
        Activation::Mish,
        Activation::Sigmoid,
        Activation::LogSigmoid,
        Activation::Softplus,
        Activation::Softsign,
        Activation::Softshrink,
        Activation::Hardshrink,
        Activation::Tanhshrink,
        Activation::Hardtanh,
        Activation::Hardsigmoid,
        Activation::Hardswish,
    ];
}
