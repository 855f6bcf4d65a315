//! The promise of the README: on the CPU the same row gives the same bits alone and in any batch,
//! whatever its company and its place; for every kind of layer and head.

use carla_rl::{
    artifact::{Artifact, import::sampled_observations},
    policy::{
        Input, Mode, NeuralPolicy, Output, Policy,
        device::{Device, Precision},
    },
    wire::Observations,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::{importing::import, structure::root};

/// One for each kind of layer and head.
const KINDS: [&str; 16] = [
    "ppo_box",
    "ppo_cnn",
    "ppo_dict_unshared",
    "ppo_gsde_squash",
    "ppo_multibinary",
    "ppo_multidiscrete",
    "ppo_vecnormalize_large_mean",
    "maskable_multidiscrete",
    "rppo_2layers",
    "rppo_nocritic",
    "rppo_shared",
    "qrdqn_7",
    "sac",
    "crossq",
    "td3",
    "old_shared_uneven",
];

/// A row and its company: which of the observations, how many rows, where it stands, and seeds.
#[derive(Clone, Debug)]
struct Company {
    row: usize,
    strangers: Vec<usize>,
    place: usize,
    seed: Option<u64>,
}

#[test]
fn a_row_gives_the_same_bits_alone_and_in_any_company_and_place() {
    for kind in KINDS {
        let subject = Subject::load(kind);
        let rows = subject.rows;
        let company = (
            0..rows,
            proptest::collection::vec(0..rows, 0..40),
            any::<prop::sample::Index>(),
            any::<Option<u64>>(),
        );
        let company = company.prop_map(|(row, strangers, place, seed)| {
            let place = place.index(strangers.len() + 1);
            Company { row, strangers, place, seed }
        });
        let cases = if subject.is_large { 8 } else { 48 };
        let mut runner = TestRunner::new(Config { cases, ..Config::default() });
        let result = runner.run(&company, |company| {
            let alone = subject.run(&[company.row], 0, company.seed);
            let mut together = company.strangers.clone();
            together.insert(company.place, company.row);
            let all = subject.run(&together, company.place, company.seed);
            let among = all.rows(company.place..company.place + 1);
            prop_assert_eq!(bits(&among), bits(&alone));
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{kind}: {error}"));
    }
}

struct Subject {
    policy: std::cell::RefCell<NeuralPolicy>,
    observations: Observations,
    rows: usize,
    /// A forward pass takes long.
    is_large: bool,
}

impl Subject {
    fn load(kind: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let case = root().join("tests/data/policies").join(kind);
        let artifact = Artifact::open(&import(&case, scratch.path()).unwrap()).unwrap();
        let policy = artifact.verify(Device::Cpu, Precision::F32).unwrap().policy;
        let spec = policy.spec().clone();
        let observations = sampled_observations(&spec, &Default::default());
        let rows = observations.len() / spec.observation_space.size();
        let is_large = !spec.network.features.images.is_empty();
        Self { policy: policy.into(), observations, rows, is_large }
    }

    /// The rows in that order; the one at `place` is sampled, if there is a seed. What a row
    /// remembers and which actions it allows belong to the row, wherever it stands.
    fn run(&self, rows: &[usize], place: usize, seed: Option<u64>) -> Output {
        let mut policy = self.policy.borrow_mut();
        let spec = policy.spec().clone();
        let size = spec.observation_space.size();
        let mut observations = Observations::empty(&spec.observation_space);
        for row in rows {
            observations.extend(&self.observations, row * size..(row + 1) * size);
        }
        let mut modes = vec![Mode::Deterministic; rows.len()];
        if let Some(seed) = seed {
            modes[place] = Mode::Sample { seed, row: 3 };
        }
        let own = |size: usize| rows.iter().flat_map(move |row| (0..size).map(move |i| (row, i)));
        let states = spec
            .state_size()
            .map(|size| own(size).map(|(row, i)| ((row * 31 + i) as f32).sin()).collect());
        // A quarter of the rows rules nothing out; alone, or among others like it, such a row comes
        // without a mask.
        let is_masked = |row: usize| !row.is_multiple_of(4);
        let allows = |row: usize, i: usize| {
            !is_masked(row) || !(row + i).is_multiple_of(3) || i.is_multiple_of(3)
        };
        let masked = rows.iter().any(|row| is_masked(*row));
        let masks = spec.mask_size().filter(|_| masked).map(|size| {
            own(size).map(|(row, i): (&usize, usize)| u8::from(allows(*row, i))).collect()
        });
        let input = Input::new(observations, modes, spec.wants());
        let mut output = Output::default();
        policy.forward(&Input { states, masks, ..input }, &mut output).unwrap();
        output
    }
}

/// All numbers of the output, so that 0 and -0 are two.
fn bits(output: &Output) -> Vec<u64> {
    use carla_rl::policy::Actions;
    let actions = |actions: &Actions| match actions {
        Actions::F32(values) => values.iter().map(|x| u64::from(x.to_bits())).collect(),
        Actions::I64(values) => values.iter().map(|x| *x as u64).collect::<Vec<_>>(),
    };
    let optional =
        [&output.value, &output.log_prob, &output.probs, &output.q_values, &output.state];
    let numbers = optional.into_iter().flatten().flatten().map(|x| u64::from(x.to_bits()));
    [actions(&output.action), actions(&output.raw_action), numbers.collect()].concat()
}
