//! `golden.safetensors`: observations, and what the policy must give for them.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{
    policy::{Actions, Input, Mode, Output, Policy, PolicySpec, Weights, device::Precision},
    wire::Observations,
};

/// Observations with the deterministic outputs for them. Tensors: `observations` (rows, size),
/// `head` (rows, elements: the raw action of a box, the probabilities or the Q-values of choices),
/// `value` (rows) if the policy has one; of a recurrent policy `state` and `next_state` (rows, state
/// size).
pub struct Golden {
    observations: Observations,
    rows: usize,
    states: Option<Vec<f32>>,
    head: Vec<f64>,
    value: Option<Vec<f64>>,
    next_state: Option<Vec<f64>>,
}

/// How far the outputs are from the golden ones at the worst element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deviation {
    pub rows: usize,
    /// Absolute.
    pub worst: f64,
    /// Allowed, for a reference of 0.
    pub tolerance: f64,
}

impl Golden {
    /// # Errors
    /// Tensors are missing, left over, of other shapes than the spec asks for, or not finite.
    pub fn parse(bytes: &[u8], spec: &PolicySpec) -> Result<Self> {
        let mut tensors = Weights::parse(bytes)?;
        let rows = match tensors.rows("observations") {
            Some(rows) if rows > 0 => rows,
            _ => bail!("the tensor observations has no rows"),
        };
        let size = spec.observation_space.size();
        let observations = flat(&tensors.take("observations", &[rows, size])?)?;
        let head = flat(&tensors.take("head", &[rows, spec.distribution_size()])?)?;
        let value = match spec.network.value {
            Some(_) => Some(tensors.take_vec("value", rows)?),
            None => None,
        };
        let (mut states, mut next_state) = (None, None);
        if let Some(size) = spec.state_size() {
            let state = flat(&tensors.take("state", &[rows, size])?)?;
            states = Some(state.iter().map(|x| *x as f32).collect());
            next_state = Some(flat(&tensors.take("next_state", &[rows, size])?)?);
        }
        tensors.finish()?;
        let observations = Observations::of(&spec.observation_space, observations);
        Ok(Self { observations, rows, states, head, value, next_state })
    }

    /// The first row alone.
    pub fn first(&self) -> Self {
        let row = |values: &[f64]| values[..values.len() / self.rows].to_vec();
        let (mut observations, size) = (self.observations.clone(), self.observations.len());
        observations.truncate(size / self.rows);
        Self {
            observations,
            rows: 1,
            states: self.states.as_ref().map(|states| states[..states.len() / self.rows].to_vec()),
            head: row(&self.head),
            value: self.value.as_deref().map(row),
            next_state: self.next_state.as_deref().map(row),
        }
    }

    /// Runs the policy over the observations.
    ///
    /// # Errors
    /// An output is further off than the precision allows, or the device fails.
    pub fn compare(&self, policy: &mut dyn Policy, precision: Precision) -> Result<Deviation> {
        let (observations, states) = (self.observations.clone(), self.states.clone());
        let input = deterministic(observations, states, self.rows, policy.spec());
        let mut output = Output::default();
        policy.forward(&input, &mut output)?;
        let mut deviation =
            Deviation { rows: self.rows, worst: 0.0, tolerance: precision.tolerance() };
        deviation.add("head", &self.head, &head_of(&output))?;
        if let (Some(golden), Some(value)) = (&self.value, &output.value) {
            deviation.add("value", golden, value)?;
        }
        if let (Some(golden), Some(state)) = (&self.next_state, &output.state) {
            deviation.add("next_state", golden, state)?;
        }
        Ok(deviation)
    }

    /// The outputs of `policy` as tensors to be written.
    ///
    /// # Errors
    /// What the device reports.
    pub fn record(
        policy: &mut dyn Policy,
        observations: Observations,
    ) -> Result<HashMap<String, Tensor>> {
        let spec = policy.spec().clone();
        let size = spec.observation_space.size();
        let rows = observations.len() / size;
        let states = spec.state_size().map(|size| some_states(rows * size));
        let input = deterministic(observations, states, rows, &spec);
        let mut output = Output::default();
        policy.forward(&input, &mut output)?;
        let mut tensors = HashMap::from([
            ("observations".to_string(), matrix(&input.observations, rows)?),
            ("head".to_string(), matrix(&Observations::F32(head_of(&output)), rows)?),
        ]);
        if let Some(value) = output.value {
            tensors.insert("value".into(), Tensor::from_vec(value, rows, &Device::Cpu)?);
        }
        for (name, state) in [("state", input.states), ("next_state", output.state)] {
            if let Some(state) = state {
                tensors.insert(name.into(), matrix(&Observations::F32(state), rows)?);
            }
        }
        Ok(tensors)
    }
}

impl Deviation {
    fn add(&mut self, name: &str, golden: &[f64], got: &[f32]) -> Result<()> {
        for (at, (golden, got)) in golden.iter().zip(got).enumerate() {
            let off = (golden - f64::from(*got)).abs();
            // A NaN is within nothing.
            let within = off <= self.tolerance * (1.0 + golden.abs());
            if !within {
                bail!(
                    "the policy does not give its golden outputs: {name}[{at}] is {got}, expected {} within {}",
                    *golden as f32,
                    self.tolerance
                );
            }
            self.worst = self.worst.max(off);
        }
        Ok(())
    }
}

fn deterministic(
    observations: Observations,
    states: Option<Vec<f32>>,
    rows: usize,
    spec: &PolicySpec,
) -> Input {
    let input = Input::new(observations, vec![Mode::Deterministic; rows], spec.wants());
    Input { states, ..input }
}

/// Numbers as a memory may hold them: from -1 to 1, no two rows alike.
fn some_states(count: usize) -> Vec<f32> {
    (0..count).map(|at| (at as f32).sin()).collect()
}

/// What the head says before anything is clipped or chosen: there, small differences stay small.
fn head_of(output: &Output) -> Vec<f32> {
    match (&output.probs, &output.q_values, &output.raw_action) {
        (Some(probs), ..) => probs.clone(),
        (None, Some(q_values), _) => q_values.clone(),
        (None, None, Actions::F32(raw)) => raw.clone(),
        // Choices come with probabilities or Q-values.
        (None, None, Actions::I64(_)) => Vec::new(),
    }
}

/// (rows, columns), in the type of the values.
fn matrix(values: &Observations, rows: usize) -> Result<Tensor> {
    let shape = (rows, values.len() / rows.max(1));
    match values {
        Observations::U8(values) => Tensor::from_slice(values, shape, &Device::Cpu),
        Observations::F32(values) => Tensor::from_slice(values, shape, &Device::Cpu),
        Observations::F64(values) => Tensor::from_slice(values, shape, &Device::Cpu),
    }
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}
