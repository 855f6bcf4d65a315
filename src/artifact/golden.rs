//! `golden.safetensors`: observations, and what the policy must give for them.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{
    policy::{Actions, Input, Mode, Output, Policy, PolicySpec, Weights, device::Precision},
    wire::{Observations, Space},
};

/// Observations with the deterministic outputs for them. Tensors: `observations` (rows, size),
/// `head` (rows, elements: the raw action of a box, the probabilities of a discrete space), and
/// `value` (rows) if the policy has one.
pub struct Golden {
    observations: Observations,
    rows: usize,
    head: Vec<f64>,
    value: Option<Vec<f64>>,
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
        let head = flat(&tensors.take("head", &[rows, spec.head_size()])?)?;
        let value = match spec.network.value {
            Some(_) => Some(tensors.take_vec("value", rows)?),
            None => None,
        };
        tensors.finish()?;
        let observations = in_space(observations, &spec.observation_space);
        Ok(Self { observations, rows, head, value })
    }

    /// Runs the policy over the observations.
    ///
    /// # Errors
    /// An output is further off than the precision allows, or the device fails.
    pub fn compare(&self, policy: &mut dyn Policy, precision: Precision) -> Result<Deviation> {
        let output =
            policy.forward(&deterministic(self.observations.clone(), self.rows, policy.spec()))?;
        let mut deviation =
            Deviation { rows: self.rows, worst: 0.0, tolerance: precision.tolerance() };
        deviation.add("head", &self.head, &head_of(&output))?;
        if let (Some(golden), Some(value)) = (&self.value, &output.value) {
            deviation.add("value", golden, value)?;
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
        let output = policy.forward(&deterministic(observations.clone(), rows, &spec))?;
        let matrix =
            |values: Vec<f32>, columns| Tensor::from_vec(values, (rows, columns), &Device::Cpu);
        let observations = match observations {
            Observations::F32(values) => matrix(values, size)?,
            Observations::F64(values) => Tensor::from_vec(values, (rows, size), &Device::Cpu)?,
        };
        let mut tensors = HashMap::from([
            ("observations".to_string(), observations),
            ("head".to_string(), matrix(head_of(&output), spec.head_size())?),
        ]);
        if let Some(value) = output.value {
            tensors.insert("value".into(), Tensor::from_vec(value, rows, &Device::Cpu)?);
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

fn deterministic(observations: Observations, rows: usize, spec: &PolicySpec) -> Input {
    Input { observations, modes: vec![Mode::Deterministic; rows], wants: spec.wants() }
}

/// What the head says before anything is clipped or chosen: there, small differences stay small.
fn head_of(output: &Output) -> Vec<f32> {
    match (&output.probs, &output.raw_action) {
        (Some(probs), _) => probs.clone(),
        (None, Actions::F32(raw)) => raw.clone(),
        (None, Actions::I64(_)) => Vec::new(),
    }
}

fn in_space(values: Vec<f64>, space: &Space) -> Observations {
    match Observations::empty(space) {
        Observations::F32(_) => Observations::F32(values.iter().map(|x| *x as f32).collect()),
        Observations::F64(_) => Observations::F64(values),
    }
}

fn flat(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}
