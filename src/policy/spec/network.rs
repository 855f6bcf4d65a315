//! The layers between an observation and the action head.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Features of the observation, a memory if the policy is recurrent, hidden layers that both
/// branches share, and two branches of fully connected layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Of the fully connected layers.
    pub activation: Activation,
    #[serde(default = "Features::flat", skip_serializing_if = "Features::is_flat")]
    pub features: Features,
    /// Whether the value's branch has image networks of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub separate_value_features: bool,
    /// Absent: the policy has no memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lstm: Option<Lstm>,
    /// Widths of the hidden layers below both branches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<usize>,
    /// Widths of the hidden layers before the action head.
    pub policy: Vec<usize>,
    /// Widths of the hidden layers before the value. Absent: the policy has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Vec<usize>>,
    /// The epsilon of a batch renormalisation before each layer of the action's branch, as in
    /// CrossQ. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_renorm: Option<f64>,
}

/// How an observation becomes a vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Whether images (u1, 0 to 255, three axes) are divided by 255.
    #[serde(default = "yes")]
    pub scale_images: bool,
    /// The spaces that go through an image network: `image` for a box, else keys of the dict. All
    /// others are flattened; discrete ones are one-hot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ImageNetwork>,
}

/// Convolutions and one fully connected layer, with a ReLU behind each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageNetwork {
    pub convolutions: Vec<Convolution>,
    /// Width of the layer behind them.
    pub width: usize,
}

/// One square convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    pub channels: usize,
    pub kernel: usize,
    pub stride: usize,
    #[serde(default)]
    pub padding: usize,
}

/// Stacked LSTMs between the features and the branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lstm {
    pub size: usize,
    pub layers: usize,
    pub value: ValueMemory,
}

/// What stands before the value's branch of a recurrent policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueMemory {
    /// LSTMs of its own.
    Own,
    /// Those of the action.
    Shared,
    /// A fully connected layer and no memory.
    Linear,
}

/// The name in `features.images` for the image of a box.
pub const IMAGE: &str = "image";

/// After each hidden layer; parameters are PyTorch's defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// None at all.
    Identity,
    Tanh,
    Relu,
    Relu6,
    /// With alpha 1.
    Elu,
    Selu,
    /// With alpha 1: the same as `elu`.
    Celu,
    /// With slope 0.01.
    LeakyRelu,
    /// The exact one, with the error function.
    Gelu,
    Silu,
    Mish,
    Sigmoid,
    LogSigmoid,
    /// With beta 1 and threshold 20.
    Softplus,
    Softsign,
    /// With lambda 0.5, as the next one.
    Softshrink,
    Hardshrink,
    Tanhshrink,
    /// From -1 to 1.
    Hardtanh,
    Hardsigmoid,
    Hardswish,
}

fn yes() -> bool {
    true
}

impl NetworkSpec {
    /// Fully connected layers on the flattened observation.
    pub fn mlp(activation: Activation, policy: Vec<usize>, value: Option<Vec<usize>>) -> Self {
        Self {
            activation,
            features: Features::flat(),
            separate_value_features: false,
            lstm: None,
            shared: vec![],
            policy,
            value,
            batch_renorm: None,
        }
    }
}

impl Features {
    pub fn flat() -> Self {
        Self { scale_images: true, images: BTreeMap::new() }
    }

    fn is_flat(&self) -> bool {
        *self == Self::flat()
    }
}

impl ImageNetwork {
    /// The shapes (channels, height, width) behind each convolution of an image.
    ///
    /// # Errors
    /// A kernel is larger than what it meets.
    pub fn shapes(&self, image: [usize; 3]) -> Result<Vec<[usize; 3]>, String> {
        let mut shapes = Vec::with_capacity(self.convolutions.len());
        let mut shape = image;
        for convolution in &self.convolutions {
            shape = convolution.shape(shape)?;
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

impl Convolution {
    /// What it makes of an image of shape (channels, height, width).
    ///
    /// # Errors
    /// The kernel does not fit.
    pub fn shape(&self, [_, height, width]: [usize; 3]) -> Result<[usize; 3], String> {
        let Self { channels, kernel, stride, padding } = *self;
        let along = |size: usize| {
            let room = (size.checked_add(padding.checked_mul(2)?)?).checked_sub(kernel)?;
            Some(room.checked_div(stride)? + 1)
        };
        match (along(height), along(width), channels, kernel) {
            (Some(height), Some(width), 1.., 1..) => Ok([channels, height, width]),
            _ => Err(format!(
                "a convolution (channels {channels}, kernel {kernel}, stride {stride}) does not fit an image of {height} x {width}"
            )),
        }
    }
}
