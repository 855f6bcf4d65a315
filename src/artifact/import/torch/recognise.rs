//! What a file is, by its first bytes: people rename files, and several formats share endings.

use crate::artifact::import::error::{ImportError, Result};

const ZIP: &[u8] = b"PK\x03\x04";
/// How PyTorch's magic number is pickled: before version 1.6 it began every file.
const LEGACY_MAGIC: &[u8] = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";

/// Lets zip archives through.
///
/// # Errors
/// What the file is instead, and what to do about it.
pub fn check(bytes: &[u8]) -> Result<()> {
    if bytes.starts_with(ZIP) {
        return Ok(());
    }
    let what = match bytes {
        [] => "the file is empty".into(),
        _ if is_legacy(bytes) => "PyTorch's format from before 1.6, which is not read: load the \
             file with torch.load and save it again with torch.save"
            .into(),
        [0x80, 0..=5, ..] => "a bare pickle, not one by torch.save".into(),
        [0x81..=0x8f | 0xde | 0xdf, ..] => "a MessagePack map, as flax saves JAX models: these \
             are not read"
            .into(),
        _ if is_safetensors(bytes) => "a safetensors file, which torch.save does not write".into(),
        _ => format!("an unknown format, beginning with the bytes {}", hex(bytes)),
    };
    Err(ImportError::new(format!("expected a zip archive by torch.save, got {what}")))
}

/// PyTorch's format from before 1.6.
pub fn is_legacy(bytes: &[u8]) -> bool {
    let after_protocol = if bytes.first() == Some(&0x80) { bytes.get(2..) } else { Some(bytes) };
    after_protocol.is_some_and(|bytes| bytes.starts_with(LEGACY_MAGIC))
}

/// A header's length in eight bytes, then JSON.
pub fn is_safetensors(bytes: &[u8]) -> bool {
    bytes.get(8) == Some(&b'{')
}

fn hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}
