//! The bytes of a pickle, read from front to back.

use super::MAX_TEXT;
use crate::artifact::import::error::{ImportError, Result};

pub struct Input<'b> {
    bytes: &'b [u8],
    position: usize,
}

impl<'b> Input<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    pub fn position(&self) -> usize {
        self.position
    }

    /// The next `length` bytes, if they are there: so a length out of the file is held against the
    /// file before anybody makes room for it.
    pub fn take(&mut self, length: u64) -> Result<&'b [u8]> {
        let rest = self.rest();
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| {
            ImportError::new(format!(
                "expected {length} more bytes, the file ends after {}",
                rest.len()
            ))
        })?;
        self.position += taken.len();
        Ok(taken)
    }

    /// The same for a text, which has a limit of its own.
    pub fn take_text(&mut self, length: u64) -> Result<&'b [u8]> {
        match length <= MAX_TEXT as u64 {
            true => self.take(length),
            false => {
                Err(ImportError::new(format!("a text of {length} bytes, the limit is {MAX_TEXT}")))
            }
        }
    }

    /// The bytes up to a newline, which is dropped.
    pub fn line(&mut self) -> Result<&'b [u8]> {
        let rest = self.rest();
        let end = rest.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or_else(|| ImportError::new("a line without an end"))?;
        let line = self.take_text(end as u64)?;
        self.position += 1;
        Ok(line)
    }

    /// # Errors
    /// The frame would end after the file.
    pub fn check_frame(&self, length: u64) -> Result<()> {
        match length <= self.rest().len() as u64 {
            true => Ok(()),
            false => Err(ImportError::new(format!(
                "a frame of {length} bytes, the file ends after {}",
                self.rest().len()
            ))),
        }
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The one number that pickles hold big-endian.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        <[u8; N]>::try_from(self.take(N as u64)?).map_err(ImportError::new)
    }

    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.position..).unwrap_or(&[])
    }
}
