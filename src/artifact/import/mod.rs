//! Readers of other programs' checkpoint files: PyTorch's, Stable-Baselines3's, pickles of numpy
//! arrays and Gymnasium spaces. They execute nothing: a pickle is a program for a small machine,
//! and this one builds inert data whatever the program says.
//!
//! Such files come from strangers. Whatever is in them, a reader ends soon, in bounded memory, with
//! a value or a sentence; no length in a file is believed before it has been held against the file.

pub mod archive;
mod element;
pub mod error;
mod layout;
pub mod numpy;
pub mod pickle;
pub mod spaces;
#[cfg(test)]
pub(crate) mod tests;
pub mod torch;
pub mod torchscript;
pub mod vec_normalize;

pub use archive::Archive;
pub use pickle::{Pickle, Value};
pub use torch::TorchFile;
