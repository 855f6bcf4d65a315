//! MessagePack as replies need it, written piece by piece behind what is in a buffer. The general
//! writer takes several times as long, and a worker writes a reply for each request.

use bytes::{BufMut, BytesMut};

use super::view::TensorView;

/// Writes the shortest form of everything, as the general writer does.
pub(super) struct Writer<'b>(pub &'b mut BytesMut);

impl Writer<'_> {
    pub fn map(&mut self, keys: usize) {
        self.head(keys, [0x80, 0xde, 0xdf], 16);
    }

    pub fn text(&mut self, text: &str) {
        match text.len() {
            len @ 32..256 => self.0.put_slice(&[0xd9, len as u8]),
            len => self.head(len, [0xa0, 0xda, 0xdb], 32),
        }
        self.0.put_slice(text.as_bytes());
    }

    pub fn number(&mut self, number: u64) {
        match number {
            0..0x80 => self.0.put_u8(number as u8),
            0x80..0x100 => self.0.put_slice(&[0xcc, number as u8]),
            0x100..0x1_0000 => {
                self.0.put_u8(0xcd);
                self.0.put_u16(number as u16);
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.put_u8(0xce);
                self.0.put_u32(number as u32);
            }
            _ => {
                self.0.put_u8(0xcf);
                self.0.put_u64(number);
            }
        }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        match bytes.len() {
            len @ 0..256 => self.0.put_slice(&[0xc4, len as u8]),
            len => self.head(len, [0, 0xc5, 0xc6], 0),
        }
        self.0.put_slice(bytes);
    }

    /// The native form.
    pub fn tensor(&mut self, tensor: &TensorView<'_>) {
        self.map(3);
        self.text("dtype");
        self.text(tensor.values.dtype().name());
        self.text("shape");
        self.head(tensor.shape.len(), [0x90, 0xdc, 0xdd], 16);
        tensor.shape.iter().for_each(|size| self.number(*size as u64));
        self.text("data");
        self.bytes(&tensor.values.to_le_bytes());
    }

    /// Markers: of fewer than `few` with their number in it, of 16 bits of number, of 32.
    fn head(&mut self, len: usize, [fix, short, long]: [u8; 3], few: usize) {
        if len < few {
            self.0.put_u8(fix | len as u8);
        } else if let Ok(len) = u16::try_from(len) {
            self.0.put_u8(short);
            self.0.put_u16(len);
        } else {
            // A message of 4 GiB is more than any broker carries.
            self.0.put_u8(long);
            self.0.put_u32(len as u32);
        }
    }
}
