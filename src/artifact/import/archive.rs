//! Zip archives in memory: what PyTorch and Stable-Baselines3 save.
//!
//! Members are looked up by name and read into memory; nothing is ever written to disk. An archive
//! may lie inside another one.

use std::io::{Cursor, Read};

use zip::{ZipArchive, result::ZipError};

use super::error::{ImportError, Result};

/// What every entry of an archive's directory begins with.
const DIRECTORY_ENTRY: &[u8] = b"PK\x01\x02";

/// How much of an archive is read. A few bytes may claim to unpack to any number.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub members: usize,
    pub member_bytes: u64,
    /// Of all that is read from one archive.
    pub total_bytes: u64,
}

impl Limits {
    /// A policy is of some megabytes, with a member for each of its tensors.
    pub const CHECKPOINT: Limits =
        Limits { members: 1 << 14, member_bytes: 1 << 28, total_bytes: 1 << 29 };

    fn exceeded(self, name: &str) -> ImportError {
        let Limits { member_bytes, total_bytes, .. } = self;
        ImportError::new(format!(
            "the member {name} is too large: at most {member_bytes} bytes are unpacked of a member \
             and {total_bytes} of an archive"
        ))
    }
}

/// An archive whose names were checked.
pub struct Archive<'b> {
    zip: ZipArchive<Cursor<&'b [u8]>>,
    names: Vec<String>,
    limits: Limits,
    /// Bytes that were read so far.
    read: u64,
}

impl<'b> Archive<'b> {
    /// Reads the directory of an archive, with [`Limits::CHECKPOINT`].
    ///
    /// # Errors
    /// No archive, one with too many members, or with a name that is there twice or leads out.
    pub fn open(bytes: &'b [u8]) -> Result<Self> {
        Self::with_limits(bytes, Limits::CHECKPOINT)
    }

    /// The same with limits of one's own.
    ///
    /// # Errors
    /// Those of [`Archive::open`].
    pub fn with_limits(bytes: &'b [u8], limits: Limits) -> Result<Self> {
        check_members(bytes, limits)?;
        let broken = |error: ZipError| ImportError::new(format!("not a zip archive: {error}"));
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
        if zip.has_duplicate_names() {
            return Err(ImportError::new("a zip archive with two members of one name"));
        }
        let names = zip.file_names().map(|name| name.map(|name| name.into_owned()));
        let names = names.collect::<std::result::Result<Vec<_>, _>>().map_err(broken)?;
        names.iter().try_for_each(|name| check_name(name))?;
        Ok(Self { zip, names, limits, read: 0 })
    }

    /// The members, in the order of the archive's directory.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Unpacks a member.
    ///
    /// # Errors
    /// It is missing, damaged, encrypted, packed in an unknown way, or larger than the limits.
    pub fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let left = self.limits.total_bytes.saturating_sub(self.read);
        let limit = self.limits.member_bytes.min(left);
        let broken = |error: String| ImportError::new(error).within(format!("the member {name}"));
        let member = self.zip.by_name(name).map_err(|error| broken(error.to_string()))?;
        if member.size() > limit {
            return Err(self.limits.exceeded(name));
        }
        let mut bytes = Vec::new();
        // The size that it claims may be a lie.
        let unpacked = member.take(limit.saturating_add(1)).read_to_end(&mut bytes);
        unpacked.map_err(|error| broken(error.to_string()))?;
        if bytes.len() as u64 > limit {
            return Err(self.limits.exceeded(name));
        }
        self.read = self.read.saturating_add(bytes.len() as u64);
        Ok(bytes)
    }
}

/// Counts before the directory is read, since that takes memory for each entry.
fn check_members(bytes: &[u8], limits: Limits) -> Result<()> {
    let starts = bytes.windows(DIRECTORY_ENTRY.len()).filter(|bytes| *bytes == DIRECTORY_ENTRY);
    match starts.count() <= limits.members {
        true => Ok(()),
        false => Err(ImportError::new(format!(
            "a zip archive of more than {} members, the limit",
            limits.members
        ))),
    }
}

/// Nothing is extracted, so such a name does no harm here; but nobody honest writes one.
fn check_name(name: &str) -> Result<()> {
    let absolute = name.starts_with(['/', '\\']) || name.get(1..2) == Some(":");
    let leaves = name.split(['/', '\\']).any(|part| part == "..");
    match absolute || leaves || name.contains('\0') {
        true => Err(ImportError::new(format!("the member {name:?} would leave the archive"))),
        false => Ok(()),
    }
}
