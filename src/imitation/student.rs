//! A network with what it needs to be taught and to drive.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::Rng;

use super::demonstrations::{ACTIONS, Demonstrations, controls};
use super::network::{Network, tensor};
use super::normaliser::Normaliser;
use crate::fleet::Controls;
use crate::fleet::observation::DIM;

/// Little: there is far more data than weights.
const WEIGHT_DECAY: f64 = 1e-4;
/// An action that the teacher hardly varies, by less than this, must not outweigh all others.
const MIN_DEVIATION: f64 = 0.02;
/// Rows that are computed at once outside of training; more only takes memory.
const CHUNK: usize = 512;

/// A policy in training.
pub struct Student {
    network: Network,
    normaliser: Normaliser,
    /// What an error in each action counts: one over the teacher's standard deviation in it.
    weights: [f32; ACTIONS],
    optimiser: AdamW,
}

/// How far a student's actions are from the teacher's.
pub struct Assessment {
    /// Mean squared error, each action in units of the teacher's standard deviation in it: 1 is
    /// what a constant answer gets, 0 is perfect.
    pub loss: f32,
    /// Root mean square error of each action, in the action's unit.
    pub rms: [f64; ACTIONS],
}

impl Student {
    /// One that knows the means and deviations of the first demonstrations, and nothing else.
    ///
    /// They stay from then on: if the scale of its inputs moved, it would have to learn anew.
    pub fn new(first: &Demonstrations, hidden: &[usize], rng: &mut impl Rng) -> Result<Self> {
        let (mean, deviation) = statistics(&first.actions);
        let network = Network::new(DIM, hidden, &mean.map(|m| m as f32), rng)?;
        let parameters = ParamsAdamW { weight_decay: WEIGHT_DECAY, ..ParamsAdamW::default() };
        Ok(Self {
            normaliser: Normaliser::measure(&first.observations),
            weights: deviation.map(|d| (1.0 / d.max(MIN_DEVIATION)) as f32),
            optimiser: AdamW::new(network.variables(), parameters)?,
            network,
        })
    }

    /// One step of AdamW, Loshchilov and Hutter (2019), "Decoupled Weight Decay Regularization",
    /// on `batch` rows drawn at random; returns their loss.
    pub fn learn(
        &mut self,
        from: &Demonstrations,
        batch: usize,
        learning_rate: f64,
        rng: &mut impl Rng,
    ) -> Result<f32> {
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        for row in (0..batch).map(|_| rng.random_range(0..from.rows())) {
            observations.extend_from_slice(&from.observations[row * DIM..][..DIM]);
            actions.extend_from_slice(&from.actions[row * ACTIONS..][..ACTIONS]);
        }
        let errors = (self.forward(&observations)? - tensor(actions, ACTIONS)?)?;
        let weights = Tensor::new(&self.weights, &Device::Cpu)?;
        let loss = errors.broadcast_mul(&weights)?.sqr()?.mean_all()?;
        self.optimiser.set_learning_rate(learning_rate);
        self.optimiser.backward_step(&loss)?;
        loss.to_scalar()
    }

    /// The controls for rows of observations, one after the other.
    pub fn drive(&self, observations: &[f32]) -> Result<Vec<Controls>> {
        Ok(controls(&self.actions(observations)?))
    }

    /// Compares its actions with the teacher's.
    pub fn assess(&self, with: &Demonstrations) -> Result<Assessment> {
        let own = self.actions(&with.observations)?;
        let mut squares = [0.0; ACTIONS];
        for (i, (own, teacher)) in own.iter().zip(&with.actions).enumerate() {
            squares[i % ACTIONS] += f64::from(own - teacher).powi(2) / with.rows() as f64;
        }
        let weighted = squares.iter().zip(self.weights);
        let loss: f64 = weighted.map(|(s, w)| s * f64::from(w).powi(2)).sum();
        Ok(Assessment { loss: (loss / ACTIONS as f64) as f32, rms: squares.map(f64::sqrt) })
    }

    /// The network's weights and the normaliser's statistics by name.
    pub fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let mut tensors = self.network.tensors()?;
        let statistic = |values: &[f64; DIM]| Tensor::new(values, &Device::Cpu);
        tensors.insert("observation.mean".into(), statistic(&self.normaliser.mean)?);
        tensors.insert("observation.var".into(), statistic(&self.normaliser.var)?);
        Ok(tensors)
    }

    fn actions(&self, observations: &[f32]) -> Result<Vec<f32>> {
        let mut actions = Vec::new();
        for rows in observations.chunks(CHUNK * DIM) {
            actions.extend(self.forward(rows)?.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(actions)
    }

    fn forward(&self, observations: &[f32]) -> Result<Tensor> {
        let normal = self.normaliser.apply(observations);
        self.network.forward(&tensor(normal, DIM)?)
    }
}

/// Mean and standard deviation of each action.
fn statistics(actions: &[f32]) -> ([f64; ACTIONS], [f64; ACTIONS]) {
    let count = (actions.len() / ACTIONS) as f64;
    let column = |i: usize| actions.iter().skip(i).step_by(ACTIONS).map(|a| f64::from(*a));
    let mean: [f64; ACTIONS] = std::array::from_fn(|i| column(i).sum::<f64>() / count);
    let deviation = std::array::from_fn(|i| {
        let squares = column(i).map(|a| (a - mean[i]).powi(2));
        (squares.sum::<f64>() / count).sqrt()
    });
    (mean, deviation)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::demonstrations::Extent;
    use super::*;

    #[test]
    fn learning_brings_a_student_closer_to_the_teacher() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let shown = shown(Extent { roads: 2, vehicles: 4, steps: 60 }, &mut rng);
        let mut student = Student::new(&shown, &[16], &mut rng).unwrap();
        let before = student.assess(&shown).unwrap().loss;
        for _ in 0..200 {
            student.learn(&shown, 32, 1e-2, &mut rng).unwrap();
        }
        let after = student.assess(&shown).unwrap();
        assert!(after.loss < 0.5 * before, "{}", after.loss);
        assert!(after.rms.iter().all(|rms| *rms < 1.0));
    }

    #[test]
    fn actions_do_not_depend_on_how_many_rows_are_computed_at_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let shown = shown(Extent { roads: 1, vehicles: 50, steps: 31 }, &mut rng);
        let student = Student::new(&shown, &[16], &mut rng).unwrap();
        let all = student.drive(&shown.observations).unwrap();
        assert!(all.len() > CHUNK);
        for i in [0, CHUNK - 1, CHUNK, all.len() - 1] {
            let one = student.drive(&shown.observations[i * DIM..][..DIM]).unwrap()[0];
            assert!((one.steer - all[i].steer).abs() < 1e-5, "{one:?} {:?}", all[i]);
        }
    }

    fn shown(extent: Extent, rng: &mut ChaCha8Rng) -> Demonstrations {
        let mut shown = Demonstrations::default();
        shown.collect(None, extent, rng).unwrap();
        shown
    }
}
