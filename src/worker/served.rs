//! What a worker serves, as its requests and replies need to know it.

use crate::{
    artifact::{Artifact, Card, Verified, short_digest},
    policy::{Policy, device::Precision},
    settings::Limits,
    wire::{Space, Spec, StateForm, Wants},
};

/// One model on one worker. Never changes while the worker lives.
#[derive(Clone, Debug)]
pub struct Served {
    /// The answer on the spec subject.
    pub spec: Spec,
    /// The element names of the CarlaRL form, if the card has both sides of it.
    pub named: Option<Named>,
    /// What requests may want.
    pub wants: Wants,
    /// How clients carry what a recurrent policy remembers.
    pub state: Option<StateForm>,
    /// Elements of a row's action mask, if the policy takes masks.
    pub mask_size: Option<usize>,
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
            recurrent: policy.state_size().is_some(),
            masked: policy.mask_size().is_some(),
            max_rows: limits.request_rows,
            max_bytes: limits.request_bytes,
            device: verified.device.clone(),
            precision: precision.to_string(),
            worker: worker.to_string(),
        };
        let named = card.observation_features.clone().zip(card.action_names.clone());
        let named = named.map(|(features, actions)| Named { features, actions });
        let state = policy.state_size().map(|size| StateForm { weights: fingerprint(card), size });
        Self { spec, named, wants, state, mask_size: policy.mask_size() }
    }

    pub fn observation_space(&self) -> &Space {
        &self.spec.observation_space
    }
}

/// The first 32 bits of the weights' SHA-256.
fn fingerprint(card: &Card) -> u32 {
    // A verified card's digests are hex.
    u32::from_str_radix(&short_digest(card), 16).unwrap_or_default()
}
