//! Real files and broken ones, read by every reader.

mod arrays;
mod normalization;
mod scripted;
mod spaces;
mod strangers;
pub mod zips;

use std::{fs, path::Path};

use super::{Pickle, error::ImportError};

/// A small file that the program itself wrote.
pub fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    fs::read(folder.join(name)).unwrap()
}

pub fn pickle(name: &str) -> Pickle {
    Pickle::read(&fixture(name)).unwrap()
}

/// Everything that can be asked of a pickle, for what it does and not for what it gives.
pub fn look_at_all(bytes: &[u8]) -> Result<(), ImportError> {
    let pickle = Pickle::read(bytes)?;
    let root = pickle.root();
    root.describe();
    let entries = root.entries().unwrap_or_default();
    let values = entries.into_iter().flat_map(|(key, value)| [key, value]);
    for value in values.chain(root.elements().unwrap_or_default()).chain([root]) {
        let _ = super::numpy::array(value).map(|array| array.map(|array| array.values.len()));
        let _ = super::numpy::tensor(value).map(|tensor| tensor.map(|tensor| tensor.elem_count()));
        let _ = super::spaces::read(value).map(|space| space.size());
        let _ = super::vec_normalize::read(value).map(|statistics| statistics.by_key.len());
        value.describe();
    }
    Ok(())
}

#[track_caller]
pub fn assert_says<T>(result: Result<T, ImportError>, words: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}
