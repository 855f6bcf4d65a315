//! Whole policies: against PyTorch, and rows against their batch-mates.

mod independence;
mod reference;
mod sampling;

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::{
    Actions, Input, Mode, NeuralPolicy, Output, Policy, PolicySpec, Weights,
    device::Precision,
    spec::{Activation, Head, NetworkSpec, Postprocess},
    threads::Threads,
};
use crate::{
    tiny,
    wire::{DType, Observations, Space, space::Bound},
};

#[test]
fn an_error_tells_no_trace_of_code() {
    let traced = candle_core::Error::WithBacktrace {
        inner: Box::new(candle_core::Error::Msg("out of memory".into())),
        backtrace: Box::new(std::backtrace::Backtrace::force_capture()),
    };
    assert_eq!(super::message(&traced), "out of memory");
}

/// From three numbers to two, through layers of 5 and 4.
fn small_spec(activation: Activation) -> PolicySpec {
    PolicySpec {
        observation_space: unbounded(DType::F4, 3),
        action_space: Space::Box {
            dtype: DType::F4,
            shape: vec![2],
            low: Bound::Each(vec![-1.0, -0.25]),
            high: Bound::Each(vec![0.5, 2.0]),
        },
        normalize: None,
        network: NetworkSpec::mlp(activation, vec![5, 4], Some(vec![3])),
        head: Head::DiagonalGaussian { squash: false, log_std: None },
        postprocess: Postprocess::Clip,
    }
}

fn unbounded(dtype: DType, size: usize) -> Space {
    let (low, high) = (Bound::Uniform(f64::NEG_INFINITY), Bound::Uniform(f64::INFINITY));
    Space::Box { dtype, shape: vec![size], low, high }
}

fn policy(spec: &PolicySpec) -> NeuralPolicy {
    load(spec, tiny::tensors(spec), Precision::F32)
}

fn load(spec: &PolicySpec, tensors: HashMap<String, Tensor>, precision: Precision) -> NeuralPolicy {
    spec.check().unwrap();
    let weights = Weights::parse(&safetensors::serialize(tensors, None).unwrap()).unwrap();
    NeuralPolicy::load(spec, weights, &Device::Cpu, precision).unwrap()
}

/// Everything that the policy has, for each row of f32 observations.
fn run(policy: &mut NeuralPolicy, observations: &[f32], modes: &[Mode]) -> Output {
    run_on(policy, Observations::F32(observations.to_vec()), modes)
}

fn run_on(policy: &mut NeuralPolicy, observations: Observations, modes: &[Mode]) -> Output {
    let wants = policy.spec().wants();
    let mut output = Output::default();
    policy.forward(&Input::new(observations, modes.to_vec(), wants), &mut output).unwrap();
    output
}

fn floats(actions: &Actions) -> &[f32] {
    match actions {
        Actions::F32(values) => values,
        Actions::I64(_) => panic!("discrete actions"),
    }
}

fn choices(actions: &Actions) -> &[i64] {
    match actions {
        Actions::I64(values) => values,
        Actions::F32(_) => panic!("continuous actions"),
    }
}
