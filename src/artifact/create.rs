//! Writing an artifact.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;

use super::{
    Artifact, ArtifactError, CARD_FILE, Card, GOLDEN_FILE, Golden, WEIGHTS_FILE, load::digest,
};
use crate::{
    policy::{
        NeuralPolicy, Weights,
        device::{Device, Precision},
        message,
    },
    wire::Observations,
};

/// All of an artifact but its digests and golden outputs.
pub struct Draft {
    /// `files` is filled in here.
    pub card: Card,
    pub tensors: HashMap<String, Tensor>,
    /// Observations to record golden outputs for: such as the policy meets at work.
    pub observations: Observations,
}

/// Verifies the draft and writes it to `<root>/<name>/<version>/`. The folder appears whole and
/// sound, or not at all.
///
/// # Errors
/// The version is there already, the draft makes no working policy, or the disk refuses.
pub fn create(root: &Path, draft: Draft) -> Result<Artifact, ArtifactError> {
    let Draft { mut card, tensors, observations } = draft;
    let folder = root.join(&card.name).join(card.version.to_string());
    let wrong = |problem: String| ArtifactError::new(&folder, problem);
    if folder.exists() {
        return Err(wrong("is there already; versions are never overwritten".into()));
    }
    let weights = serialize(&tensors).map_err(wrong)?;
    let golden = record(&card, &weights, observations).map_err(|error| wrong(message(&error)))?;
    let golden = serialize(&golden).map_err(wrong)?;
    let files = [(WEIGHTS_FILE, weights), (GOLDEN_FILE, golden)].map(|(k, v)| (k.to_string(), v));
    card.files = files.iter().map(|(name, bytes)| (name.clone(), digest(bytes))).collect();
    let yaml = card.to_yaml().map_err(wrong)?;
    // What the writer made of the card, as a reader will see it.
    let card = Card::parse(&yaml, &folder.join(CARD_FILE))?;
    let artifact = Artifact { folder: folder.clone(), card, files: files.into() };
    artifact.verify(Device::Cpu, Precision::F32)?;
    write_whole(&artifact, &yaml).map_err(|error| wrong(error.to_string()))?;
    Ok(artifact)
}

fn record(
    card: &Card,
    weights: &[u8],
    observations: Observations,
) -> candle_core::Result<HashMap<String, Tensor>> {
    card.policy.check().map_err(candle_core::Error::msg)?;
    let weights = Weights::parse(weights)?;
    let cpu = candle_core::Device::Cpu;
    let mut policy = NeuralPolicy::load(&card.policy, weights, &cpu, Precision::F32)?;
    Golden::record(&mut policy, observations)
}

/// Sorted by name, so that the same tensors give the same bytes.
fn serialize(tensors: &HashMap<String, Tensor>) -> Result<Vec<u8>, String> {
    let sorted: BTreeMap<_, _> = tensors.iter().collect();
    safetensors::serialize(sorted, None).map_err(|error| error.to_string())
}

/// A reader never sees half an artifact: the files are written beside, then the folder is renamed.
fn write_whole(artifact: &Artifact, card: &str) -> std::io::Result<()> {
    let folder = &artifact.folder;
    let beside = PathBuf::from(format!("{}.partial", folder.display()));
    if beside.exists() {
        fs::remove_dir_all(&beside)?;
    }
    fs::create_dir_all(&beside)?;
    for (name, bytes) in &artifact.files {
        fs::write(beside.join(name), bytes)?;
    }
    fs::write(beside.join(CARD_FILE), card)?;
    fs::rename(&beside, folder)
}
