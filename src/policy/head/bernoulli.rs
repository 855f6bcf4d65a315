//! Independent bits, each by the sigmoid of one output.

use super::{Decided, Given, finite_rows};
use crate::policy::{Actions, Mode, activation::sigmoid, draw::Draw, spec::Activation};

pub struct Bernoulli {
    pub size: usize,
}

impl Bernoulli {
    pub fn decide(&self, given: &Given) -> Decided {
        let probs: Vec<f32> = given.outputs.iter().map(|x| sigmoid(*x)).collect();
        let mut action = Vec::with_capacity(probs.len());
        for (row, (probs, mode)) in probs.chunks_exact(self.size).zip(given.modes).enumerate() {
            if let Some(raw) = given.floats(row, self.size) {
                action.extend_from_slice(raw);
                continue;
            }
            let mut draw = match *mode {
                Mode::Deterministic => None,
                Mode::Sample { seed, row } => Some(Draw::new(seed, row)),
            };
            action.extend(probs.iter().map(|p| match &mut draw {
                // Half to even: a tie is no.
                None => p.round_ties_even(),
                Some(draw) => f32::from(u8::from(draw.uniform() < f64::from(*p))),
            }));
        }
        let rows = given.outputs.chunks_exact(self.size).zip(action.chunks_exact(self.size));
        let log_prob = rows.map(|(logits, bits)| log_prob(logits, bits)).collect();
        let sound = finite_rows(given.outputs, self.size);
        let decided = Decided::chosen(Actions::F32(action), sound);
        Decided { log_prob: Some(log_prob), probs: Some(probs), ..decided }
    }
}

fn log_prob(logits: &[f32], bits: &[f32]) -> f32 {
    let towards = |(x, bit): (&f32, &f32)| if *bit > 0.5 { *x } else { -*x };
    let log = |x: f32| f64::from(Activation::LogSigmoid.of(x));
    logits.iter().zip(bits).map(towards).map(log).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_chance_is_no_and_the_log_prob_is_that_of_all_bits() {
        let given = Given {
            outputs: &[0.0, 2.0, -30.0],
            more: &[],
            masks: None,
            raw_actions: None,
            modes: &[Mode::Deterministic],
        };
        let decided = Bernoulli { size: 3 }.decide(&given);
        assert_eq!(decided.action, Actions::F32(vec![0.0, 1.0, 0.0]));
        // log(1/2) + log(sigmoid(2)) + log(1 - sigmoid(-30))
        let expected = 0.5f64.ln() - (-2.0f64).exp().ln_1p();
        assert!((f64::from(decided.log_prob.unwrap()[0]) - expected).abs() < 1e-6);
    }
}
