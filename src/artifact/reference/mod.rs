//! Outputs of the program that trained a policy, to be held against ours: a safetensors file with
//! `obs`, or `obs.<key>` for each space of a dict, and what they must give.

mod compare;
mod numbers;

pub use compare::{BATCHES, Compared, Comparison};

use std::path::Path;

use bytes::Bytes;
use safetensors::SafeTensors;

use super::{ArtifactError, load};
use crate::{
    policy::PolicySpec,
    wire::{Observations, Rows, Space, Tensor},
};
use numbers::Numbers;

/// Observations in order, step by step if they are of a recurrent policy's rollout.
pub struct Reference {
    observations: Observations,
    /// 1, unless it is a rollout.
    steps: usize,
    /// In each step.
    rows: usize,
    /// For each step and row.
    episode_start: Vec<bool>,
    masks: Option<Vec<u8>>,
    expected: Vec<Expected>,
}

/// One output of all rows.
struct Expected {
    name: String,
    values: Vec<f64>,
}

/// More than any comparison needs.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Observations of one file.
const MAX_ROWS: usize = 1 << 24;

/// Outputs that a file may hold; `scaled_action` and others of no meaning here are left alone.
const OUTPUTS: [&str; 6] = ["action", "raw_action", "value", "log_prob", "probs", "q_values"];

impl Reference {
    /// Reads a file for a policy of this spec.
    ///
    /// # Errors
    /// It can't be read, observations are missing or don't fit, or there is nothing to compare with.
    pub fn open(path: &Path, spec: &PolicySpec) -> Result<Self, ArtifactError> {
        let bytes = load::read(path, MAX_FILE_BYTES)?;
        Self::parse(&bytes, spec).map_err(|problem| ArtifactError::new(path, problem))
    }

    fn parse(bytes: &[u8], spec: &PolicySpec) -> Result<Self, String> {
        let file = deserialize(bytes)?;
        let episode_start = Numbers::find(&file, "episode_start")?;
        let rollout = episode_start.as_ref().filter(|starts| starts.shape.len() == 2);
        let steps = rollout.map_or(1, |starts| starts.shape[0].max(1));
        let rows = read_rows(&file, &spec.observation_space, rollout.is_some());
        let rows = rows.map_err(|problem| match (spec.state_size(), &episode_start) {
            (Some(_), None) => format!(
                "{problem}. Of a recurrent policy's rollout, episode_start (steps, rows) is missing"
            ),
            _ => problem,
        })?;
        if rows.count % steps != 0 {
            return Err(format!("{} observations in {steps} steps", rows.count));
        }
        let episode_start = match episode_start {
            Some(starts) if starts.values.len() == rows.count => {
                starts.values.iter().map(|start| *start != 0.0).collect()
            }
            Some(starts) => {
                return Err(format!(
                    "episode_start has shape {:?} for {} observations",
                    starts.shape, rows.count
                ));
            }
            None => vec![false; rows.count],
        };
        Ok(Self {
            masks: read_masks(&file, spec, rows.count)?,
            expected: read_expected(&file, rows.count)?,
            observations: rows.values.to_observations(),
            steps,
            rows: rows.count / steps,
            episode_start,
        })
    }
}

/// The observations of a reference alone, for golden outputs.
///
/// # Errors
/// The file can't be read, or they are missing or don't fit.
pub fn observations(path: &Path, space: &Space) -> Result<Observations, ArtifactError> {
    let bytes = load::read(path, MAX_FILE_BYTES)?;
    parse_observations(&bytes, space).map_err(|problem| ArtifactError::new(path, problem))
}

fn parse_observations(bytes: &[u8], space: &Space) -> Result<Observations, String> {
    let file = deserialize(bytes)?;
    let starts = Numbers::find(&file, "episode_start")?;
    let is_rollout = starts.is_some_and(|starts| starts.shape.len() == 2);
    read_rows(&file, space, is_rollout).map(|rows| rows.values.to_observations())
}

fn deserialize(bytes: &[u8]) -> Result<SafeTensors<'_>, String> {
    SafeTensors::deserialize(bytes).map_err(|error| format!("not a safetensors file: {error}"))
}

fn read_rows(file: &SafeTensors<'_>, space: &Space, is_rollout: bool) -> Result<Rows, String> {
    let tensor = |name: &str| {
        let missing = || format!("the tensor {name} is missing");
        let numbers = Numbers::find(file, name)?.ok_or_else(missing)?;
        Ok::<_, String>(numbers.into_tensor(is_rollout))
    };
    let rows = match space {
        Space::Dict { spaces } => {
            let tensors: Result<Vec<(String, Tensor<'_>)>, String> = spaces
                .iter()
                .map(|(key, _)| Ok((key.clone(), tensor(&format!("obs.{key}"))?)))
                .collect();
            Rows::from_dict(&tensors?, spaces, space, MAX_ROWS)
        }
        space => Rows::from_tensor(&tensor("obs")?, space, MAX_ROWS),
    };
    let rows = rows.map_err(|error| error.to_string())?;
    match rows.single {
        true => Err("obs has no axis of rows".into()),
        // Numbers of a file are all read, none is left in it.
        false => Ok(rows.kept_in(&Bytes::new())),
    }
}

fn read_masks(
    file: &SafeTensors<'_>,
    spec: &PolicySpec,
    rows: usize,
) -> Result<Option<Vec<u8>>, String> {
    let Some(mask) = Numbers::find(file, "mask")? else { return Ok(None) };
    let size = spec.mask_size().ok_or("there is a mask, and this policy takes none")?;
    if mask.values.len() != rows * size {
        return Err(format!("mask has shape {:?}, expected [{rows}, {size}]", mask.shape));
    }
    match mask.values.iter().find(|x| **x != 0.0 && **x != 1.0) {
        Some(value) => Err(format!("mask holds {value}, expected 0 or 1")),
        None => Ok(Some(mask.values.iter().map(|x| u8::from(*x == 1.0)).collect())),
    }
}

fn read_expected(file: &SafeTensors<'_>, rows: usize) -> Result<Vec<Expected>, String> {
    let mut expected = Vec::new();
    for name in OUTPUTS {
        let Some(numbers) = Numbers::find(file, name)? else { continue };
        if numbers.values.is_empty() || numbers.values.len() % rows != 0 {
            return Err(format!("{name} has shape {:?} for {rows} rows", numbers.shape));
        }
        expected.push(Expected { name: name.into(), values: numbers.values });
    }
    match expected.is_empty() {
        true => Err(format!("there is nothing to compare with: none of {}", OUTPUTS.join(", "))),
        false => Ok(expected),
    }
}
