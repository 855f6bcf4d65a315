//! Rows never influence each other.

use super::*;

/// Wide enough that the matrix kernel works in blocks.
fn wide_spec(head: Head) -> PolicySpec {
    let action_space = match head {
        Head::Categorical { masked: false } => Space::Discrete { n: 5, start: 0 },
        _ => {
            let (low, high) = (Bound::Uniform(-1.0), Bound::Uniform(1.0));
            Space::Box { dtype: DType::F4, shape: vec![2], low, high }
        }
    };
    let network = NetworkSpec::mlp(Activation::Tanh, vec![256, 256], Some(vec![64, 64]));
    let observation_space = unbounded(DType::F4, 25);
    let postprocess = Postprocess::Clip;
    PolicySpec { observation_space, action_space, normalize: None, network, head, postprocess }
}

/// Scaled down: at full size, the waves would saturate every unit, and differences vanish there.
fn wide_policy(head: Head, precision: Precision) -> NeuralPolicy {
    let spec = wide_spec(head);
    let scaled = |(name, tensor): (String, Tensor)| (name, (tensor * 0.1).unwrap());
    load(&spec, tiny::tensors(&spec).into_iter().map(scaled).collect(), precision)
}

#[test]
fn a_row_alone_gives_what_it_gives_among_strangers() {
    for head in [
        Head::DiagonalGaussian { squash: false, log_std: None },
        Head::Categorical { masked: false },
    ] {
        let mut policy = wide_policy(head, Precision::F32);
        let row = tiny::wave_values(5000, 25);
        let mode = Mode::Sample { seed: 3, row: 17 };
        let alone = run(&mut policy, &row, &[mode]);
        for batch in [2, 3, 8, 64, 1000] {
            for at in [0, batch / 2, batch - 1] {
                let mut observations = tiny::wave_values(9000, 25 * batch);
                observations[25 * at..25 * (at + 1)].copy_from_slice(&row);
                let mut modes = vec![Mode::Deterministic; batch];
                modes[at] = mode;
                let among = run(&mut policy, &observations, &modes).rows(at..at + 1);
                assert_eq!(among, alone, "row {at} of {batch}");
            }
        }
    }
}

#[test]
fn in_half_precision_too_a_row_gives_the_same_alone_and_among_strangers() {
    for precision in [Precision::F16, Precision::BF16] {
        let mut policy =
            wide_policy(Head::DiagonalGaussian { squash: false, log_std: None }, precision);
        let rows = tiny::wave_values(5000, 25 * 8);
        let together = run(&mut policy, &rows, &[Mode::Deterministic; 8]);
        for (i, row) in rows.chunks_exact(25).enumerate() {
            let alone = run(&mut policy, row, &[Mode::Deterministic]);
            assert_eq!(together.rows(i..i + 1), alone, "row {i} in {precision}");
        }
    }
}

#[test]
fn a_row_that_is_no_number_spoils_only_itself() {
    for activation in ACTIVATIONS {
        for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut policy = policy(&small_spec(activation));
            let modes = [Mode::Deterministic; 3];
            let clean = run(&mut policy, &tiny::wave_values(900, 9), &modes);
            let mut observations = tiny::wave_values(900, 9);
            observations[4] = poison;
            let output = run(&mut policy, &observations, &modes);
            assert_eq!(output.sound, [true, false, true], "{activation:?} {poison}");
            for row in [0, 2] {
                let rows = row..row + 1;
                assert_eq!(output.rows(rows.clone()), clean.rows(rows), "{activation:?} {poison}");
            }
        }
    }
}

const ACTIVATIONS: [Activation; 7] = [
    Activation::Tanh,
    Activation::Relu,
    Activation::Elu,
    Activation::LeakyRelu,
    Activation::Gelu,
    Activation::Silu,
    Activation::Sigmoid,
];

#[test]
fn an_overflow_inside_the_network_is_not_hidden_by_an_activation() {
    // Two hidden units of opposite infinities: the next layer's are no numbers, and would be 0 if
    // the activation took them for that.
    for activation in [Activation::Relu, Activation::LeakyRelu] {
        let spec = PolicySpec {
            network: NetworkSpec::mlp(activation, vec![2, 1], None),
            ..small_spec(activation)
        };
        let mut tensors = tiny::tensors(&spec);
        tensors.insert(
            "policy.0.weight".into(),
            (tensors["policy.0.weight"].ones_like().unwrap() * 3e4).unwrap(),
        );
        tensors
            .insert("policy.1.weight".into(), Tensor::new(&[[1f32, -1.0]], &Device::Cpu).unwrap());
        for (precision, element) in [(Precision::F32, 2e34), (Precision::F16, 3.0)] {
            let mut policy = load(&spec, tensors.clone(), precision);
            let output = run(&mut policy, &[element; 3], &[Mode::Deterministic]);
            assert_eq!(output.sound, [false], "{activation:?} {precision} {output:?}");
        }
    }
}

#[test]
fn threads_change_no_bit_of_a_row_and_not_their_order() {
    let spec = wide_spec(Head::DiagonalGaussian { squash: false, log_std: None });
    let observations = tiny::wave_values(9000, 25 * 301);
    let modes: Vec<Mode> = (0..301).map(|row| Mode::Sample { seed: 9, row }).collect();
    let alone = run(&mut policy(&spec), &observations, &modes);
    for threads in [2, 3, 7] {
        let mut policy = policy(&spec);
        policy.spread(Threads::Count(threads.try_into().unwrap())).unwrap();
        for _ in 0..2 {
            assert_eq!(run(&mut policy, &observations, &modes), alone, "{threads} threads");
        }
    }
}

#[test]
fn rows_that_are_evaluated_keep_their_actions_in_every_share() {
    let mut policy = policy(&wide_spec(Head::DiagonalGaussian { squash: false, log_std: None }));
    let observations = Observations::F32(tiny::wave_values(9000, 25 * 130));
    let wants = policy.spec().wants();
    let raw = Actions::F32(tiny::wave_values(70, 2 * 130));
    let input = Input::new(observations, vec![Mode::Deterministic; 130], wants);
    let mut output = Output::default();
    policy.forward(&Input { raw_actions: Some(raw.clone()), ..input }, &mut output).unwrap();
    assert_eq!(output.raw_action, raw);
}
