//! Choices by the softmax of the network's logits.

use super::{Given, first_maximum};
use crate::policy::{Mode, Output, draw::Draw};

/// What stands for the logit of an action that is ruled out, as in sb3-contrib.
const RULED_OUT: f32 = -1e8;

/// One choice for each element of the action.
pub struct Categorical {
    /// How many actions each element chooses from.
    pub choices: Vec<usize>,
    /// The number of the first action.
    pub start: i64,
    /// Whether the elements are bits, and so floats.
    pub bits: bool,
}

impl Categorical {
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let size: usize = self.choices.iter().sum();
        let (mut log_probs, mut probs) = (Vec::with_capacity(size), Vec::with_capacity(size));
        for row in 0..given.modes.len() {
            let range = row * size..(row + 1) * size;
            // A row that rules nothing out is as one without a mask, whatever its batch-mates have.
            let mask = given.masks.map(|masks| &masks[range.clone()]);
            let mask = mask.filter(|mask| mask.contains(&0));
            log_probs.clear();
            probs.clear();
            self.distribute(&given.outputs[range], mask, (&mut log_probs, &mut probs));
            let log_prob = self.choose((&log_probs, &probs), (given, row), output);
            if let Some(log_probs) = &mut output.log_prob {
                log_probs.push(log_prob as f32);
            }
            if let Some(all) = &mut output.probs {
                all.extend_from_slice(&probs);
            }
        }
    }

    /// The logarithm of each choice's probability, and the probability.
    fn distribute(
        &self,
        logits: &[f32],
        mask: Option<&[u8]>,
        (log_probs, probs): (&mut Vec<f32>, &mut Vec<f32>),
    ) {
        for range in self.ranges() {
            log_softmax(&logits[range.clone()], log_probs);
            if let Some(mask) = mask {
                rule_out(&mut log_probs[range.clone()], &mask[range.clone()]);
            }
            softmax(&log_probs[range], probs);
        }
    }

    /// Appends the row's action; its log-prob.
    fn choose(
        &self,
        (log_probs, probs): (&[f32], &[f32]),
        (given, row): (&Given, usize),
        output: &mut Output,
    ) -> f64 {
        let mut draw = match given.modes[row] {
            Mode::Deterministic => None,
            Mode::Sample { seed, row } => Some(Draw::new(seed, row)),
        };
        let mut log_prob = 0.0;
        for (element, range) in self.ranges().enumerate() {
            let (log_probs, probs) = (&log_probs[range.clone()], &probs[range]);
            let told = given.choice(row, self.choices.len(), element);
            let chosen = match (told, &mut draw) {
                (Some(told), _) => usize::try_from(told - self.start).unwrap_or(usize::MAX),
                (None, None) => first_maximum(probs),
                (None, Some(draw)) => sample(probs, draw.uniform()),
            };
            self.append(self.start.saturating_add_unsigned(chosen as u64), output);
            // An action that is none can't happen.
            log_prob += log_probs.get(chosen).map_or(f64::NEG_INFINITY, |x| f64::from(*x));
        }
        log_prob
    }

    fn append(&self, action: i64, output: &mut Output) {
        for actions in [&mut output.action, &mut output.raw_action] {
            match self.bits {
                true => actions.floats_mut().push(action as f32),
                false => actions.choices_mut().push(action),
            }
        }
    }

    /// Where each element's logits are in a row.
    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        self.choices.iter().scan(0, |start, choices| {
            let range = *start..*start + choices;
            *start = range.end;
            Some(range)
        })
    }
}

/// Appends them.
fn softmax(logits: &[f32], probs: &mut Vec<f32>) {
    let first = probs.len();
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    probs.extend(logits.iter().map(|x| (x - maximum).exp()));
    let sum: f32 = probs[first..].iter().sum();
    probs[first..].iter_mut().for_each(|x| *x /= sum);
}

/// Appends them.
fn log_softmax(logits: &[f32], log_probs: &mut Vec<f32>) {
    let maximum = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|x| f64::from(x - maximum).exp()).sum();
    log_probs.extend(logits.iter().map(|x| (f64::from(x - maximum) - sum.ln()) as f32));
}

