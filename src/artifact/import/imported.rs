//! A policy out of a foreign file, on its way to an artifact.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::{
    error::{ImportError, Result},
    numpy::Array,
    spec_file::{NormalizeFile, SpecFile},
    vec_normalize::{Moments, Statistics},
};
use crate::{
    policy::{PolicySpec, spec::Normalize},
    wire::Space,
};

pub struct Imported {
    pub algorithm: String,
    /// What the file is, for people.
    pub source: String,
    /// Steps of the training, if the file tells.
    pub steps: Option<u64>,
    pub spec: PolicySpec,
    /// Under the names that an artifact has for them.
    pub tensors: HashMap<String, Tensor>,
    /// Which files were read, for the card's provenance.
    pub files: Vec<(&'static str, String)>,
    pub description: Option<String>,
    pub observation_features: Option<Vec<String>>,
    pub action_names: Option<Vec<String>>,
    /// Whether the training saw observations that are not as an environment gives them.
    pub altered: bool,
    /// Where people go wrong with such a file.
    pub warnings: Vec<String>,
}

impl Imported {
    pub fn new(
        algorithm: String,
        source: String,
        spec: PolicySpec,
        tensors: HashMap<String, Tensor>,
    ) -> Self {
        Self {
            algorithm,
            source,
            steps: None,
            spec,
            tensors,
            files: vec![],
            description: None,
            observation_features: None,
            action_names: None,
            altered: false,
            warnings: vec![],
        }
    }

    /// Numbers in all weights.
    pub fn parameters(&self) -> usize {
        let weights = self.tensors.iter().filter(|(name, _)| !name.starts_with("observation."));
        weights.map(|(_, tensor)| tensor.elem_count()).sum()
    }

    /// What the spec file says besides.
    ///
    /// # Errors
    /// Its statistics don't fit the observation.
    pub fn describe(&mut self, given: &SpecFile) -> Result<()> {
        let names = |given: &Option<Vec<String>>, found: &mut Option<Vec<String>>| {
            if given.is_some() {
                found.clone_from(given);
            }
        };
        names(&given.observation_features, &mut self.observation_features);
        names(&given.action_names, &mut self.action_names);
        self.description.clone_from(&given.description);
        match &given.normalize {
            Some(NormalizeFile { mean, var, epsilon, clip }) => {
                let array = |values: &Vec<f64>| Array {
                    shape: self.spec.observation_space.shape(),
                    values: values.clone(),
                };
                let (mean, var) = (array(mean), array(var));
                let by_key = vec![Moments { key: None, mean, var }];
                let (clip, epsilon) = (*clip, *epsilon);
                self.normalize(&Statistics { norm_obs: true, clip, epsilon, by_key })
            }
            None => Ok(()),
        }
    }

    /// Normalises observations as the training did.
    ///
    /// # Errors
    /// The statistics are of other observations.
    pub fn normalize(&mut self, statistics: &Statistics) -> Result<()> {
        if !statistics.norm_obs {
            self.warnings.push(
                "these statistics are of rewards alone (norm_obs is False): observations stay as they are".into(),
            );
            return Ok(());
        }
        let whole = self.spec.observation_space.clone();
        for moments in &statistics.by_key {
            self.put_moments(&whole, moments)?;
        }
        let keys = statistics.by_key.iter().filter_map(|moments| moments.key.clone());
        self.spec.normalize = Some(Normalize {
            epsilon: statistics.epsilon,
            clip: statistics.clip,
            keys: matches!(whole, Space::Dict { .. }).then(|| keys.collect()),
            clip_inputs: false,
        });
        Ok(())
    }

    fn put_moments(&mut self, whole: &Space, moments: &Moments) -> Result<()> {
        let Moments { key, mean, var } = moments;
        let pieces = whole.pieces();
        let piece = pieces.iter().find(|(name, _)| *name == key.as_deref());
        let Some((_, space)) = piece else {
            return Err(ImportError::new(match key {
                Some(key) => format!("the statistics are of {key}, which the observation has not"),
                None => "the statistics are of one box, the observation is a dict".into(),
            }));
        };
        if mean.values.len() != space.size() || var.values.len() != space.size() {
            return Err(ImportError::new(format!(
                "the statistics have shape {:?}, the observation has {:?}",
                mean.shape,
                space.shape()
            )));
        }
        let stem = key.as_ref().map_or("observation".into(), |key| format!("observation.{key}"));
        for (name, array) in [("mean", mean), ("var", var)] {
            let tensor = Tensor::from_slice(&array.values, array.values.len(), &Device::Cpu)?;
            self.tensors.insert(format!("{stem}.{name}"), tensor);
        }
        Ok(())
    }
}
