//! `--spec FILE`: what a checkpoint does not say of itself.

use std::path::Path;

use serde::Deserialize;

use super::error::{ImportError, Result};
use crate::{
    artifact::card,
    policy::{
        PolicySpec,
        spec::{Activation, Head, Postprocess},
    },
    wire::Space,
};

/// All of it optional; which fields a file needs depends on the checkpoint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    pub algorithm: Option<String>,
    pub description: Option<String>,
    pub observation_space: Option<Space>,
    pub action_space: Option<Space>,
    /// Of the hidden layers.
    pub activation: Option<Activation>,
    pub postprocess: Option<Postprocess>,
    /// Where the state dict leaves a choice.
    pub head: Option<Head>,
    /// Whether images are divided by 255; they are unless told otherwise.
    pub scale_images: Option<bool>,
    /// Statistics of an observation normalisation that the checkpoint lacks.
    pub normalize: Option<NormalizeFile>,
    /// For state dicts with names of their own.
    pub layers: Option<LayerNames>,
    pub observation_features: Option<Vec<String>>,
    pub action_names: Option<Vec<String>>,
}

/// Statistics as they stand in a spec file, flat in C order.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NormalizeFile {
    pub mean: Vec<f64>,
    pub var: Vec<f64>,
    pub epsilon: f64,
    pub clip: f64,
}

/// Names of fully connected layers, the last one of a branch being its outputs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerNames {
    pub policy: Vec<String>,
    #[serde(default)]
    pub value: Vec<String>,
    /// The name of a vector of standard deviations.
    pub log_std: Option<String>,
}

impl SpecFile {
    /// # Errors
    /// With line and column.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        card::from_yaml(text).map_err(|error| {
            let problem = format!("{}: not a spec: {error}", file.display());
            ImportError::with_lines(problem, EXAMPLE)
        })
    }

    /// What the spec says in place of what the kind of file suggests.
    pub fn apply(&self, spec: &mut PolicySpec) {
        if let Some(head) = &self.head {
            spec.head = head.clone();
        }
        if let Some(postprocess) = self.postprocess {
            spec.postprocess = postprocess;
        }
        if let Some(scale) = self.scale_images {
            spec.network.features.scale_images = scale;
        }
    }

    /// The fields that say what a whole checkpoint says of itself.
    pub fn repeated(&self) -> Vec<&'static str> {
        [
            ("algorithm", self.algorithm.is_some()),
            ("observation_space", self.observation_space.is_some()),
            ("action_space", self.action_space.is_some()),
            ("activation", self.activation.is_some()),
            ("postprocess", self.postprocess.is_some()),
            ("head", self.head.is_some()),
            ("scale_images", self.scale_images.is_some()),
            ("layers", self.layers.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, given)| given.then_some(name))
        .collect()
    }

    /// # Errors
    /// It is missing.
    pub fn observation_space(&self) -> Result<Space> {
        self.observation_space.clone().ok_or_else(|| missing("observation_space"))
    }

    /// # Errors
    /// It is missing.
    pub fn action_space(&self) -> Result<Space> {
        self.action_space.clone().ok_or_else(|| missing("action_space"))
    }

    /// # Errors
    /// It is missing.
    pub fn activation(&self) -> Result<Activation> {
        self.activation.ok_or_else(|| missing("activation"))
    }
}

/// What a spec file looks like.
pub const EXAMPLE: &str = "A spec looks like this:
    algorithm: PPO
    observation_space: {type: box, dtype: f4, shape: [3], low: -.inf, high: .inf}
    action_space: {type: discrete, n: 5}
    activation: tanh";

fn missing(field: &str) -> ImportError {
    let problem = format!("the file does not say its {field}: give it in a file with --spec.");
    ImportError::with_lines(problem, EXAMPLE)
}