/// Leaves out of log-probs what the mask rules out, and normalises them anew. In f32 as sb3-contrib
/// does it: where all is ruled out, all log-probs become 0.
fn rule_out(log_probs: &mut [f32], mask: &[u8]) {
    for (x, allowed) in log_probs.iter_mut().zip(mask) {
        *x = if *allowed == 0 { RULED_OUT } else { *x };
    }
    let maximum = log_probs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = log_probs.iter().map(|x| f64::from(x - maximum).exp()).sum();
    let all = maximum + sum.ln() as f32;
    log_probs.iter_mut().for_each(|x| *x -= all);
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
    use super::{super::*, *};

    fn head(choices: &[usize]) -> Categorical {
        Categorical { choices: choices.to_vec(), start: 0, bits: false }
    }

    fn decide(head: Categorical, logits: &[f32], masks: Option<&[u8]>, modes: &[Mode]) -> Output {
        let given = Given { outputs: logits, more: &[], masks, raw_actions: None, first: 0, modes };
        decided(&ActionHead::Categorical(head), &given)
    }

    fn of(f: fn(&[f32], &mut Vec<f32>), logits: &[f32]) -> Vec<f32> {
        let mut values = Vec::new();
        f(logits, &mut values);
        values
    }

    fn actions(decided: &Output) -> &[i64] {
        let Actions::I64(actions) = &decided.action else { panic!("no discrete actions") };
        actions
    }

    #[test]
    fn ties_go_to_the_first_action() {
        assert_eq!(first_maximum(&of(softmax, &[1.0, 3.0, 3.0, 0.0])), 1);
    }

    #[test]
    fn large_logits_do_not_overflow() {
        assert_eq!(of(softmax, &[1000.0, 0.0]), [1.0, 0.0]);
        assert_eq!(of(log_softmax, &[1000.0, 0.0]), [0.0, -1000.0]);
    }

    #[test]
    fn a_draw_falls_on_no_impossible_action() {
        let probs = [0.0, 0.5, 0.5, 0.0];
        assert_eq!([0.0, 0.49, 0.5, 1.0 - 1e-16].map(|u| sample(&probs, u)), [1, 1, 2, 2]);
        assert_eq!(sample(&[0.3, 0.3, 0.0], 0.99), 1);
    }

    #[test]
    fn sampled_actions_follow_their_probabilities() {
        let logits = [0.2f32.ln(), 0.5f32.ln(), 0.3f32.ln()];
        let n = 20_000u64;
        let modes: Vec<Mode> = (0..n).map(|row| Mode::Sample { seed: 5, row }).collect();
        let decided = decide(head(&[3]), &logits.repeat(n as usize), None, &modes);
        for (action, probability) in [(0, 0.2), (1, 0.5), (2, 0.3)] {
            let chosen = actions(&decided).iter().filter(|a| **a == action).count();
            let share = chosen as f64 / n as f64;
            let standard_error = (probability * (1.0 - probability) / n as f64).sqrt();
            assert!((share - probability).abs() < 4.0 * standard_error, "{action}: {share}");
        }
    }

    #[test]
    fn what_a_mask_rules_out_is_never_chosen() {
        let logits = [5.0, 1.0, 0.0, 0.5, 9.0];
        let mask = [0, 1, 1, 1, 0];
        let modes: Vec<Mode> = (0..500).map(|row| Mode::Sample { seed: 1, row }).collect();
        let drawn = decide(head(&[3, 2]), &logits.repeat(500), Some(&mask.repeat(500)), &modes);
        assert!(actions(&drawn).chunks(2).all(|row| row[0] != 0 && row[1] == 0));
        let best = decide(head(&[3, 2]), &logits, Some(&mask), &[Mode::Deterministic]);
        assert_eq!(actions(&best), [1, 0]);
        let probs = best.probs.unwrap();
        assert_eq!((probs[0], probs[4]), (0.0, 0.0));
        // 1 against 0, and the one that is left.
        let expected = -(1.0 + (-1.0f64).exp()).ln();
        assert!((f64::from(best.log_prob.unwrap()[0]) - expected).abs() < 1e-6);
    }

    #[test]
    fn a_row_that_is_no_number_is_marked_and_its_neighbour_is_not() {
        let modes = [Mode::Deterministic; 2];
        let decided = decide(head(&[2]), &[f32::NAN, 1.0, 1.0, 2.0], None, &modes);
        assert_eq!(decided.sound, [false, true]);
    }
}
