//! Samples of 20 000 rows against the distributions that they are drawn from, which are PyTorch's.

use super::*;
use crate::{
    policy::spec::Postprocess,
    wire::{DType, Space, space::Bound},
};

const N: usize = 20_000;

/// Means of two actions, and a latent vector.
const MEANS: [f32; 2] = [0.4, -1.1];
const LATENT: [f32; 3] = [0.7, -1.2, 0.05];

#[test]
fn squashed_normal_samples_are_tanh_of_normal_ones() {
    let log_std = gaussian::LogStd::Given { low: -20.0, high: 2.0 };
    let head = DiagonalGaussian { log_std, size: 2, squash: true, bounds: unbounded() };
    let log_stds = [-0.5, 0.3];
    let decided = decided(&ActionHead::Gaussian(head), &sampled(&MEANS, &log_stds).given());
    let raw = floats(&decided.raw_action);
    for (element, (mean, log_std)) in MEANS.iter().zip(log_stds).enumerate() {
        let std = f64::from(log_std).exp();
        let z = raw.iter().skip(element).step_by(2);
        let z = z.map(|a| (f64::from(*a).atanh() - f64::from(*mean)) / std);
        assert_normal(z.collect());
    }
}

#[test]
fn state_dependent_noise_is_normal_with_the_variance_of_its_latent_vector() {
    for squash in [false, true] {
        let deviation = vec![0.5, 0.2, 0.9, 0.4, 0.3, 1.5];
        let bounds = unbounded();
        let head = Gsde { deviation: deviation.clone(), size: 2, squash, clip_mean: None, bounds };
        let decided = decided(&ActionHead::Gsde(head), &sampled(&MEANS, &LATENT).given());
        let raw = floats(&decided.raw_action);
        for (element, mean) in MEANS.iter().enumerate() {
            let terms = LATENT.iter().zip(deviation.iter().skip(element).step_by(2));
            let variance: f64 = terms.map(|(x, std)| (f64::from(*x) * std).powi(2)).sum();
            let z = raw.iter().skip(element).step_by(2).map(|a| {
                let gaussian = if squash { f64::from(*a).atanh() } else { f64::from(*a) };
                (gaussian - f64::from(*mean)) / variance.sqrt()
            });
            assert_normal(z.collect());
        }
    }
}

#[test]
fn a_seed_that_is_kept_keeps_the_noise_a_linear_map_of_the_latent_vector() {
    let deviation = vec![0.5, 0.2, 0.9, 0.4, 0.3, 1.5];
    let head = Gsde { deviation, size: 2, squash: false, clip_mean: None, bounds: unbounded() };
    let head = ActionHead::Gsde(head);
    let noise = |latent: [f32; 3]| {
        let asked = once(&[0.0; 2], &latent, Mode::Sample { seed: 5, row: 2 });
        floats(&decided(&head, &asked.given()).raw_action).to_vec()
    };
    let (a, b, both) = (noise([1.0, 0.0, 0.0]), noise([0.0, 2.0, 0.0]), noise([1.0, 2.0, 0.0]));
    for element in 0..2 {
        assert!((a[element] + b[element] - both[element]).abs() < 1e-6);
    }
}

#[test]
fn a_mean_is_clipped_before_noise_comes_to_it() {
    let bounds = unbounded();
    let deviation = vec![0.1; 3];
    let head = Gsde { deviation, size: 1, squash: true, clip_mean: Some(2.0), bounds };
    let asked = once(&[7.0], &LATENT, Mode::Deterministic);
    let decided = decided(&ActionHead::Gsde(head), &asked.given());
    assert_eq!(floats(&decided.raw_action), [2.0f64.tanh() as f32]);
}

#[test]
fn bits_are_drawn_by_their_probabilities_and_independently() {
    let logits = [0.4, -1.3];
    let head = ActionHead::Bernoulli(Bernoulli { size: 2 });
    let decided = decided(&head, &sampled(&logits, &[]).given());
    let bits = floats(&decided.raw_action);
    let p = logits.map(|x: f32| 1.0 / (1.0 + f64::from(-x).exp()));
    let expected =
        [(1.0 - p[0]) * (1.0 - p[1]), p[0] * (1.0 - p[1]), (1.0 - p[0]) * p[1], p[0] * p[1]];
    let classes = bits.chunks(2).map(|bits| bits[0] as usize + 2 * bits[1] as usize);
    assert_shares(classes, &expected);
}

#[test]
fn each_element_of_several_choices_follows_its_own_probabilities() {
    let head = Categorical { choices: vec![2, 3], start: 0, bits: false };
    let probs = [[0.3, 0.7, 0.0], [0.2, 0.3, 0.5]];
    let logits = [0.3f32, 0.7, 0.2, 0.3, 0.5].map(f32::ln);
    let decided = decided(&ActionHead::Categorical(head), &sampled(&logits, &[]).given());
    let Actions::I64(chosen) = &decided.raw_action else { panic!("no choices") };
    let expected: Vec<f64> =
        (0..6).map(|class| probs[0][class % 2] * probs[1][class / 2]).collect();
    assert_shares(chosen.chunks(2).map(|pair| (pair[0] + 2 * pair[1]) as usize), &expected);
}

