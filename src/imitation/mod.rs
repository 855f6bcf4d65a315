//! Teaching a policy to drive by showing it how.
//!
//! Behaviour cloning of the fleet's [teacher](crate::fleet::driver) with dataset aggregation, Ross,
//! Gordon and Bagnell (2011), "A Reduction of Imitation Learning and Structured Prediction to
//! No-Regret Online Learning" (DAgger): the first round is driven by the teacher, each later one by
//! the student, and all of them are labelled by the teacher, so that the student also learns what
//! to do where only its own mistakes lead. [`demonstrations`] collects, [`student`] learns with a
//! [`network`] behind a [`normaliser`].
//!
//! Everything random comes from [`Options::seed`], so the same options give the same bits on the
//! same machine.

pub mod demonstrations;
pub mod network;
pub mod normaliser;
pub mod student;

use std::collections::HashMap;
use std::f64::consts::PI;

use candle_core::{Device, Result, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use demonstrations::{Demonstrations, Extent};
use student::Student;

/// `log_std` is at least this, a deviation of 0.007: a density must not become a spike.
const MIN_LOG_STD: f64 = -5.0;

/// How to train.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything random comes from.
    pub seed: u64,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Rounds of collecting and learning; with 0 the policy stays as it begins.
    pub rounds: usize,
    /// What is driven in each round.
    pub extent: Extent,
    /// Optimiser steps in each round.
    pub steps: usize,
    /// Rows in each of them.
    pub batch: usize,
    /// Step size of the optimiser at first; falls to zero along half a cosine.
    pub learning_rate: f64,
}

/// How far the training is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Optimiser steps done, from 1.
    pub step: usize,
    /// Optimiser steps in all.
    pub steps: usize,
    /// Loss of the last step: 1 is what a constant answer gets, 0 is perfect.
    pub loss: f32,
}

/// A policy: what a `model.safetensors` holds, and how good it is.
#[derive(Clone, Debug)]
pub struct Trained {
    /// `policy.<i>.weight` (out, in) and `policy.<i>.bias` for hidden layer `i`, `action.weight`
    /// (3, width), `action.bias`, `log_std` (3,), all f32; `observation.mean` and
    /// `observation.var` (DIM,) f64.
    pub tensors: HashMap<String, Tensor>,
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Loss, as in [`Progress`], on roads that were not trained on, where it drove itself.
    pub held_out_loss: f32,
    /// Rows that were collected to learn from.
    pub samples: usize,
}

/// Trains a policy on the CPU; `progress` hears of each optimiser step.
///
/// # Errors
/// What candle reports if it fails to compute; nothing in the options makes it fail.
///
/// # Panics
/// If a size in the options, other than `rounds`, is 0: there would be nothing to learn from.
pub fn train(options: &Options, progress: &mut dyn FnMut(Progress)) -> Result<Trained> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let mut data = Demonstrations::default();
    data.collect(None, options.extent, &mut rng)?;
    let mut student = Student::new(&data, &options.hidden, &mut rng)?;
    let steps = options.rounds * options.steps;
    for step in 0..steps {
        if step > 0 && step % options.steps == 0 {
            data.collect(Some(&student), options.extent, &mut rng)?;
        }
        let rate = options.learning_rate * (0.5 + 0.5 * (PI * step as f64 / steps as f64).cos());
        let loss = student.learn(&data, options.batch, rate, &mut rng)?;
        progress(Progress { step: step + 1, steps, loss });
    }
    finish(&student, options, data.rows(), &mut rng)
}

/// The policy that [`train`] with this seed and default options begins with: the same shapes and
/// the same normaliser, but weights that have learned nothing.
///
/// # Errors
/// As [`train`].
pub fn untrained(seed: u64) -> Result<Trained> {
    let options = Options { seed, rounds: 0, ..Options::default() };
    train(&options, &mut |_| ())
}

impl Default for Options {
    /// About 40 s on one core of an ordinary machine.
    fn default() -> Self {
        Self {
            seed: 0,
            hidden: vec![64, 64],
            rounds: 8,
            extent: Extent { roads: 8, vehicles: 32, steps: 300 },
            steps: 2500,
            batch: 256,
            learning_rate: 3e-3,
        }
    }
}

