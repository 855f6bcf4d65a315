//! Element types of tensors and spaces.

use serde::{Deserialize, Serialize};

use super::node::Kind;

/// An element type. On the wire little-endian; the names are numpy's, without the byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DType {
    F2,
    F4,
    F8,
    U1,
    /// What Gymnasium draws for multi-binary spaces and action masks.
    I1,
    I4,
    I8,
    B1,
}

impl DType {
    pub const NAMES: [(&'static str, DType); 8] = [
        ("f4", DType::F4),
        ("f2", DType::F2),
        ("f8", DType::F8),
        ("u1", DType::U1),
        ("i1", DType::I1),
        ("i4", DType::I4),
        ("i8", DType::I8),
        ("b1", DType::B1),
    ];

    /// Bytes an element takes.
    pub fn size(self) -> usize {
        match self {
            DType::U1 | DType::I1 | DType::B1 => 1,
            DType::F2 => 2,
            DType::F4 | DType::I4 => 4,
            DType::F8 | DType::I8 => 8,
        }
    }

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, dtype)| *dtype == self).map_or("?", |(name, _)| name)
    }

    /// `f4`, and numpy's `<f4`, `|u1`, `=f4`. Big-endian (`>f4`) is not accepted.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(['<', '|', '=']).unwrap_or(name);
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, dtype)| *dtype)
    }

    /// The least and the largest number of a type that has only integers.
    pub fn integers(self) -> Option<(f64, f64)> {
        match self {
            DType::U1 => Some((0.0, 255.0)),
            DType::I1 => Some((-128.0, 127.0)),
            DType::B1 => Some((0.0, 1.0)),
            DType::I4 => Some((f64::from(i32::MIN), f64::from(i32::MAX))),
            DType::I8 => Some((i64::MIN as f64, i64::MAX as f64)),
            DType::F2 | DType::F4 | DType::F8 => None,
        }
    }

    pub fn is_float(self) -> bool {
        self.kind() == Kind::Float
    }

    pub fn kind(self) -> Kind {
        match self {
            DType::F2 | DType::F4 | DType::F8 => Kind::Float,
            DType::U1 | DType::I1 | DType::I4 | DType::I8 => Kind::Int,
            DType::B1 => Kind::Bool,
        }
    }
}
