//! The forward pass by kind of policy and rows of a batch, and beside it the most that a core can
//! multiply and add: what share of that a policy reaches is what there is left to gain.

use std::{collections::BTreeMap, hint::black_box, path::Path, str::FromStr};

use carla_rl::{
    artifact::Artifact,
    policy::{
        Input, Mode, NeuralPolicy, Output, Policy, PolicySpec, Weights,
        device::{Device, Precision},
        spec::{
            Activation, Convolution, Features, Head, IMAGE, ImageNetwork, Lstm, NetworkSpec,
            Postprocess, ValueMemory,
        },
        threads::Threads,
    },
    wire::{DType, Observations, Space, Wants, space::Bound},
};
use criterion::{BenchmarkId, Criterion, Throughput};
use pulp::{Arch, Simd, WithSimd};

use crate::waves;

const ROWS: [usize; 7] = [1, 4, 8, 16, 32, 64, 256];

pub fn benches(criterion: &mut Criterion) {
    fma_peak(criterion);
    let mut example = example();
    forward(criterion, "example", &mut example);
    for (name, spec) in [("mlp", mlp()), ("cnn", cnn()), ("lstm", lstm())] {
        forward(criterion, name, &mut made(&spec));
    }
    // As `model.threads` spreads it by default.
    let mut spread = made(&cnn());
    spread.spread(Threads::Auto).expect("there are threads");
    forward(criterion, "cnn_spread", &mut spread);
}

/// The example artifact, on the device and in the precision that the environment names.
pub fn example() -> NeuralPolicy {
    // The compute core looks for the number of cores at each product unless it is told one.
    // `make bench` tells it, as the program itself does at its start.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("artifacts/lane-keeping/0.1.0");
    let artifact = Artifact::open(&folder).expect("the example is there");
    artifact.verify(device(), precision()).expect("the example is sound on this device").policy
}

/// A policy of that kind, with numbers from a formula for weights.
fn made(spec: &PolicySpec) -> NeuralPolicy {
    spec.check().expect("the spec is sound");
    // Small enough that nothing saturates or overflows.
    let tensors = waves::tensors(spec).into_iter();
    let tensors = tensors.map(|(name, wave)| (name, (wave * 0.05).expect("a product")));
    let bytes = safetensors::serialize(tensors, None).expect("it can be written");
    let weights = Weights::parse(&bytes).expect("it can be read");
    let device = device().open().expect("the device is there");
    NeuralPolicy::load(spec, weights, &device, precision()).expect("the weights fit the spec")
}

fn device() -> Device {
    chosen("MODEL_DEVICE", Device::Cpu)
}

fn precision() -> Precision {
    chosen("MODEL_PRECISION", Precision::F32)
}

/// What the variable names, as it does for a worker.
fn chosen<T: FromStr<Err = String>>(variable: &str, default: T) -> T {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a known name"))
}

/// 64 numbers, two layers of 256, two outputs: 165 kFLOP a row.
fn mlp() -> PolicySpec {
    spec(boxed(64), NetworkSpec::mlp(Activation::Tanh, vec![256, 256], None))
}

/// The network for Atari games (Mnih et al. 2015) over four frames of 84 x 84 bytes: 18.7 MFLOP.
fn cnn() -> PolicySpec {
    let convolution =
        |(channels, kernel, stride)| Convolution { channels, kernel, stride, padding: 0 };
    let convolutions = [(32, 8, 4), (64, 4, 2), (64, 3, 1)].map(convolution).to_vec();
    let network = ImageNetwork { convolutions, width: 512 };
    let images = BTreeMap::from([(IMAGE.to_string(), network)]);
    let features = Features { scale_images: true, images };
    let (low, high) = (Bound::Uniform(0.0), Bound::Uniform(255.0));
    let image = Space::Box { dtype: DType::U1, shape: vec![4, 84, 84], low, high };
    spec(image, NetworkSpec { features, ..NetworkSpec::mlp(Activation::Relu, vec![], None) })
}

/// 64 numbers, one LSTM of 256, two outputs: 0.66 MFLOP.
fn lstm() -> PolicySpec {
    let lstm = Some(Lstm { size: 256, layers: 1, value: ValueMemory::Shared });
    spec(boxed(64), NetworkSpec { lstm, ..NetworkSpec::mlp(Activation::Tanh, vec![], None) })
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

fn forward(criterion: &mut Criterion, name: &str, policy: &mut NeuralPolicy) {
    let mut group = criterion.benchmark_group(format!("forward/{name}"));
    for rows in ROWS {
        let input = input(policy.spec(), rows);
        group.throughput(Throughput::Elements(rows as u64));
        group.bench_with_input(BenchmarkId::from_parameter(rows), &input, |bencher, input| {
            let mut output = Output::default();
            bencher.iter(|| {
                let done = policy.forward(black_box(input), &mut output);
                done.expect("the forward pass succeeds");
            });
        });
    }
    group.finish();
}

fn input(spec: &PolicySpec, rows: usize) -> Input {
    let values = waves::wave_values(900, rows * spec.observation_space.size());
    let mut observations = Observations::empty(&spec.observation_space);
    let all = 0..values.len();
    observations.extend(&Observations::F32(values.iter().map(|x| x.abs()).collect()), all);
    let states = spec.state_size().map(|size| waves::wave_values(300, rows * size));
    let input = Input::new(observations, vec![Mode::Deterministic; rows], Wants::default());
    Input { states, ..input }
}

/// Fused multiplications and additions in twelve chains of vectors, which no memory holds up.
fn fma_peak(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fma_peak");
    group.throughput(Throughput::Elements(Arch::new().dispatch(Chains { steps: STEPS }).0));
    group.bench_function("flop", |bencher| {
        bencher.iter(|| Arch::new().dispatch(Chains { steps: black_box(STEPS) }));
    });
    group.finish();
}

const STEPS: usize = 10_000;

struct Chains {
    steps: usize,
}

impl WithSimd for Chains {
    /// The floating-point operations, and a number that depends on all of them.
    type Output = (u64, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (u64, f32) {
        const CHAINS: usize = 12;
        let mut sums = [simd.splat_f32s(1.0); CHAINS];
        let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        for _ in 0..self.steps {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, term);
            }
        }
        let mut all = 0.0;
        for sum in sums {
            all += simd.reduce_sum_f32s(sum);
        }
        ((2 * CHAINS * S::F32_LANES * self.steps) as u64, all)
    }
}
