//! Samples follow their distribution, and their seed alone.

use super::*;

#[test]
fn a_seeded_row_is_the_same_whatever_its_batch_mates_and_their_order() {
    for spec in [small_spec(Activation::Tanh), categorical_spec()] {
        let mut policy = policy(&spec);
        let observations = tiny::wave_values(900, 12);
        let modes = [(7, 0), (7, 1), (8, 0)].map(|(seed, row)| Mode::Sample { seed, row });
        let modes = [modes[0], modes[1], modes[2], Mode::Deterministic];
        let together = run(&mut policy, &observations, &modes);
        for order in [[3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]] {
            let shuffled: Vec<f32> =
                order.iter().flat_map(|row| observations[3 * row..3 * row + 3].to_vec()).collect();
            let output = run(&mut policy, &shuffled, &order.map(|row| modes[row]));
            for (at, row) in order.into_iter().enumerate() {
                assert_eq!(output.rows(at..at + 1), together.rows(row..row + 1), "{order:?} {row}");
            }
        }
        for (row, mode) in modes.into_iter().enumerate() {
            let alone = run(&mut policy, &observations[3 * row..3 * row + 3], &[mode]);
            assert_eq!(alone, together.rows(row..row + 1), "row {row} alone");
        }
    }
}

#[test]
fn equal_observations_in_one_request_are_drawn_apart() {
    let mut policy = policy(&small_spec(Activation::Tanh));
    let modes = [0, 1].map(|row| Mode::Sample { seed: 7, row });
    let output = run(&mut policy, &[0.5; 6], &modes);
    let [a, b, c, d] = floats(&output.raw_action) else { panic!("not two rows of two") };
    assert!(a != c && b != d, "{:?}", output.raw_action);
}

#[test]
fn continuous_samples_are_normal_and_their_elements_independent() {
    let spec = small_spec(Activation::Tanh);
    let mut policy = policy(&spec);
    let mean = run(&mut policy, &[0.5; 3], &[Mode::Deterministic]);
    // Clients count seeds upwards and ask for one row.
    let modes: Vec<_> = (0..N as u64).map(|seed| Mode::Sample { seed, row: 0 }).collect();
    let output = run(&mut policy, &[0.5; 3 * N], &modes);
    let deviations = tiny::wave_values(800, 2);
    let z = |element: usize| -> Vec<f64> {
        let (mean, log_std) = (floats(&mean.raw_action)[element], deviations[element]);
        let raw = floats(&output.raw_action).iter().skip(element).step_by(2);
        raw.map(|raw| f64::from((raw - mean) / log_std.exp())).collect()
    };
    let (first, second) = (z(0), z(1));
    for z in [&first, &second] {
        assert_fits(&shares(z, decile), &[0.1; 10]);
    }
    let correlation = first.iter().zip(&second).map(|(a, b)| a * b).sum::<f64>() / N as f64;
    // Four standard errors.
    assert!(correlation.abs() < 4.0 / (N as f64).sqrt(), "correlation {correlation}");
}

#[test]
fn chosen_actions_follow_their_probabilities_over_seeds() {
    let mut policy = policy(&categorical_spec());
    let modes: Vec<_> = (0..N as u64).map(|seed| Mode::Sample { seed, row: 0 }).collect();
    let output = run(&mut policy, &[0.5; 3 * N], &modes);
    let probs = &output.probs.as_ref().unwrap()[..4];
    let expected: Vec<f64> = probs.iter().map(|p| f64::from(*p)).collect();
    assert_fits(&shares(choices(&output.action), |action| *action as usize), &expected);
}

const N: usize = 20_000;

fn categorical_spec() -> PolicySpec {
    PolicySpec {
        action_space: Space::Discrete { n: 4, start: 0 },
        head: Head::Categorical { masked: false },
        ..small_spec(Activation::Tanh)
    }
}

/// Which tenth of the standard normal distribution `z` falls into.
fn decile(z: &f64) -> usize {
    const BOUNDS: [f64; 9] =
        [-1.281552, -0.841621, -0.524401, -0.253347, 0.0, 0.253347, 0.524401, 0.841621, 1.281552];
    BOUNDS.iter().filter(|bound| z > bound).count()
}

fn shares<T>(values: &[T], class: impl Fn(&T) -> usize) -> Vec<f64> {
    let mut counts = vec![0.0; 10];
    for value in values {
        counts[class(value)] += 1.0 / values.len() as f64;
    }
    counts
}

/// Pearson's chi-square test of `N` draws, at one in a thousand: 27.88 with nine degrees of
/// freedom, and less with fewer.
fn assert_fits(shares: &[f64], expected: &[f64]) {
    assert!(shares[expected.len()..].iter().all(|share| *share == 0.0), "{shares:?}");
    let terms = shares.iter().zip(expected).map(|(share, p)| (share - p).powi(2) / p);
    let statistic = N as f64 * terms.sum::<f64>();
    let critical = [10.83, 13.82, 16.27, 18.47, 20.52, 22.46, 24.32, 26.12, 27.88];
    assert!(statistic < critical[expected.len() - 2], "chi-square {statistic}: {shares:?}");
}
