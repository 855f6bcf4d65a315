//! A policy's outputs held against reference outputs, alone and in batches.

use candle_core::{Result, bail};

use super::{Expected, Reference};
use crate::{
    policy::{Actions, Input, Mode, Output, Policy, PolicySpec},
    wire::Observations,
};

/// How far an output may be off, absolutely and relative to the reference.
const TOLERANCE: f64 = 1e-5;
/// Rows that are computed together; 0 stands for all of them.
pub const BATCHES: [usize; 4] = [1, 2, 3, 0];

/// What came out.
pub struct Comparison {
    pub observations: usize,
    pub outputs: Vec<Compared>,
    /// Whether the reference's raw actions are samples: then `log_prob` is held against them, and
    /// they themselves against nothing.
    pub sampled: bool,
    /// Whether all batch sizes gave the same bits.
    pub identical: bool,
}

/// One output of all rows.
pub struct Compared {
    pub name: String,
    pub elements: usize,
    /// The largest absolute difference, for each of [`BATCHES`].
    pub worst: [f64; BATCHES.len()],
    /// The largest one as a share of what is allowed there, in any batch.
    pub of_tolerance: f64,
    /// Discrete actions that differ, where the two best are as good as equal.
    pub ties: usize,
    /// Elements outside of the tolerance in any batch, and the first of them.
    pub outside: usize,
    pub first: Option<String>,
}

impl Comparison {
    pub fn is_within(&self) -> bool {
        self.outputs.iter().all(|output| output.outside == 0)
    }
}

impl Reference {
    /// Computes all rows in batches of each size, and compares.
    ///
    /// # Errors
    /// The device fails, or the policy does not give an output that the reference has.
    pub fn compare(&self, policy: &mut dyn Policy) -> Result<Comparison> {
        let runs = self.runs(policy, None)?;
        let spec = policy.spec().clone();
        let evaluated = match self.raw_actions(&runs[0]) {
            Some(raw) if spec.wants().log_prob => Some(self.runs(policy, Some(&raw))?),
            _ => None,
        };
        let sampled = evaluated.as_ref().is_some_and(|runs| !self.acts_as(&runs[0]));
        let mut outputs = Vec::with_capacity(self.expected.len());
        for expected in &self.expected {
            match (expected.name.as_str(), &evaluated) {
                ("raw_action", _) if sampled => {}
                ("log_prob", Some(evaluated)) => outputs.push(compare(expected, evaluated, &spec)?),
                _ => outputs.push(compare(expected, &runs, &spec)?),
            }
        }
        let identical = runs.iter().all(|run| *run == runs[0]);
        Ok(Comparison { observations: self.all(), outputs, sampled, identical })
    }

    fn runs(
        &self,
        policy: &mut dyn Policy,
        raw: Option<&Actions>,
    ) -> Result<[Output; BATCHES.len()]> {
        let [alone, pairs, threes, all] = BATCHES.map(|batch| self.run(policy, batch, raw));
        Ok([alone?, pairs?, threes?, all?])
    }

    /// The raw actions of the reference, if there are log-probs of them.
    fn raw_actions(&self, like: &Output) -> Option<Actions> {
        let find = |name: &str| self.expected.iter().find(|expected| expected.name == name);
        find("log_prob")?;
        let raw = &find("raw_action")?.values;
        Some(match &like.raw_action {
            Actions::F32(_) => Actions::F32(raw.iter().map(|x| *x as f32).collect()),
            Actions::I64(_) => Actions::I64(raw.iter().map(|x| *x as i64).collect()),
        })
    }

    /// Whether the raw actions come to the actions of the reference: then both are deterministic.
    fn acts_as(&self, evaluated: &Output) -> bool {
        let Some(action) = self.expected.iter().find(|expected| expected.name == "action") else {
            return false;
        };
        let got = values(evaluated, "action").unwrap_or_default();
        let near = |(got, expected): (&f64, &f64)| {
            (got - expected).abs() <= 2.0 * (TOLERANCE + TOLERANCE * expected.abs())
        };
        got.len() == action.values.len() && got.iter().zip(&action.values).all(near)
    }

    /// All steps in order, the rows of each in batches of that size.
    fn run(&self, policy: &mut dyn Policy, batch: usize, raw: Option<&Actions>) -> Result<Output> {
        let batch = if batch == 0 { self.rows } else { batch };
        let spec = policy.spec().clone();
        let mut states = vec![0.0; self.rows * spec.state_size().unwrap_or(0)];
        let mut whole: Option<Output> = None;
        for step in 0..self.steps {
            self.forget(step, &mut states);
            let mut next = Vec::with_capacity(states.len());
            for first in (0..self.rows).step_by(batch) {
                let rows = first..self.rows.min(first + batch);
                let at = step * self.rows;
                let raw_actions =
                    raw.map(|raw| raw.rows(&(at + rows.start..at + rows.end), self.all()));
                let input = self.input(&spec, step, &rows, &states);
                let mut output = Output::default();
                policy.forward(&Input { raw_actions, ..input }, &mut output)?;
                next.extend(output.state.iter().flatten());
                match &mut whole {
                    Some(whole) => whole.append(output),
                    None => whole = Some(output),
                }
            }
            states = next;
        }
        whole.map_or_else(|| bail!("there are no rows"), Ok)
    }