/// Lets the student drive on further roads, and takes its errors there for the deviation of its
/// actions: the maximum-likelihood estimate for a normal distribution around them.
fn finish(
    student: &Student,
    options: &Options,
    samples: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Trained> {
    let mut held_out = Demonstrations::default();
    held_out.collect(Some(student), options.extent, rng)?;
    let assessment = student.assess(&held_out)?;
    let log_std = assessment.rms.map(|rms| rms.ln().max(MIN_LOG_STD) as f32);
    let mut tensors = student.tensors()?;
    tensors.insert("log_std".into(), Tensor::new(&log_std, &Device::Cpu)?);
    Ok(Trained { tensors, hidden: options.hidden.clone(), held_out_loss: assessment.loss, samples })
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::fleet::observation::DIM;

    #[test]
    fn the_loss_falls_with_training() {
        let (_, losses) = trained(1);
        let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
        let (first, last) = (mean(&losses[..10]), mean(&losses[losses.len() - 10..]));
        assert!(last < 0.7 * first, "{first} {last}");
    }

    #[test]
    fn progress_counts_every_step_of_all_rounds() {
        assert_eq!(trained(1).1.len(), 2 * 80);
    }

    #[test]
    fn same_seed_same_bits() {
        assert_eq!(bits(&trained(1).0), bits(&trained(1).0));
        assert_ne!(bits(&trained(1).0), bits(&trained(2).0));
    }

    #[test]
    fn tensors_have_the_names_shapes_and_types_of_an_artifact() {
        let (trained, _) = trained(1);
        let expected: [(&str, &[usize], DType); 9] = [
            ("action.bias", &[3], DType::F32),
            ("action.weight", &[3, 12], DType::F32),
            ("log_std", &[3], DType::F32),
            ("observation.mean", &[DIM], DType::F64),
            ("observation.var", &[DIM], DType::F64),
            ("policy.0.bias", &[16], DType::F32),
            ("policy.0.weight", &[16, DIM], DType::F32),
            ("policy.1.bias", &[12], DType::F32),
            ("policy.1.weight", &[12, 16], DType::F32),
        ];
        assert_eq!(trained.tensors.len(), expected.len());
        for (name, shape, dtype) in expected {
            let tensor = &trained.tensors[name];
            assert_eq!((tensor.dims(), tensor.dtype()), (shape, dtype), "{name}");
        }
        assert_eq!(trained.hidden, [16, 12]);
    }

    #[test]
    fn training_changes_the_weights_and_leaves_the_normaliser() {
        let untrained = train(&Options { rounds: 0, ..tiny(1) }, &mut |_| ()).unwrap();
        let (trained, _) = trained(1);
        let same = |name| bits_of(&untrained.tensors[name]) == bits_of(&trained.tensors[name]);
        assert!(same("observation.mean") && same("observation.var"));
        assert!(!same("policy.0.weight") && !same("action.weight"));
        assert!(trained.held_out_loss < untrained.held_out_loss);
    }

    #[test]
    fn log_std_has_its_floor() {
        let (trained, _) = trained(1);
        let log_std = trained.tensors["log_std"].to_vec1::<f32>().unwrap();
        assert!(log_std.iter().all(|x| *x >= MIN_LOG_STD as f32 && *x < 0.0));
    }

    fn trained(seed: u64) -> (Trained, Vec<f32>) {
        let mut losses = Vec::new();
        let trained = train(&tiny(seed), &mut |progress| losses.push(progress.loss));
        (trained.unwrap(), losses)
    }

    fn tiny(seed: u64) -> Options {
        Options {
            seed,
            hidden: vec![16, 12],
            rounds: 2,
            extent: Extent { roads: 2, vehicles: 4, steps: 40 },
            steps: 80,
            batch: 32,
            ..Options::default()
        }
    }

    fn bits(trained: &Trained) -> Vec<(String, Vec<u64>)> {
        let mut all: Vec<_> =
            trained.tensors.iter().map(|(n, t)| (n.clone(), bits_of(t))).collect();
        all.sort();
        all
    }

    fn bits_of(tensor: &Tensor) -> Vec<u64> {
        let values = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        values.to_vec1::<f64>().unwrap().iter().map(|x| x.to_bits()).collect()
    }
}
