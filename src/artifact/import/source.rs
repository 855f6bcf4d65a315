//! What kind of file or folder was given, and its reader.

use std::path::{Path, PathBuf};

use super::{
    Archive, Imported, Pickle, TorchFile, carlarl, cleanrl,
    error::{ImportError, Result},
    named_layers, read_file, rllib,
    sb3::{self, Checkpoint},
    spec_file::SpecFile,
    state_dict::StateDict,
    torch, vec_normalize,
};

const ZIP: &[u8] = b"PK";
const PICKLE: u8 = 0x80;

/// Reads a folder that this program knows.
///
/// # Errors
/// It is of no known kind, broken, or a policy that can't be rebuilt.
pub fn read_folder(folder: &Path, given: &SpecFile) -> Result<Imported> {
    if folder.join(carlarl::MODEL).is_file() {
        return whole(carlarl::import(folder)?, given);
    }
    let below: [PathBuf; 2] =
        [folder.join(rllib::FILE), folder.join(rllib::BELOW).join(rllib::FILE)];
    match below.iter().find(|file| file.is_file()) {
        Some(file) => read_pickle(&read_file(file)?, given),
        None => Err(ImportError::new(format!(
            "a folder without {} (of the CarlaRL service) and without {} (of RLlib)",
            carlarl::MODEL,
            rllib::FILE
        ))),
    }
}

/// Reads any file that this program knows.
///
/// # Errors
/// It is of no known kind, broken, or a policy that can't be rebuilt.
pub fn read_bytes(bytes: &[u8], given: &SpecFile) -> Result<Imported> {
    if bytes.starts_with(ZIP) {
        return read_archive(bytes, given);
    }
    if torch::is_safetensors(bytes) {
        let tensors = candle_core::safetensors::load_buffer(bytes, &candle_core::Device::Cpu)?;
        return from_state_dict(StateDict::new(tensors.into_iter().collect())?, given);
    }
    if bytes.first() == Some(&PICKLE) && !torch::is_legacy(bytes) {
        return read_pickle(bytes, given);
    }
    // It names what else it may be.
    TorchFile::open(bytes).and_then(|file| read_torch(&file, given))
}

fn read_archive(bytes: &[u8], given: &SpecFile) -> Result<Imported> {
    let mut archive = Archive::open(bytes)?;
    if Checkpoint::is_zip(&archive) {
        return whole(sb3::import(Checkpoint::of_zip(&mut archive)?)?, given);
    }
    read_torch(&TorchFile::open(bytes)?, given)
}

/// A checkpoint that says all of itself.
fn whole(mut imported: Imported, given: &SpecFile) -> Result<Imported> {
    let repeated = given.repeated();
    if !repeated.is_empty() {
        imported.warnings.push(format!(
            "{} of the spec: not used, the checkpoint says it itself",
            repeated.join(", ")
        ));
    }
    Ok(imported)
}

fn read_torch(file: &TorchFile, given: &SpecFile) -> Result<Imported> {
    let root = file.root();
    if Checkpoint::is_bare(root) {
        return whole(sb3::import(Checkpoint::of_bare(file)?)?, given);
    }
    if root.get("model_weights").is_some() {
        return Err(ImportError::new(
            "a checkpoint of CleanRL's C51: distributions over values are not supported",
        ));
    }
    // TD3 and DDPG of CleanRL save a tuple, the actor first; others a dict around the state dict.
    let actor = root.elements().and_then(|parts| parts.first().copied());
    let inner = ["state_dict", "model_state_dict", "model"].iter().find_map(|name| root.get(name));
    let state_dict = file.state_dict(actor.or(inner).unwrap_or(root))?;
    from_state_dict(StateDict::new(state_dict)?, given)
}

fn read_pickle(bytes: &[u8], given: &SpecFile) -> Result<Imported> {
    let pickle = Pickle::read(bytes)?;
    if vec_normalize::read(pickle.root()).is_ok() {
        return Err(ImportError::new(
            "this is a VecNormalize: give the policy's file, and this one with --vec-normalize",
        ));
    }
    from_state_dict(rllib::read(&pickle)?, given)
}

fn from_state_dict(state_dict: StateDict, given: &SpecFile) -> Result<Imported> {
    let mut imported = if given.layers.is_some() {
        named_layers::import(state_dict, given)
    } else if rllib::is_known(&state_dict) {
        rllib::import(state_dict, given)
    } else if cleanrl::is_known(&state_dict) {
        cleanrl::import(state_dict, given)
    } else if Checkpoint::is_state_dict(&state_dict) {
        sb3::import(Checkpoint::of_state_dict(state_dict, given)?)
    } else {
        named_layers::import(state_dict, given)
    }?;
    given.apply(&mut imported.spec);
    if let Some(algorithm) = &given.algorithm {
        imported.algorithm.clone_from(algorithm);
    }
    Ok(imported)
}
