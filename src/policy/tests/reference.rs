//! Reference numbers, from PyTorch 2.15 in f64 with the same f32 weights:
//!
//! ```python
//! import math, torch, torch.nn.functional as F
//! torch.set_default_dtype(torch.float64)
//!
//! def wave(start, *shape):
//!     k = start + torch.arange(math.prod(shape), dtype=torch.float64)
//!     return ((1000 * torch.sin(k)).round() / 1000).float().double().reshape(shape)
//!
//! def mlp(x, f, widths, outputs, start=0):
//!     for n in [*widths, outputs]:
//!         x = F.linear(x, wave(start, n, x.shape[1]), wave(start + 50, n))
//!         start += 100
//!         if start // 100 % 10 <= len(widths): x = f(x)
//!     return x
//!
//! x = 2 * wave(900, 2, 3)
//! mean = mlp(x, torch.tanh, [5, 4], 2)
//! normal = torch.distributions.Normal(mean, wave(800, 2).exp())
//! low, high = torch.tensor([-1, -0.25]), torch.tensor([0.5, 2])
//! ```

use super::*;
use crate::policy::spec::Normalize;

const DETERMINISTIC: [Mode; 2] = [Mode::Deterministic; 2];
const SAMPLED: [Mode; 2] = [Mode::Sample { seed: 7, row: 0 }, Mode::Sample { seed: 7, row: 1 }];

#[test]
fn every_activation_gives_pytorchs_means() {
    // for f in [torch.tanh, F.relu, F.elu, F.leaky_relu, F.gelu, F.silu, torch.sigmoid]:
    //     print(mlp(x, f, [5, 4], 2))
    for (activation, means) in [
        (Activation::Tanh, [-1.89959755, 0.583483578, -1.90429785, -0.415009301]),
        (Activation::Relu, [-1.78708889, -0.761350654, -1.3774841, -0.252936335]),
        (Activation::Elu, [-2.66426029, 0.448404885, -2.45827729, 0.0644481573]),
        (Activation::LeakyRelu, [-1.79869795, -0.744743066, -1.39503788, -0.242305619]),
        (Activation::Gelu, [-1.52916283, -0.647046449, -1.31544917, -0.148327011]),
        (Activation::Silu, [-1.36016271, -0.465070258, -1.21994435, -0.260332373]),
        (Activation::Sigmoid, [-0.646492087, -1.21306459, -0.633771448, -1.31224135]),
    ] {
        let output = run(&mut policy(&small_spec(activation)), &x(), &DETERMINISTIC);
        assert_close(floats(&output.raw_action), &means, &format!("{activation:?}"));
    }
}

#[test]
fn a_mean_is_clipped_to_bounds_of_its_own() {
    let output = run(&mut policy(&small_spec(Activation::Tanh)), &x(), &DETERMINISTIC);
    // mean.clamp(low, high)
    assert_close(floats(&output.action), &[-1.0, 0.583483578, -1.0, -0.25], "action");
    // normal.log_prob(mean).sum(1)
    assert_close(output.log_prob.as_ref().unwrap(), &[-2.83787706, -2.83787706], "log_prob");
}

#[test]
fn the_value_comes_from_a_branch_of_its_own() {
    let output = run(&mut policy(&small_spec(Activation::Tanh)), &x(), &DETERMINISTIC);
    // mlp(x, torch.tanh, [3], 1, start=1000)
    assert_close(&output.value.unwrap(), &[0.356329929, 0.12823926], "value");
}

#[test]
fn a_squashed_mean_is_rescaled_and_its_density_corrected() {
    let mut squashed = policy(&squashed_spec());
    let output = run(&mut squashed, &x(), &DETERMINISTIC);
    // a = mean.tanh()
    let raw = [-0.956202991, 0.525192755, -0.956603888, -0.392717726];
    assert_close(floats(&output.raw_action), &raw, "raw_action");
    // low + 0.5 * (a + 1) * (high - low)
    let action = [-0.967152243, 1.46584185, -0.967452916, 0.433192558];
    assert_close(floats(&output.action), &action, "action");
    // (normal.log_prob(mean) - torch.log(1 - a**2 + 1e-6)).sum(1)
    assert_close(output.log_prob.as_ref().unwrap(), &[-0.0579801403, -0.20421032], "log_prob");
}

