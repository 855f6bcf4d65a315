//! Types of elements, as PyTorch and numpy name them, and what becomes of their bytes.

use candle_core::{Device, Tensor, WithDType};
use half::{bf16, f16};

use super::{
    error::{ImportError, Result},
    layout::Layout,
};
use crate::policy::message;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    F16,
    BF16,
    F32,
    F64,
    Bool,
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
}

impl Element {
    /// numpy's codes, without the byte order.
    const CODES: [(&'static str, Element); 12] = [
        ("f2", Element::F16),
        ("f4", Element::F32),
        ("f8", Element::F64),
        ("b1", Element::Bool),
        ("u1", Element::U8),
        ("u2", Element::U16),
        ("u4", Element::U32),
        ("u8", Element::U64),
        ("i1", Element::I8),
        ("i2", Element::I16),
        ("i4", Element::I32),
        ("i8", Element::I64),
    ];
    /// PyTorch's names of `torch.dtype`s and numpy's of scalar types.
    const NAMES: [(&'static str, Element); 14] = [
        ("float16", Element::F16),
        ("bfloat16", Element::BF16),
        ("float32", Element::F32),
        ("float64", Element::F64),
        ("bool", Element::Bool),
        ("bool_", Element::Bool),
        ("uint8", Element::U8),
        ("uint16", Element::U16),
        ("uint32", Element::U32),
        ("uint64", Element::U64),
        ("int8", Element::I8),
        ("int16", Element::I16),
        ("int32", Element::I32),
        ("int64", Element::I64),
    ];
    /// Named after C's types.
    const STORAGES: [(&'static str, Element); 11] = [
        ("HalfStorage", Element::F16),
        ("BFloat16Storage", Element::BF16),
        ("FloatStorage", Element::F32),
        ("DoubleStorage", Element::F64),
        ("BoolStorage", Element::Bool),
        ("ByteStorage", Element::U8),
        ("CharStorage", Element::I8),
        ("ShortStorage", Element::I16),
        ("IntStorage", Element::I32),
        ("LongStorage", Element::I64),
        // Bytes, until somebody says of what.
        ("UntypedStorage", Element::U8),
    ];

    pub fn of_code(code: &str) -> Option<Self> {
        found(&Self::CODES, code)
    }

    pub fn of_name(name: &str) -> Option<Self> {
        found(&Self::NAMES, name)
    }

    pub fn of_storage(class: &str) -> Option<Self> {
        found(&Self::STORAGES, class)
    }

    /// numpy's code, for errors and for the spaces of the wire.
    pub fn code(self) -> &'static str {
        let known = Self::CODES.iter().find(|(_, element)| *element == self);
        known.map_or("bfloat16", |(code, _)| code)
    }

    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::F16 | Element::BF16 | Element::U16 | Element::I16 => 2,
            Element::F32 | Element::U32 | Element::I32 => 4,
            Element::F64 | Element::U64 | Element::I64 => 8,
        }
    }

    /// The elements that a layout picks out of little-endian bytes. Integers beyond 2^53 are
    /// rounded.
    pub fn numbers(self, bytes: &[u8], layout: &Layout) -> Vec<f64> {
        match self {
            Element::F16 => picked(bytes, layout, |b| f16::from_le_bytes(b).to_f64()),
            Element::BF16 => picked(bytes, layout, |b| bf16::from_le_bytes(b).to_f64()),
            Element::F32 => picked(bytes, layout, |b| f32::from_le_bytes(b).into()),
            Element::F64 => picked(bytes, layout, f64::from_le_bytes),
            Element::Bool => picked(bytes, layout, |[b]| u8::from(b != 0).into()),
            Element::U8 => picked(bytes, layout, |[b]| b.into()),
            Element::U16 => picked(bytes, layout, |b| u16::from_le_bytes(b).into()),
            Element::U32 => picked(bytes, layout, |b| u32::from_le_bytes(b).into()),
            Element::U64 => picked(bytes, layout, |b| u64::from_le_bytes(b) as f64),
            Element::I8 => picked(bytes, layout, |b| i8::from_le_bytes(b).into()),
            Element::I16 => picked(bytes, layout, |b| i16::from_le_bytes(b).into()),
            Element::I32 => picked(bytes, layout, |b| i32::from_le_bytes(b).into()),
            Element::I64 => picked(bytes, layout, |b| i64::from_le_bytes(b) as f64),
        }
    }

    /// The same as a tensor on the CPU: floats as they are, bools as bytes, integers as i64.
    ///
    /// # Errors
    /// An integer that is too large for that.
    pub fn tensor(self, bytes: &[u8], layout: &Layout) -> Result<Tensor> {
        match self {
            Element::F16 => tensor(layout, picked(bytes, layout, f16::from_le_bytes)),
            Element::BF16 => tensor(layout, picked(bytes, layout, bf16::from_le_bytes)),
            Element::F32 => tensor(layout, picked(bytes, layout, f32::from_le_bytes)),
            Element::F64 => tensor(layout, picked(bytes, layout, f64::from_le_bytes)),
            Element::Bool => tensor(layout, picked(bytes, layout, |[b]| u8::from(b != 0))),
            Element::U64 => tensor(layout, signed(picked(bytes, layout, u64::from_le_bytes))?),
            _ => tensor(layout, self.integers(bytes, layout)),
        }
    }

    /// Of the types that an i64 holds.
    fn integers(self, bytes: &[u8], layout: &Layout) -> Vec<i64> {
        match self {
            Element::U8 => picked(bytes, layout, |[b]| b.into()),
            Element::U16 => picked(bytes, layout, |b| u16::from_le_bytes(b).into()),
            Element::U32 => picked(bytes, layout, |b| u32::from_le_bytes(b).into()),
            Element::I8 => picked(bytes, layout, |b| i8::from_le_bytes(b).into()),
            Element::I16 => picked(bytes, layout, |b| i16::from_le_bytes(b).into()),
            Element::I32 => picked(bytes, layout, |b| i32::from_le_bytes(b).into()),
            _ => picked(bytes, layout, i64::from_le_bytes),
        }
    }
}

fn found(table: &[(&str, Element)], name: &str) -> Option<Element> {
    table.iter().find(|(known, _)| *known == name).map(|(_, element)| *element)
}

fn picked<const N: usize, T>(bytes: &[u8], layout: &Layout, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    layout.positions().filter_map(|at| chunks.get(at)).map(|chunk| read(*chunk)).collect()
}

fn signed(values: Vec<u64>) -> Result<Vec<i64>> {
    let signed: std::result::Result<_, _> = values.into_iter().map(i64::try_from).collect();
    signed.map_err(|_| ImportError::new("an integer beyond 2^63"))
}

fn tensor<T: WithDType>(layout: &Layout, values: Vec<T>) -> Result<Tensor> {
    Tensor::from_vec(values, layout.shape.as_slice(), &Device::Cpu)
        .map_err(|error| ImportError::new(message(&error)))
}
