//! Two small policies with numbers from a formula, for the tests inside the library and outside
//! of it: `tiny` drives by named features, `tiny-discrete` chooses one of three actions.

use carla_rl::{
    artifact::{Card, Draft},
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Normalize, Postprocess},
    },
    wire::{DType, Observations, Space, space::Bound},
};

pub use crate::waves::*;

/// The model `tiny`, version 0.1.0: speed, steering and four sensors; throttle, brake and steer.
pub fn draft() -> Draft {
    let names = |names: &[&str]| Some(names.iter().map(ToString::to_string).collect());
    let spec = PolicySpec {
        observation_space: boxed(6, (-1000.0, 1000.0)),
        action_space: Space::Box {
            dtype: DType::F4,
            shape: vec![3],
            low: Bound::Each(vec![0.0, 0.0, -1.0]),
            high: Bound::Uniform(1.0),
        },
        normalize: Some(Normalize { epsilon: 1e-8, clip: 10.0, keys: None, clip_inputs: false }),
        network: NetworkSpec::mlp(Activation::Tanh, vec![8, 8], Some(vec![8])),
        head: Head::DiagonalGaussian { squash: false, log_std: None },
        postprocess: Postprocess::Clip,
    };
    let mut draft = draft_of("tiny", spec);
    draft.card.observation_features = names(&["speed", "steering", "sensors"]);
    draft.card.action_names = names(&["throttle", "brake", "steer"]);
    draft
}

/// The model `tiny-discrete`, version 0.1.0: four numbers; three actions, no value.
pub fn discrete_draft() -> Draft {
    let spec = PolicySpec {
        observation_space: boxed(4, (f64::NEG_INFINITY, f64::INFINITY)),
        action_space: Space::Discrete { n: 3, start: 0 },
        normalize: None,
        network: NetworkSpec::mlp(Activation::Relu, vec![8], None),
        head: Head::Categorical { masked: false },
        postprocess: Postprocess::Clip,
    };
    draft_of("tiny-discrete", spec)
}

/// A card for the policy, with its weights and golden outputs.
pub fn draft_of(name: &str, policy: PolicySpec) -> Draft {
    let (rows, size) = (8, policy.observation_space.size());
    let tensors = tensors(&policy);
    let card = Card {
        schema: Card::SCHEMA,
        name: name.into(),
        version: semver::Version::new(0, 1, 0),
        description: "A small network for tests".into(),
        algorithm: "none".into(),
        observation_features: None,
        action_names: None,
        policy,
        provenance: [("weights".to_string(), "a formula".to_string())].into(),
        files: Default::default(),
    };
    Draft { card, tensors, observations: Observations::F32(wave_values(900, rows * size)) }
}

/// Floats with the same bounds everywhere.
pub fn boxed(size: usize, (low, high): (f64, f64)) -> Space {
    let (low, high) = (Bound::Uniform(low), Bound::Uniform(high));
    Space::Box { dtype: DType::F4, shape: vec![size], low, high }
}
