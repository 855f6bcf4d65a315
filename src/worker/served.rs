//! What a worker serves, as its requests and replies need to know it.

use crate::{
    artifact::{Artifact, Verified},
    policy::{Policy, device::Precision},
    settings::Limits,
    wire::{Space, Spec},
};

/// One model on one worker. Never changes while the worker lives.
#[derive(Clone, Debug)]
pub struct Served {
    /// The answer on the spec subject.
    pub spec: Spec,
    /// The element names of the CarlaRL form, if the card has both sides of it.
    pub named: Option<Named>,
    /// What requests may want.
    pub wants: crate::wire::Wants,
}

#[derive(Clone, Debug)]
pub struct Named {
    pub features: Vec<String>,
    pub actions: Vec<String>,
}

impl Served {
    pub fn new(
        artifact: &Artifact,
        verified: &Verified,
        precision: Precision,
        limits: &Limits,
        worker: &str,
    ) -> Self {
        let card = &artifact.card;
        let policy = verified.policy.spec();
        let wants = policy.wants();
        let spec = Spec {
            model: card.name.clone(),
            model_version: card.version.to_string(),
            weights: artifact.weights(),
            algorithm: card.algorithm.clone(),
            observation_space: policy.observation_space.clone(),
            action_space: policy.action_space.clone(),
            observation_features: card.observation_features.clone(),
            action_names: card.action_names.clone(),
            wants: wants.names().into_iter().map(String::from).collect(),
            recurrent: false,
            masked: false,
            max_rows: limits.request_rows,
            max_bytes: limits.request_bytes,
            device: verified.device.clone(),
            precision: precision.to_string(),
            worker: worker.to_string(),
        };
        let named = card.observation_features.clone().zip(card.action_names.clone());
        let named = named.map(|(features, actions)| Named { features, actions });
        Self { spec, named, wants }
    }

    pub fn observation_space(&self) -> &Space {
        &self.spec.observation_space
    }
}