#[test]
fn what_a_mask_leaves_keeps_its_proportions() {
    let head = Categorical { choices: vec![4], start: 0, bits: false };
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    let masks = [1, 0, 1, 1].repeat(N);
    let asked = sampled(&logits, &[]);
    let given = Given { masks: Some(&masks), ..asked.given() };
    let decided = decided(&ActionHead::Categorical(head), &given);
    let Actions::I64(chosen) = decided.raw_action else { panic!("no choices") };
    let expected = [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0];
    assert_shares(chosen.iter().map(|action| [0, 3, 1, 2][*action as usize]), &expected);
}

#[test]
fn an_action_to_evaluate_gets_the_log_prob_that_its_draw_had() {
    let heads = [
        ActionHead::Gaussian(DiagonalGaussian {
            log_std: gaussian::LogStd::Fixed(vec![-0.5, 0.3]),
            size: 2,
            squash: true,
            bounds: unbounded(),
        }),
        ActionHead::Gsde(Gsde {
            deviation: vec![0.5, 0.2, 0.9, 0.4, 0.3, 1.5],
            size: 2,
            squash: true,
            clip_mean: None,
            bounds: unbounded(),
        }),
        ActionHead::Bernoulli(Bernoulli { size: 2 }),
        ActionHead::Categorical(Categorical { choices: vec![2], start: 4, bits: false }),
    ];
    let asked = sampled(&MEANS, &LATENT);
    let modes = [Mode::Deterministic; N];
    for head in heads {
        let drawn = decided(&head, &asked.given());
        let raw_actions = Some(&drawn.raw_action);
        let evaluated = decided(&head, &Given { raw_actions, modes: &modes, ..asked.given() });
        assert_eq!(evaluated.raw_action, drawn.raw_action);
        assert_eq!(evaluated.log_prob, drawn.log_prob);
    }
}

/// Rows that a head is given.
struct Asked {
    outputs: Vec<f32>,
    more: Vec<f32>,
    modes: Vec<Mode>,
}

impl Asked {
    fn given(&self) -> Given<'_> {
        let Self { outputs, more, modes } = self;
        Given { outputs, more, masks: None, raw_actions: None, first: 0, modes }
    }
}

/// The same row, sampled [`N`] times.
fn sampled(outputs: &[f32], more: &[f32]) -> Asked {
    let modes = (0..N as u64).map(|row| Mode::Sample { seed: 9, row }).collect();
    Asked { outputs: outputs.repeat(N), more: more.repeat(N), modes }
}

fn once(outputs: &[f32], more: &[f32], mode: Mode) -> Asked {
    Asked { outputs: outputs.to_vec(), more: more.to_vec(), modes: vec![mode] }
}

fn unbounded() -> Bounds {
    let (low, high) = (Bound::Uniform(f64::NEG_INFINITY), Bound::Uniform(f64::INFINITY));
    let space = Space::Box { dtype: DType::F4, shape: vec![2], low, high };
    Bounds::new(&space, Postprocess::None)
}

fn floats(actions: &Actions) -> &[f32] {
    match actions {
        Actions::F32(values) => values,
        Actions::I64(_) => panic!("choices"),
    }
}

/// Kolmogorov and Smirnov's test at one in a thousand: 1.95 / sqrt(n).
fn assert_normal(mut z: Vec<f64>) {
    z.sort_by(f64::total_cmp);
    let n = z.len() as f64;
    let off = |(i, z): (usize, &f64)| {
        let cumulative = normal_cdf(*z);
        (cumulative - i as f64 / n).abs().max((cumulative - (i + 1) as f64 / n).abs())
    };
    let statistic = z.iter().enumerate().map(off).fold(0.0, f64::max);
    assert!(statistic < 1.95 / n.sqrt(), "{statistic}");
}

fn normal_cdf(z: f64) -> f64 {
    0.5 * (1.0 + candle_core::cpu::erf::erf_f64(z * std::f64::consts::FRAC_1_SQRT_2))
}

/// Pearson's chi-square test at one in a thousand.
fn assert_shares(classes: impl Iterator<Item = usize>, expected: &[f64]) {
    let mut counts = vec![0.0; expected.len()];
    for class in classes {
        counts[class] += 1.0;
    }
    let terms = counts.iter().zip(expected).map(|(count, p)| {
        let expected = p * N as f64;
        (count - expected) * (count - expected) / expected
    });
    let statistic: f64 = terms.sum();
    let critical = [10.83, 13.82, 16.27, 18.47, 20.52][expected.len() - 2];
    assert!(statistic < critical, "chi-square {statistic}: {counts:?}");
}