    fn all(&self) -> usize {
        self.steps * self.rows
    }

    /// Rows whose episode starts remember nothing.
    fn forget(&self, step: usize, states: &mut [f32]) {
        let size = states.len() / self.rows;
        for row in (0..self.rows).filter(|row| self.episode_start[step * self.rows + row]) {
            states[row * size..(row + 1) * size].fill(0.0);
        }
    }

    fn input(
        &self,
        spec: &PolicySpec,
        step: usize,
        rows: &std::ops::Range<usize>,
        states: &[f32],
    ) -> Input {
        let at = step * self.rows;
        let scaled = |size: usize| (at + rows.start) * size..(at + rows.end) * size;
        let mut observations = Observations::empty(&spec.observation_space);
        observations.extend(&self.observations, scaled(spec.observation_space.size()));
        let modes = vec![Mode::Deterministic; rows.len()];
        let states =
            spec.state_size().map(|size| states[rows.start * size..rows.end * size].to_vec());
        let masks = self.masks.as_ref().zip(spec.mask_size());
        let masks = masks.map(|(masks, size)| masks[scaled(size)].to_vec());
        Input { states, masks, ..Input::new(observations, modes, spec.wants()) }
    }
}

fn compare(
    expected: &Expected,
    runs: &[Output; BATCHES.len()],
    spec: &PolicySpec,
) -> Result<Compared> {
    let mut compared = Compared {
        name: expected.name.clone(),
        elements: expected.values.len(),
        worst: [0.0; BATCHES.len()],
        of_tolerance: 0.0,
        ties: 0,
        outside: 0,
        first: None,
    };
    let mut all = Vec::with_capacity(runs.len());
    for run in runs {
        let Some(got) = values(run, &expected.name) else {
            bail!("the reference has {}, which this policy does not give", expected.name);
        };
        if got.len() != expected.values.len() {
            bail!("{}: {} numbers, expected {}", expected.name, got.len(), expected.values.len());
        }
        all.push(got);
    }
    let is_choice = expected.name.ends_with("action") && is_choice(&runs[0].action);
    for (at, expected) in expected.values.iter().enumerate() {
        if is_choice && all[0][at] != *expected && is_tie(&runs[0], spec, at) {
            compared.ties += 1;
            continue;
        }
        let got: Vec<f64> = all.iter().map(|run| run[at]).collect();
        compared.add(at, &got, *expected, is_choice);
    }
    Ok(compared)
}

impl Compared {
    /// One element as each batch size gave it.
    fn add(&mut self, at: usize, got: &[f64], expected: f64, exact: bool) {
        let allowed = if exact { 0.0 } else { TOLERANCE + TOLERANCE * expected.abs() };
        let mut is_outside = false;
        for (run, got) in got.iter().enumerate() {
            // Equal infinities are no difference; NaN is larger than all.
            let off = if *got == expected { 0.0 } else { (got - expected).abs() };
            let off = if off.is_nan() { f64::INFINITY } else { off };
            self.worst[run] = self.worst[run].max(off);
            if allowed > 0.0 {
                self.of_tolerance = self.of_tolerance.max(off / allowed);
            }
            if off > allowed {
                is_outside = true;
                self.first.get_or_insert_with(|| told(&self.name, at, (*got, expected), run));
            }
        }
        self.outside += usize::from(is_outside);
    }
}

fn told(name: &str, at: usize, (got, expected): (f64, f64), run: usize) -> String {
    let batch = match BATCHES[run] {
        0 => "all together".to_owned(),
        1 => "alone".to_owned(),
        batch => format!("batches of {batch}"),
    };
    format!("{name}[{at}] is {got}, expected {expected} ({batch})")
}

fn values(output: &Output, name: &str) -> Option<Vec<f64>> {
    let floats = |values: &Option<Vec<f32>>| {
        values.as_ref().map(|values| values.iter().map(|x| f64::from(*x)).collect())
    };
    let actions = |actions: &Actions| match actions {
        Actions::F32(values) => values.iter().map(|x| f64::from(*x)).collect(),
        Actions::I64(values) => values.iter().map(|x| *x as f64).collect(),
    };
    match name {
        "action" => Some(actions(&output.action)),
        "raw_action" => Some(actions(&output.raw_action)),
        "value" => floats(&output.value),
        "log_prob" => floats(&output.log_prob),
        "probs" => floats(&output.probs),
        _ => floats(&output.q_values),
    }
}

fn is_choice(actions: &Actions) -> bool {
    matches!(actions, Actions::I64(_))
}

/// Whether the two best scores of the choice that element `at` is are as good as equal.
fn is_tie(output: &Output, spec: &PolicySpec, at: usize) -> bool {
    let choices = spec.choices();
    let Some(scores) = output.probs.as_ref().or(output.q_values.as_ref()) else { return false };
    let (row, choice) = (at / choices.len().max(1), at % choices.len().max(1));
    let start = row * choices.iter().sum::<usize>() + choices[..choice].iter().sum::<usize>();
    let Some(scores) = scores.get(start..start + choices[choice]) else { return false };
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    match sorted[..] {
        [best, next, ..] => f64::from(best - next) < TOLERANCE,
        _ => false,
    }
}
