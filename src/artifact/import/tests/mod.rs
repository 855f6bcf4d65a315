//! Real files and broken ones, read by every reader.

mod arrays;
mod normalization;
mod spaces;
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

#[track_caller]
pub fn assert_says<T>(result: Result<T, ImportError>, words: &[&str]) {
    let text = result.err().expect("an error").to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}
