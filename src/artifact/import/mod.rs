//! Policies out of other programs' files: Stable-Baselines3's, CleanRL's, RLlib's, state dicts of
//! PyTorch, and the CarlaRL service's.
//!
//! The readers execute nothing: a pickle is a program for a small machine, and this one builds inert
//! data whatever the program says. Such files come from strangers. Whatever is in them, a reader
//! ends soon, in bounded memory, with a value or a sentence; no length in a file is believed before
//! it has been held against the file.

mod archive;
mod carlarl;
mod cleanrl;
mod element;
mod error;
mod imported;
mod layout;
mod named_layers;
mod numpy;
mod pickle;
mod rllib;
mod sampled;
mod sb3;
mod source;
mod spaces;
mod spec_file;
mod state_dict;
#[cfg(test)]
mod tests;
mod torch;
mod torch_nn;
mod torchscript;
mod vec_normalize;
mod wrappers;

pub use error::ImportError;
pub use imported::Imported;
pub use sampled::observations as sampled_observations;

use std::path::Path;

use archive::Archive;
use error::Result;
use pickle::{Pickle, Value};
use spec_file::SpecFile;
use torch::TorchFile;

use super::load;
use crate::printable::printable;

/// Of one foreign file.
const MAX_FILE_BYTES: u64 = 1 << 30;
const MAX_SPEC_BYTES: u64 = 1 << 20;

/// Reads the policy in `source`, with the statistics and the spec that were given beside it.
///
/// # Errors
/// A file is of no known kind or broken, the policy can't be rebuilt, or a field is missing.
pub fn import(
    source: &Path,
    vec_normalize: Option<&Path>,
    spec: Option<&Path>,
) -> Result<Imported> {
    let given = match spec {
        Some(file) => {
            let bytes = load::read(file, MAX_SPEC_BYTES).map_err(ImportError::new)?;
            SpecFile::parse(&String::from_utf8_lossy(&bytes), file)?
        }
        None => SpecFile::default(),
    };
    let mut imported = read(source, &given).map_err(|error| error.within(source.display()))?;
    imported.describe(&given).map_err(|error| error.within("normalize of the spec"))?;
    if let Some(file) = vec_normalize {
        let place = |error: ImportError| error.within(file.display());
        let bytes = read_file(file).map_err(place)?;
        let pickle = Pickle::read(&bytes).map_err(place)?;
        let statistics = vec_normalize::read(pickle.root()).map_err(place)?;
        imported.normalize(&statistics).map_err(place)?;
        imported.files.push(("vec_normalize", named_digest(file, &bytes)));
    }
    imported.spec.check().map_err(|problem| ImportError::new(problem).within(source.display()))?;
    imported.warnings.extend(wrappers::warnings(source, &imported, vec_normalize.is_some()));
    Ok(imported)
}

/// The same for a file's bytes, with nothing beside them.
///
/// # Errors
/// As [`import`].
pub fn of_bytes(bytes: &[u8]) -> Result<Imported> {
    let imported = source::read_bytes(bytes, &SpecFile::default())?;
    imported.spec.check().map_err(ImportError::new)?;
    Ok(imported)
}

fn read(source: &Path, given: &SpecFile) -> Result<Imported> {
    if source.is_dir() {
        return source::read_folder(source, given);
    }
    let bytes = read_file(source)?;
    let mut imported = source::read_bytes(&bytes, given)?;
    imported.files.push(("source_file", named_digest(source, &bytes)));
    Ok(imported)
}

/// By which a file can be found again.
fn named_digest(file: &Path, bytes: &[u8]) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!("{}, SHA-256 {}", printable(&name), load::digest(bytes))
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    // Whoever asks says which file it is.
    load::read(path, MAX_FILE_BYTES).map_err(|error| ImportError::new(error.problem))
}
