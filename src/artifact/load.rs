//! Reading an artifact, and holding it against its own card.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{ArtifactError, CARD_FILE, Card, Deviation, GOLDEN_FILE, Golden, WEIGHTS_FILE};
use crate::policy::{
    NeuralPolicy, Weights,
    device::{Device, Precision},
    message,
};

/// More than any policy this program can run.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// A card is read by people.
const MAX_CARD_BYTES: u64 = 1 << 20;

/// An artifact whose files are those that its card names.
pub struct Artifact {
    pub folder: PathBuf,
    pub card: Card,
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// A policy that gives what its artifact promises.
pub struct Verified {
    pub policy: NeuralPolicy,
    pub deviation: Deviation,
    /// The first of the golden rows, by which it can be held to that later.
    pub golden: Golden,
    /// `cpu`, `metal` or `cuda:N`: what `auto` came to.
    pub device: String,
}

impl Artifact {
    /// Reads the card and every file it names.
    ///
    /// # Errors
    /// No card, a broken one, a file missing, outside the folder, or with another digest.
    pub fn open(folder: &Path) -> Result<Self, ArtifactError> {
        let card = read_card(folder)?;
        let mut files = BTreeMap::new();
        for (name, digest) in &card.files {
            check_inside(folder, name)?;
            let bytes = read(&folder.join(name), MAX_FILE_BYTES)?;
            check_digest(&folder.join(name), &bytes, digest)?;
            files.insert(name.clone(), bytes);
        }
        Ok(Self { folder: folder.to_owned(), card, files })
    }

    /// The first 8 hex digits of the weights' SHA-256.
    pub fn weights(&self) -> String {
        short_digest(&self.card)
    }

    /// Builds the policy on a device and holds it against the golden outputs.
    ///
    /// # Errors
    /// The device can't be opened, the weights don't fit the card, or the outputs are others.
    pub fn verify(&self, device: Device, precision: Precision) -> Result<Verified, ArtifactError> {
        let wrong = |problem: String| ArtifactError::new(&self.folder, problem);
        let device = device.open().map_err(wrong)?;
        let weights = self.file(WEIGHTS_FILE);
        let in_weights =
            |error| ArtifactError::new(&self.folder.join(WEIGHTS_FILE), message(&error));
        let weights = Weights::parse(weights).map_err(in_weights)?;
        let mut policy = NeuralPolicy::load(&self.card.policy, weights, &device, precision)
            .map_err(in_weights)?;
        let in_golden = |error| ArtifactError::new(&self.folder.join(GOLDEN_FILE), message(&error));
        let golden = Golden::parse(self.file(GOLDEN_FILE), &self.card.policy).map_err(in_golden)?;
        let deviation = golden.compare(&mut policy, precision).map_err(in_golden)?;
        let (golden, device) = (golden.first(), crate::policy::device::name(&device));
        Ok(Verified { policy, deviation, golden, device })
    }

    /// Empty for a name that the card's check would have refused.
    fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The first 8 hex digits of the weights' SHA-256, as the card gives it.
pub fn short_digest(card: &Card) -> String {
    let digest = card.files.get(WEIGHTS_FILE).map_or("", String::as_str);
    digest.chars().take(8).collect()
}

/// SHA-256 in lower-case hex.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The card in `folder`; the files that it names have not been looked at.
///
/// # Errors
/// There is none, or it is broken.
pub fn read_card(folder: &Path) -> Result<Card, ArtifactError> {
    let path = folder.join(CARD_FILE);
    let text = String::from_utf8(read(&path, MAX_CARD_BYTES)?)
        .map_err(|_| ArtifactError::new(&path, "not a model card: not UTF-8"))?;
    Card::parse(&text, &path)
}

pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, ArtifactError> {
    let wrong = |error: std::io::Error| ArtifactError::new(path, error);
    // Opening a pipe would wait for its writer.
    if !path.metadata().map_err(wrong)?.is_file() {
        return Err(ArtifactError::new(path, "not a regular file"));
    }
    let file = File::open(path).map_err(wrong)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > limit {
        return Err(ArtifactError::new(path, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// A card may come from a stranger: it names files beside itself, no others.
fn check_inside(folder: &Path, name: &str) -> Result<(), ArtifactError> {
    let mut parts = Path::new(name).components();
    let plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    if !plain {
        return Err(ArtifactError::new(
            &folder.join(CARD_FILE),
            format!("files names {name:?}, which is not a plain file name inside the folder"),
        ));
    }
    let outside = |error| ArtifactError::new(&folder.join(name), error);
    let real = folder.join(name).canonicalize().map_err(|error| outside(error.to_string()))?;
    let root = folder.canonicalize().map_err(|error| outside(error.to_string()))?;
    if !real.starts_with(&root) {
        return Err(outside(format!("a link that leads out of the folder, to {}", real.display())));
    }
    Ok(())
}

fn check_digest(path: &Path, bytes: &[u8], expected: &str) -> Result<(), ArtifactError> {
    let got = digest(bytes);
    if got.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(ArtifactError::new(
        path,
        format!("SHA-256 is {got}, the card says {expected}: the file was changed or cut short"),
    ))
}
