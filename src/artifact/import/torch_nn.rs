//! The classes of `torch.nn` that this program computes alike.

use crate::policy::spec::Activation;

/// What the class of that name does to each element.
pub fn activation(class: &str) -> Option<Activation> {
    ACTIVATIONS.iter().find(|(name, _)| *name == class).map(|(_, activation)| *activation)
}

/// With their default parameters.
pub const ACTIVATIONS: [(&str, Activation); 21] = [
    ("Tanh", Activation::Tanh),
    ("ReLU", Activation::Relu),
    ("ReLU6", Activation::Relu6),
    ("ELU", Activation::Elu),
    ("SELU", Activation::Selu),
    ("CELU", Activation::Celu),
    ("LeakyReLU", Activation::LeakyRelu),
    ("GELU", Activation::Gelu),
    ("SiLU", Activation::Silu),
    ("Mish", Activation::Mish),
    ("Sigmoid", Activation::Sigmoid),
    ("LogSigmoid", Activation::LogSigmoid),
    ("Softplus", Activation::Softplus),
    ("Softsign", Activation::Softsign),
    ("Softshrink", Activation::Softshrink),
    ("Hardshrink", Activation::Hardshrink),
    ("Tanhshrink", Activation::Tanhshrink),
    ("Hardtanh", Activation::Hardtanh),
    ("Hardsigmoid", Activation::Hardsigmoid),
    ("Hardswish", Activation::Hardswish),
    ("Identity", Activation::Identity),
];
