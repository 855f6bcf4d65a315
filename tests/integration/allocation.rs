//! A forward pass that is not the first asks the system for no memory.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    collections::BTreeMap,
};

use candle_core::Device;
use carla_rl::{
    policy::{
        Input, Mode, NeuralPolicy, Output, Policy, PolicySpec, Weights,
        device::Precision,
        spec::{
            Activation, Convolution, Features, Head, IMAGE, ImageNetwork, Lstm, NetworkSpec,
            Postprocess, ValueMemory,
        },
    },
    wire::{DType, Observations, Space, space::Bound},
};

use crate::waves;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts what each thread asks for.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: all calls go on to the system's allocator as they came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps to what the trait asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn a_policy_of_fully_connected_layers_computes_in_memory_that_it_has() {
    let network = NetworkSpec::mlp(Activation::Tanh, vec![96, 40], Some(vec![64]));
    assert_allocates_nothing(&spec(boxed(21), network));
}

#[test]
fn a_policy_of_convolutions_computes_in_memory_that_it_has() {
    let convolutions = [(5, 4, 2, 1), (9, 3, 1, 0)].map(|(channels, kernel, stride, padding)| {
        Convolution { channels, kernel, stride, padding }
    });
    let image = ImageNetwork { convolutions: convolutions.to_vec(), width: 33 };
    let images = BTreeMap::from([(IMAGE.to_string(), image)]);
    let features = Features { scale_images: true, images };
    let (low, high) = (Bound::Uniform(0.0), Bound::Uniform(255.0));
    let space = Space::Box { dtype: DType::U1, shape: vec![3, 17, 19], low, high };
    let network = NetworkSpec::mlp(Activation::Relu, vec![16], Some(vec![]));
    assert_allocates_nothing(&spec(space, NetworkSpec { features, ..network }));
}

#[test]
fn a_policy_with_a_memory_computes_in_memory_that_it_has() {
    for value in [ValueMemory::Own, ValueMemory::Shared, ValueMemory::Linear] {
        let lstm = Some(Lstm { size: 24, layers: 2, value });
        let network = NetworkSpec::mlp(Activation::Elu, vec![16], Some(vec![8]));
        let shared = vec![20];
        assert_allocates_nothing(&spec(boxed(12), NetworkSpec { lstm, shared, ..network }));
    }
}

/// Behind two passes of the largest batch, passes of all sizes ask for nothing: the network, the
/// head, and the output.
fn assert_allocates_nothing(spec: &PolicySpec) {
    spec.check().unwrap();
    let bytes = safetensors::serialize(waves::tensors(spec), None).unwrap();
    let weights = Weights::parse(&bytes).unwrap();
    let mut policy = NeuralPolicy::load(spec, weights, &Device::Cpu, Precision::F32).unwrap();
    let mut output = Output::default();
    for _ in 0..2 {
        policy.forward(&input(spec, 100), &mut output).unwrap();
    }
    for rows in [100, 1, 7, 48, 64, 99, 100] {
        let input = input(spec, rows);
        let before = ALLOCATIONS.get();
        policy.forward(&input, &mut output).unwrap();
        assert_eq!(ALLOCATIONS.get() - before, 0, "{rows} rows");
        assert_eq!(output.sound.len(), rows);
    }
}

fn input(spec: &PolicySpec, rows: usize) -> Input {
    let values = waves::wave_values(900, rows * spec.observation_space.size());
    let mut observations = Observations::empty(&spec.observation_space);
    let all = 0..values.len();
    observations.extend(&Observations::F32(values.iter().map(|x| x.abs()).collect()), all);
    let modes = (0..rows as u64).map(|row| match row % 2 {
        0 => Mode::Deterministic,
        _ => Mode::Sample { seed: 3, row },
    });
    let states = spec.state_size().map(|size| waves::wave_values(300, rows * size));
    Input { states, ..Input::new(observations, modes.collect(), spec.wants()) }
}

fn spec(observation_space: Space, network: NetworkSpec) -> PolicySpec {
    PolicySpec {
        observation_space,
        action_space: boxed(2),
        normalize: None,
        network,
        head: Head::DiagonalGaussian { squash: false, log_std: None },
        postprocess: Postprocess::Clip,
    }
}

fn boxed(size: usize) -> Space {
    let (low, high) = (Bound::Uniform(-1.0), Bound::Uniform(1.0));
    Space::Box { dtype: DType::F4, shape: vec![size], low, high }
}
