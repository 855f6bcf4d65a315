//! Trained policies on disk: `<root>/<name>/<version>/`, each with a card, its weights and golden
//! outputs. An artifact serves only after its digests, shapes, numbers and golden outputs hold.
//!
//! A file is read once: the bytes that were hashed are the bytes that are parsed.

mod card;
mod create;
mod error;
mod golden;
pub mod import;
mod load;
pub mod reference;
pub mod store;
#[cfg(test)]
mod tests;

pub use card::{CARD_FILE, Card, GOLDEN_FILE, WEIGHTS_FILE};
pub use create::{Draft, create};
pub use error::ArtifactError;
pub use golden::{Deviation, Golden};
pub use load::{Artifact, Verified, digest, read_card, short_digest};
