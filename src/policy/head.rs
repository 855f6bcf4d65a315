//! Action distributions: from the network's numbers of one row to an action and its log-prob.

use super::{Actions, Mode, draw::Draw, postprocess::Bounds};

/// What a head gives for all rows of a batch.
pub struct Decided {
    pub action: Actions,
    pub raw_action: Actions,
    pub log_prob: Vec<f32>,
    pub probs: Option<Vec<f32>>,
    pub sound: Vec<bool>,
}

pub enum ActionHead {
    Gaussian(DiagonalGaussian),
    Categorical(Categorical),
}

impl ActionHead {
    /// `outputs`: the network's numbers, row-major, one row for each mode.
    pub fn decide(&self, outputs: &[f32], modes: &[Mode]) -> Decided {
        match self {
            ActionHead::Gaussian(head) => head.decide(outputs, modes),
            ActionHead::Categorical(head) => head.decide(outputs, modes),
        }
    }
}

/// Independent normal distributions around the network's means.
pub struct DiagonalGaussian {
    pub log_std: Vec<f64>,
    pub squash: bool,
    pub bounds: Bounds,
}

impl DiagonalGaussian {
    fn decide(&self, means: &[f32], modes: &[Mode]) -> Decided {
        let mut raw_action = Vec::with_capacity(means.len());
        let mut log_prob = Vec::with_capacity(modes.len());
        for (mean, mode) in means.chunks_exact(self.log_std.len()).zip(modes) {
            log_prob.push(self.decide_row(mean, *mode, &mut raw_action) as f32);
        }
        let size = self.log_std.len();
        let apply = |(i, raw): (usize, &f32)| self.bounds.apply(i % size, *raw);
        let action: Vec<f32> = raw_action.iter().enumerate().map(apply).collect();
        let finite = |row: &[f32]| row.iter().all(|x| x.is_finite());
        let rows = raw_action.chunks_exact(size).zip(action.chunks_exact(size));
        let sound = rows.map(|(raw, action)| finite(raw) && finite(action)).collect();
        let (action, raw_action) = (Actions::F32(action), Actions::F32(raw_action));
        Decided { action, raw_action, log_prob, probs: None, sound }
    }

    /// Appends the row's raw action and returns its log-density: the sum over the elements of
    /// `-z^2 / 2 - log_std - log(2 pi) / 2`, and, if squashed, of `-log(1 - a^2 + 1e-6)`
    /// (Haarnoja et al. 2018, Soft Actor-Critic, appendix C; the 1e-6 is Stable-Baselines3's).
    fn decide_row(&self, mean: &[f32], mode: Mode, raw_action: &mut Vec<f32>) -> f64 {
        let mut draw = match mode {
            Mode::Deterministic => None,
            Mode::Sample { seed, row } => Some(Draw::new(seed, row)),
        };
        let mut log_prob = 0.0;
        for (mean, log_std) in mean.iter().zip(&self.log_std) {
            let z = draw.as_mut().map_or(0.0, Draw::normal);
            let gaussian = f64::from(*mean) + log_std.exp() * z;
            log_prob -= 0.5 * z * z + log_std + 0.5 * std::f64::consts::TAU.ln();
            let raw = if self.squash { gaussian.tanh() } else { gaussian };
            if self.squash {
                log_prob -= (1.0 - raw * raw + 1e-6).ln();
            }
            raw_action.push(raw as f32);
        }
        log_prob
    }
}

/// One of `size` actions by the softmax of the network's logits.
pub struct Categorical {
    pub size: usize,
    /// The number of the first action.
    pub start: i64,
}

impl Categorical {
    fn decide(&self, logits: &[f32], modes: &[Mode]) -> Decided {
        let mut action = Vec::with_capacity(modes.len());
        let mut log_prob = Vec::with_capacity(modes.len());
        let mut probs = Vec::with_capacity(logits.len());
        for (logits, mode) in logits.chunks_exact(self.size).zip(modes) {
            let row = softmax(logits);
            let chosen = match *mode {
                Mode::Deterministic => first_maximum(&row),
                Mode::Sample { seed, row: index } => sample(&row, Draw::new(seed, index).uniform()),
            };
            action.push(self.start + chosen as i64);
            log_prob.push(log_softmax(logits, chosen));
            probs.extend(row);
        }
        let sound = logits.chunks_exact(self.size).map(|row| row.iter().all(|x| x.is_finite()));
        let action = Actions::I64(action);
        let raw_action = action.clone();
        Decided { action, raw_action, log_prob, probs: Some(probs), sound: sound.collect() }
    }
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f32> = logits.iter().map(|x| (x - maximum).exp()).collect();
    let sum: f32 = exps.iter().sum();
    exps.iter().map(|x| x / sum).collect()
}

fn log_softmax(logits: &[f32], chosen: usize) -> f32 {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - maximum).exp()).sum();
    (f64::from(logits[chosen] - maximum) - sum.ln()) as f32
}

/// The first on ties, as in PyTorch's and numpy's argmax.
fn first_maximum(probs: &[f32]) -> usize {
    (1..probs.len()).fold(0, |best, i| if probs[i] > probs[best] { i } else { best })
}

/// The action in whose share of [0, 1) `uniform` falls. Rounding may leave a sliver at the end,
/// which belongs to the last action that can happen at all.
fn sample(probs: &[f32], uniform: f64) -> usize {
    let mut below = 0.0;
    for (i, prob) in probs.iter().enumerate() {
        below += f64::from(*prob);
        if uniform < below {
            return i;
        }
    }
    probs.iter().rposition(|prob| *prob > 0.0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_action() {
        assert_eq!(first_maximum(&softmax(&[1.0, 3.0, 3.0, 0.0])), 1);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(softmax(&[1000.0, 0.0]), [1.0, 0.0]);
        assert_eq!(log_softmax(&[1000.0, 0.0], 1), -1000.0);
    }

    #[test]
    fn a_draw_falls_on_no_impossible_action() {
        let probs = [0.0, 0.5, 0.5, 0.0];
        assert_eq!([0.0, 0.49, 0.5, 1.0 - 1e-16].map(|u| sample(&probs, u)), [1, 1, 2, 2]);
        assert_eq!(sample(&[0.3, 0.3, 0.0], 0.99), 1);
    }

    #[test]
    fn sampled_actions_follow_their_probabilities() {
        let head = Categorical { size: 3, start: 0 };
        let logits = [0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()];
        let n = 20_000u64;
        let modes: Vec<Mode> = (0..n).map(|row| Mode::Sample { seed: 5, row }).collect();
        let Actions::I64(actions) = head.decide(&logits.repeat(n as usize), &modes).action else {
            panic!("no discrete actions")
        };
        for (action, probability) in [(0, 0.2), (1, 0.5), (2, 0.3)] {
            let share = actions.iter().filter(|a| **a == action).count() as f64 / n as f64;
            let standard_error = (probability * (1.0 - probability) / n as f64).sqrt();
            assert!((share - probability).abs() < 4.0 * standard_error, "{action}: {share}");
        }
    }

    #[test]
    fn a_row_that_is_no_number_is_marked_and_its_neighbour_is_not() {
        let head = Categorical { size: 2, start: 0 };
        let modes = [Mode::Deterministic; 2];
        assert_eq!(head.decide(&[f32::NAN, 1.0, 1.0, 2.0], &modes).sound, [false, true]);
    }
}
