//! Independent bits, each by the sigmoid of one output.

use super::Given;
use crate::policy::{Mode, Output, activation::sigmoid, draw::Draw, spec::Activation};

pub struct Bernoulli {
    pub size: usize,
}

impl Bernoulli {
    pub fn decide(&self, given: &Given, output: &mut Output) {
        let raw_action = output.raw_action.floats_mut();
        for (row, mode) in given.modes.iter().enumerate() {
            let logits = &given.outputs[row * self.size..(row + 1) * self.size];
            let first = raw_action.len();
            match given.floats(row, self.size) {
                Some(raw) => raw_action.extend_from_slice(raw),
                None => draw(logits, *mode, raw_action),
            }
            let bits = &raw_action[first..];
            output.action.floats_mut().extend_from_slice(bits);
            if let Some(log_probs) = &mut output.log_prob {
                log_probs.push(log_prob(logits, bits));
            }
            if let Some(probs) = &mut output.probs {
                probs.extend(logits.iter().map(|x| sigmoid(*x)));
            }
        }
    }
}

fn draw(logits: &[f32], mode: Mode, bits: &mut Vec<f32>) {
    let mut draw = match mode {
        Mode::Deterministic => None,
        Mode::Sample { seed, row } => Some(Draw::new(seed, row)),
    };
    bits.extend(logits.iter().map(|x| sigmoid(*x)).map(|p| match &mut draw {
        // Half to even: a tie is no.
        None => p.round_ties_even(),
        Some(draw) => f32::from(u8::from(draw.uniform() < f64::from(p))),
    }));
}

fn log_prob(logits: &[f32], bits: &[f32]) -> f32 {
    let towards = |(x, bit): (&f32, &f32)| if *bit > 0.5 { *x } else { -*x };
    let log = |x: f32| f64::from(Activation::LogSigmoid.of(x));
    logits.iter().zip(bits).map(towards).map(log).sum::<f64>() as f32
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    #[test]
    fn an_even_chance_is_no_and_the_log_prob_is_that_of_all_bits() {
        let given = Given {
            outputs: &[0.0, 2.0, -30.0],
            more: &[],
            masks: None,
            raw_actions: None,
            first: 0,
            modes: &[Mode::Deterministic],
        };
        let decided = decided(&ActionHead::Bernoulli(Bernoulli { size: 3 }), &given);
        assert_eq!(decided.action, Actions::F32(vec![0.0, 1.0, 0.0]));
        // log(1/2) + log(sigmoid(2)) + log(1 - sigmoid(-30))
        let expected = 0.5f64.ln() - (-2.0f64).exp().ln_1p();
        assert!((f64::from(decided.log_prob.unwrap()[0]) - expected).abs() < 1e-6);
    }
}
