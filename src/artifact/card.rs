//! `model_card.yaml`: what an artifact is, and the digests of its files.

use std::{collections::BTreeMap, path::Path};

use semver::Version;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_saphyr::options::NonFiniteFloatPolicy;

use super::ArtifactError;
use crate::{
    policy::PolicySpec,
    wire::{Space, named::SENSORS, subjects},
};

pub const CARD_FILE: &str = "model_card.yaml";
pub const WEIGHTS_FILE: &str = "model.safetensors";
pub const GOLDEN_FILE: &str = "golden.safetensors";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub schema: u32,
    /// A subject token: letters, digits, `-` and `_`.
    pub name: String,
    pub version: Version,
    pub description: String,
    /// How the policy was trained: PPO, SAC, BC, …
    pub algorithm: String,
    /// Names of the observation's elements, in order; `sensors` stands for all that the others
    /// leave. With `action_names`, the model takes named observations too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_names: Option<Vec<String>>,
    pub policy: PolicySpec,
    /// Where the weights come from; for people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, String>,
    /// SHA-256 of every file, in hex.
    pub files: BTreeMap<String, String>,
}

impl Card {
    /// The schema that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// Parses and checks a card.
    ///
    /// # Errors
    /// `file` with line and column, or the key that is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ArtifactError> {
        let card: Card = from_yaml(text)
            .map_err(|error| ArtifactError::new(file, format!("not a model card: {error}")))?;
        card.check().map_err(|problem| ArtifactError::new(file, problem))?;
        Ok(card)
    }

    /// # Errors
    /// What the YAML writer says.
    pub fn to_yaml(&self) -> Result<String, String> {
        serde_saphyr::to_string(self).map_err(|error| error.to_string())
    }

    fn check(&self) -> Result<(), String> {
        if self.schema != Self::SCHEMA {
            return Err(format!("schema is {}, this program reads {}", self.schema, Self::SCHEMA));
        }
        if !subjects::is_token(&self.name) {
            return Err(format!(
                "name is {:?}, expected letters, digits, - and _ only: it is part of a subject",
                self.name
            ));
        }
        self.policy.check()?;
        self.check_features()?;
        self.check_action_names()?;
        for file in [WEIGHTS_FILE, GOLDEN_FILE] {
            if !self.files.contains_key(file) {
                return Err(format!("files has no digest for {file}"));
            }
        }
        Ok(())
    }

    fn check_features(&self) -> Result<(), String> {
        let Some(features) = &self.observation_features else { return Ok(()) };
        let space = &self.policy.observation_space;
        if !matches!(space, Space::Box { .. }) {
            return Err(format!("observation_features names elements of a {} space", space.name()));
        }
        // A named reply has no place for what a recurrent policy remembers.
        if self.action_names.is_some() && self.policy.network.lstm.is_some() {
            return Err("observation_features and action_names: a recurrent policy can't have both, since named replies carry no state".into());
        }
        let size = space.size();
        let lists = features.iter().filter(|name| *name == SENSORS).count();
        let fits = match lists {
            0 => features.len() == size,
            1 => features.len() <= size,
            _ => false,
        };
        match fits {
            true => Ok(()),
            false => Err(format!(
                "observation_features names {} features ({lists} of them {SENSORS}), the observation has {size} elements",
                features.len()
            )),
        }
    }

    fn check_action_names(&self) -> Result<(), String> {
        let Some(names) = &self.action_names else { return Ok(()) };
        match &self.policy.action_space {
            space @ Space::Box { .. } if names.len() == space.size() => Ok(()),
            space => Err(format!(
                "action_names names {} actions, the {} action space has {} elements",
                names.len(),
                space.name(),
                space.size()
            )),
        }
    }
}

/// Reads YAML as cards and specs are written.
///
/// # Errors
/// With line and column.
pub(super) fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    // Unbounded spaces have infinite bounds. The key `n` of a discrete one is no boolean, as
    // YAML 1.1 would have it.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}
