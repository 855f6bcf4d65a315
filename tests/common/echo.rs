//! A policy whose action tells which observation it was made for, however wide it is: each layer
//! passes two numbers through its first two units, and computes all the others for nothing.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use carla_rl::{
    artifact::{Card, Draft},
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Postprocess},
    },
    wire::{DType, Observations, Space, space::Bound},
};

pub const MODEL: &str = "echo";
pub const INFER: &str = "policy.v1.infer.echo";
/// Each half of an id is a number that an f4 holds exactly, and so is this share of it.
const SCALE: f32 = 1.0 / 65536.0;

/// What the request with this id shows: its two halves.
pub fn observation(id: u32) -> [f32; 2] {
    [(id & 0xffff) as f32, (id >> 16) as f32]
}

/// The one right action for it: the halves in the other order, scaled.
pub fn action(id: u32) -> [f32; 2] {
    let [low, high] = observation(id);
    [high * SCALE, low * SCALE]
}

/// The model `echo`, version 0.1.0, with hidden layers of these widths.
pub fn draft(hidden: &[usize]) -> Draft {
    let policy = PolicySpec {
        observation_space: halves(0.0, 65535.0),
        action_space: halves(0.0, 1.0),
        normalize: None,
        network: NetworkSpec::mlp(Activation::Relu, hidden.to_vec(), None),
        head: Head::Deterministic { squash: false },
        postprocess: Postprocess::Clip,
    };
    let card = Card {
        schema: Card::SCHEMA,
        name: MODEL.into(),
        version: semver::Version::new(0, 1, 0),
        description: "Tells which observation it saw".into(),
        algorithm: "none".into(),
        observation_features: None,
        action_names: None,
        policy,
        provenance: [("weights".to_string(), "two ones in each layer".to_string())].into(),
        files: Default::default(),
    };
    let observations = (0..8).flat_map(|i| observation(i * 0x0203_0405)).collect();
    Draft { card, tensors: tensors(hidden), observations: Observations::F32(observations) }
}

fn halves(low: f64, high: f64) -> Space {
    let (low, high) = (Bound::Uniform(low), Bound::Uniform(high));
    Space::Box { dtype: DType::F4, shape: vec![2], low, high }
}

fn tensors(hidden: &[usize]) -> HashMap<String, Tensor> {
    let mut tensors = HashMap::new();
    let mut add = |name: &str, inputs: usize, outputs: usize, ones: [usize; 2], one: f32| {
        let mut weight = vec![0.0; inputs * outputs];
        for (output, input) in ones.into_iter().enumerate() {
            weight[output * inputs + input] = one;
        }
        let weight = Tensor::from_vec(weight, (outputs, inputs), &Device::Cpu).unwrap();
        let bias = Tensor::from_vec(vec![0f32; outputs], outputs, &Device::Cpu).unwrap();
        tensors.extend([(format!("{name}.weight"), weight), (format!("{name}.bias"), bias)]);
    };
    let mut width = 2;
    for (i, outputs) in hidden.iter().enumerate() {
        add(&format!("policy.{i}"), width, *outputs, [0, 1], 1.0);
        width = *outputs;
    }
    add("action", width, 2, [1, 0], SCALE);
    tensors
}