#[test]
fn a_sampled_action_comes_with_its_own_log_density() {
    let output = run(&mut policy(&small_spec(Activation::Tanh)), &x(), &SAMPLED);
    // Drawn here, from seed 7: they must stay what they are, or clients can't repeat their runs.
    let raw = [-3.7952962, -0.95463496, 0.60510164, -2.430341];
    assert_close(floats(&output.raw_action), &raw, "raw_action");
    // normal.log_prob(raw).sum(1)
    assert_close(output.log_prob.as_ref().unwrap(), &[-4.09540566, -5.00744082], "log_prob");
}

#[test]
fn a_squashed_sample_comes_with_its_own_log_density() {
    let output = run(&mut policy(&squashed_spec()), &x(), &SAMPLED);
    // `raw` of the test above, then raw.tanh()
    let squashed = [-0.998990147, -0.74187421, 0.54066983, -0.984628654];
    assert_close(floats(&output.raw_action), &squashed, "raw_action");
    // (normal.log_prob(raw) - torch.log(1 - raw.tanh()**2 + 1e-6)).sum(1)
    assert_close(output.log_prob.as_ref().unwrap(), &[2.90875161, -1.17188793], "log_prob");
}

#[test]
fn categorical_probabilities_and_the_likeliest_action_are_pytorchs() {
    let output = run(&mut policy(&categorical_spec(0)), &x(), &DETERMINISTIC);
    // logits = mlp(x, torch.tanh, [5, 4], 4); logits.softmax(1), logits.argmax(1)
    let probs = [
        [0.030452527, 0.364763832, 0.294212668, 0.310570973],
        [0.0215554679, 0.095575648, 0.774683144, 0.10818574],
    ];
    assert_close(output.probs.as_ref().unwrap(), &probs.concat(), "probs");
    assert_eq!(choices(&output.action), [1, 2]);
    // logits.log_softmax(1) of these two
    assert_close(output.log_prob.as_ref().unwrap(), &[-1.00850517, -0.255301179], "log_prob");
}

#[test]
fn actions_count_from_the_spaces_start() {
    let output = run(&mut policy(&categorical_spec(-3)), &x(), &DETERMINISTIC);
    assert_eq!(choices(&output.action), [-2, -1]);
}

#[test]
fn a_sampled_choice_comes_with_its_own_log_probability() {
    // logits.log_softmax(1)
    let log_probs = [
        [-3.4915863, -1.00850517, -1.22345241, -1.16934283],
        [-3.83712576, -2.34783722, -0.255301179, -2.22390572],
    ];
    let mut policy = policy(&categorical_spec(0));
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let modes = [0, 1].map(|row| Mode::Sample { seed, row });
        let output = run(&mut policy, &x(), &modes);
        let chosen: Vec<usize> = choices(&output.action).iter().map(|a| *a as usize).collect();
        let expected = [log_probs[0][chosen[0]], log_probs[1][chosen[1]]];
        assert_close(output.log_prob.as_ref().unwrap(), &expected, &format!("seed {seed}"));
        seen.extend(chosen);
    }
    assert_eq!(seen, [0, 1, 2, 3].into());
}

#[test]
fn a_large_mean_is_taken_off_in_f64_and_outliers_are_clipped() {
    // import numpy as np
    // obs = (np.float32(1e4) + np.arange(6, dtype=np.float32) / 128).reshape(2, 3)
    // obs[1, 2] = 2e4
    // mean, var = 1e4 + np.array([0.0003, 0.0107, 0.0201]), np.array([1e-4, 2e-4, 3e-4])
    // z = np.clip((obs.astype(np.float64) - mean) / np.sqrt(var + 1e-8), -2.5, 2.5)
    // mlp(torch.tensor(z), torch.tanh, [5, 4], 2)
    let mut observations: Vec<f32> = (0..6u8).map(|k| 1e4 + f32::from(k) / 128.0).collect();
    observations[5] = 2e4;
    let output = run(&mut normalized(DType::F4), &observations, &DETERMINISTIC);
    assert_close(
        floats(&output.raw_action),
        &[-2.50144195, 0.383568372, 1.41011138, -1.67327249],
        "raw_action",
    );
}

