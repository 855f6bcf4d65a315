//! What a model takes and gives: the answer on the spec subject.

use serde::{Deserialize, Serialize};

use super::space::Space;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub model: String,
    pub model_version: String,
    /// The first 8 hex digits of the weights' SHA-256.
    pub weights: String,
    /// How the policy was trained: PPO, SAC, BC, …
    pub algorithm: String,
    pub observation_space: Space,
    pub action_space: Space,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub observation_features: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action_names: Option<Vec<String>>,
    /// What a request's `want` may name.
    pub wants: Vec<String>,
    pub recurrent: bool,
    pub masked: bool,
    /// Rows that one request may hold.
    pub max_rows: usize,
    /// Bytes that one request may hold.
    pub max_bytes: usize,
    pub device: String,
    pub precision: String,
    pub worker: String,
}

impl Spec {
    /// The same for JSON, see [`Space::finite`].
    pub fn finite(mut self) -> Self {
        self.observation_space = self.observation_space.finite();
        self.action_space = self.action_space.finite();
        self
    }
}
