//! The action of the highest value, as in DQN (Mnih et al. 2015) and QR-DQN (Dabney et al. 2018).

use super::{Given, first_maximum};
use crate::policy::{Mode, Output, draw::Draw};

pub struct QValues {
    pub actions: usize,
    /// The number of the first action.
    pub start: i64,
    /// Outputs for each action; all actions of the first quantile come first.
    pub quantiles: usize,
    /// The share of samples that are drawn from all actions alike.
    pub rate: f64,
}

impl QValues {
    /// A sample tosses a coin of its own for each row, where Stable-Baselines3 tosses one for all
    /// rows of a call: so its seed and row alone decide it.
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let size = self.actions * self.quantiles;
        let mut means = Vec::with_capacity(self.actions);
        for (outputs, mode) in given.outputs.chunks_exact(size).zip(given.modes) {
            means.clear();
            means.extend((0..self.actions).map(|action| self.mean(outputs, action)));
            let explored = self.explore(*mode);
            let chosen = self.start + explored.unwrap_or_else(|| first_maximum(&means)) as i64;
            output.raw_action.choices_mut().push(chosen);
            output.action.choices_mut().push(chosen);
            if let Some(q_values) = &mut output.q_values {
                q_values.extend_from_slice(&means);
            }
        }
    }

    fn mean(&self, outputs: &[f32], action: usize) -> f32 {
        if self.quantiles == 1 {
            return outputs[action];
        }
        let quantiles = outputs.iter().skip(action).step_by(self.actions);
        (quantiles.map(|x| f64::from(*x)).sum::<f64>() / self.quantiles as f64) as f32
    }

    fn explore(&self, mode: Mode) -> Option<usize> {
        let Mode::Sample { seed, row } = mode else { return None };
        let mut draw = Draw::new(seed, row);
        (draw.uniform() < self.rate).then(|| (draw.uniform() * self.actions as f64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn samples_explore_as_often_as_they_should_and_reach_every_action() {
        let head = QValues { actions: 4, start: 0, quantiles: 1, rate: 0.2 };
        let n = 20_000u64;
        let modes: Vec<Mode> = (0..n).map(|row| Mode::Sample { seed: 3, row }).collect();
        let outputs = [0.0, 7.0, 1.0, 2.0].repeat(n as usize);
        let decided = decided(
            &ActionHead::QValues(head),
            &Given {
                outputs: &outputs,
                more: &[],
                masks: None,
                raw_actions: None,
                first: 0,
                modes: &modes,
            },
        );
        let Actions::I64(actions) = decided.action else { panic!("no discrete actions") };
        for (action, probability) in [(0, 0.05), (1, 0.85), (2, 0.05), (3, 0.05)] {
            let share = actions.iter().filter(|a| **a == action).count() as f64 / n as f64;
            let standard_error = f64::sqrt(probability * (1.0 - probability) / n as f64);
            assert!((share - probability).abs() < 4.0 * standard_error, "{action}: {share}");
        }
    }

    #[test]
    fn the_mean_of_the_quantiles_counts() {
        let head = QValues { actions: 2, start: 0, quantiles: 3, rate: 0.0 };
        let outputs = [1.0, 0.0, 1.0, 0.0, 1.0, 6.0];
        let modes = [Mode::Deterministic];
        let decided = decided(
            &ActionHead::QValues(head),
            &Given {
                outputs: &outputs,
                more: &[],
                masks: None,
                raw_actions: None,
                first: 0,
                modes: &modes,
            },
        );
        assert_eq!(decided.q_values, Some(vec![1.0, 2.0]));
        assert_eq!(decided.action, Actions::I64(vec![1]));
    }
}
