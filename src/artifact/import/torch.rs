//! Files of `torch.save` and `torch.jit.save`: a pickle and raw storages in a zip archive.

mod recognise;
mod storage;
mod tensor;
#[cfg(test)]
mod tests;

pub use recognise::{is_legacy, is_safetensors};

use std::cell::Cell;

use candle_core::Tensor;

use self::storage::Storages;
use super::{
    Archive, Pickle, Value,
    error::{ImportError, Result},
};

/// Elements of one tensor. A view may claim any number of them over a single byte.
pub const MAX_TENSOR_ELEMENTS: usize = 1 << 26;
/// Elements of all tensors that are read from one file.
pub const MAX_ELEMENTS: usize = 1 << 27;

/// A file that was read into memory; its tensors are made when they are asked for.
#[derive(Debug)]
pub struct TorchFile {
    pickle: Pickle,
    storages: Storages,
    /// Elements of the tensors made so far.
    elements: Cell<usize>,
}

impl TorchFile {
    /// Reads the archive's pickle and storages.
    ///
    /// # Errors
    /// Of another format, which is named if it is a known one; broken; or beyond a limit.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        recognise::check(bytes)?;
        let mut archive = Archive::open(bytes)?;
        let pickle = pickle_name(&archive)?;
        let folder = pickle.strip_suffix(PICKLE).unwrap_or_default();
        check_byte_order(&mut archive, folder)?;
        let storages = Storages::read(&mut archive, folder)?;
        let place = |error: ImportError| error.within(&pickle);
        let pickle = Pickle::read(&archive.read(&pickle)?).map_err(place)?;
        Ok(Self { pickle, storages, elements: Cell::new(0) })
    }

    /// What was saved.
    pub fn root(&self) -> Value<'_> {
        self.pickle.root()
    }

    /// A dict of names to tensors, in order.
    ///
    /// # Errors
    /// Anything else; the entry that is no tensor is named.
    pub fn state_dict(&self, value: Value<'_>) -> Result<Vec<(String, Tensor)>> {
        let wrong = || ImportError::expected("a dict of names to tensors", value);
        let entries = value.entries().ok_or_else(wrong)?;
        let mut tensors = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let wrong = || ImportError::expected("the name of a tensor", key);
            let name = key.as_str().ok_or_else(wrong)?;
            // Versions of modules, which some writers leave among the tensors.
            if name != "_metadata" {
                tensors.push((name.to_owned(), self.entry(name, value)?));
            }
        }
        check_names(&tensors)?;
        Ok(tensors)
    }

    fn entry(&self, name: &str, value: Value<'_>) -> Result<Tensor> {
        let place = |error: ImportError| error.within(format!("the entry {name}"));
        let tensor = self.tensor(value).map_err(place)?;
        tensor.ok_or_else(|| place(ImportError::expected("a tensor", value)))
    }
}

const PICKLE: &str = "data.pkl";

/// The pickle lies in a folder that is named after the file, whatever it is called today.
fn pickle_name(archive: &Archive<'_>) -> Result<String> {
    let is_pickle = |name: &&str| match name.strip_suffix(PICKLE) {
        Some(folder) => folder.is_empty() || folder.find('/') == folder.len().checked_sub(1),
        None => false,
    };
    let mut found = archive.names().filter(is_pickle);
    match (found.next(), found.next()) {
        (Some(name), None) => Ok(name.to_owned()),
        (Some(one), Some(other)) => Err(ImportError::new(format!(
            "not a file of torch.save: it has two pickles, {one} and {other}"
        ))),
        (None, _) => Err(ImportError::new(format!(
            "not a file of torch.save: no member {PICKLE} among {}",
            some_names(archive)
        ))),
    }
}

fn some_names(archive: &Archive<'_>) -> String {
    let names: Vec<_> = archive.names().take(6).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn check_byte_order(archive: &mut Archive<'_>, folder: &str) -> Result<()> {
    let member = format!("{folder}byteorder");
    // Before PyTorch 2.1 nobody wrote it down.
    if !archive.contains(&member) {
        return Ok(());
    }
    match archive.read(&member)?.trim_ascii() {
        b"little" => Ok(()),
        other => Err(ImportError::new(format!(
            "the byte order is {:?}, expected little: save the file on another machine",
            String::from_utf8_lossy(other.get(..16).unwrap_or(other))
        ))),
    }
}

/// In Python the later of two would win; no pickler writes such a dict.
fn check_names(tensors: &[(String, Tensor)]) -> Result<()> {
    let mut names: Vec<_> = tensors.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.iter().zip(names.iter().skip(1)).find(|(one, next)| one == next) {
        Some((name, _)) => Err(ImportError::new(format!("two entries {name}"))),
        None => Ok(()),
    }
}
