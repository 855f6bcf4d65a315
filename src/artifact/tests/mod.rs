//! Artifacts on a real disk: sound ones, and ones broken in every way we can think of.

mod broken_card;
mod broken_files;
mod create;
mod store;

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use tempfile::TempDir;

use super::{
    Artifact, CARD_FILE, Card, GOLDEN_FILE, WEIGHTS_FILE, create as create_artifact, load::digest,
};
use crate::{
    policy::device::{Device, Precision},
    tiny,
};

/// An artifact of its own for one test, to be broken.
struct Scratch {
    root: TempDir,
    folder: PathBuf,
}

impl Scratch {
    fn tiny() -> Self {
        let root = tempfile::tempdir().unwrap();
        let folder = create_artifact(root.path(), tiny::draft()).unwrap().folder;
        Self { root, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn edit_card(&self, edit: impl FnOnce(&mut Card)) {
        let path = self.file(CARD_FILE);
        let mut card = Card::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
        edit(&mut card);
        fs::write(path, card.to_yaml().unwrap()).unwrap();
    }

    fn edit_card_text(&self, from: &str, to: &str) {
        let path = self.file(CARD_FILE);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "the card has no {from:?}: {text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// With the card's digest changed to fit, so that it is the content that is refused.
    fn replace(&self, file: &str, bytes: &[u8]) {
        fs::write(self.file(file), bytes).unwrap();
        self.edit_card(|card| {
            card.files.insert(file.into(), digest(bytes));
        });
    }

    fn edit_tensors(&self, file: &str, edit: impl FnOnce(&mut HashMap<String, Tensor>)) {
        let mut tensors = tensors_of(&self.file(file));
        edit(&mut tensors);
        self.replace(file, &safetensors::serialize(tensors, None).unwrap());
    }

    /// What a worker would be told.
    fn refusal(&self) -> String {
        match verify(&self.folder) {
            Ok(()) => panic!("{} was accepted", self.folder.display()),
            Err(refusal) => refusal,
        }
    }

    /// That the artifact is refused with a message about `file` that says `parts`.
    #[track_caller]
    fn assert_refused(&self, file: &str, parts: &[&str]) {
        let refusal = self.refusal();
        let place = format!("{}: ", self.file(file).display());
        assert!(refusal.starts_with(&place), "not about {file}: {refusal}");
        for part in parts {
            assert!(refusal.contains(part), "no {part:?} in: {refusal}");
        }
    }
}

fn verify(folder: &Path) -> Result<(), String> {
    Artifact::open(folder)
        .and_then(|artifact| artifact.verify(Device::Cpu, Precision::F32))
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn tensors_of(file: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(file, &candle_core::Device::Cpu).unwrap()
}