#[test]
fn an_f64_space_keeps_its_digits_until_it_is_normalised() {
    // obs = 1e4 + np.arange(6).reshape(2, 3) / 300, which f32 has only in steps of 1 / 1024
    let observations = (0..6u8).map(|k| 1e4 + f64::from(k) / 300.0).collect();
    let mut policy = normalized(DType::F8);
    let output = run_on(&mut policy, Observations::F64(observations), &DETERMINISTIC);
    assert_close(
        floats(&output.raw_action),
        &[-2.26897532, 0.103227641, -2.28416081, 0.510891553],
        "raw_action",
    );
}

#[test]
fn an_f64_space_without_statistics_is_cast() {
    let spec =
        PolicySpec { observation_space: unbounded(DType::F8, 3), ..small_spec(Activation::Tanh) };
    let observations = Observations::F64(x().into_iter().map(f64::from).collect());
    let output = run_on(&mut policy(&spec), observations, &DETERMINISTIC);
    let means = [-1.89959755, 0.583483578, -1.90429785, -0.415009301];
    assert_close(floats(&output.raw_action), &means, "raw_action");
}

#[test]
fn half_precisions_stay_within_their_tolerance() {
    for activation in [Activation::Tanh, Activation::Relu, Activation::Gelu] {
        let spec = small_spec(activation);
        let exact = run(&mut policy(&spec), &x(), &DETERMINISTIC);
        for precision in [Precision::F16, Precision::BF16] {
            let mut rounded = load(&spec, tiny::tensors(&spec), precision);
            let output = run(&mut rounded, &x(), &DETERMINISTIC);
            let pairs = floats(&output.raw_action).iter().zip(floats(&exact.raw_action));
            for (got, exact) in pairs {
                let (off, size) = (f64::from((got - exact).abs()), f64::from(exact.abs()));
                assert!(off <= precision.tolerance() * (1.0 + size), "{precision} {got} {exact}");
            }
            assert_ne!(output.raw_action, exact.raw_action, "{precision} computed in f32");
        }
    }
}

/// `low`, `high` and `log_std` as in the snippet.
fn squashed_spec() -> PolicySpec {
    PolicySpec {
        head: Head::DiagonalGaussian { squash: true, log_std: None },
        postprocess: Postprocess::Rescale,
        ..small_spec(Activation::Tanh)
    }
}

fn categorical_spec(start: i64) -> PolicySpec {
    PolicySpec {
        action_space: Space::Discrete { n: 4, start },
        head: Head::Categorical { masked: false },
        ..small_spec(Activation::Tanh)
    }
}

fn normalized(dtype: DType) -> NeuralPolicy {
    let spec = PolicySpec {
        observation_space: unbounded(dtype, 3),
        normalize: Some(Normalize { epsilon: 1e-8, clip: 2.5, keys: None, clip_inputs: false }),
        ..small_spec(Activation::Tanh)
    };
    let mut tensors = tiny::tensors(&spec);
    let mut put = |name: &str, values: [f64; 3]| {
        tensors.insert(name.into(), Tensor::new(&values, &Device::Cpu).unwrap())
    };
    put("observation.mean", [1e4 + 0.0003, 1e4 + 0.0107, 1e4 + 0.0201]);
    put("observation.var", [1e-4, 2e-4, 3e-4]);
    load(&spec, tensors, Precision::F32)
}

fn x() -> Vec<f32> {
    tiny::wave_values(900, 6).iter().map(|x| 2.0 * x).collect()
}

fn assert_close(got: &[f32], expected: &[f64], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(*got) - expected).abs();
        assert!(off <= 1e-5 + 1e-5 * expected.abs(), "{what}[{i}] is {got}, expected {expected}");
    }
}
