//! An observation of one space.

use serde::{Serialize, Serializer};

use super::elements::Elements;
use crate::wire::{Space, view::TensorView};

#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub shape: Vec<usize>,
    pub elements: Elements,
}

/// The bounds of an element that has none.
pub const UNBOUNDED: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

impl Piece {
    /// Within the space's own bounds and the named ones, a pair for each element.
    ///
    /// # Errors
    /// The space is a dict, has another number of bounds, or an element has no value.
    pub fn of(space: &Space, named: Vec<(f64, f64)>) -> Result<Self, String> {
        let bounds = bounds(space)?.into_iter().zip(named);
        let bounds = bounds.map(|(own, named)| (own.0.max(named.0), own.1.min(named.1))).collect();
        Ok(Self { shape: space.shape(), elements: Elements::within(bounds, space)? })
    }

    /// So many of it, along an axis of their own.
    pub fn rows(&self, rows: usize) -> Self {
        let shape = [&[rows], &self.shape[..]].concat();
        Self { shape, elements: self.elements.repeat(rows) }
    }
}

/// The native tensor form.
impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = TensorView::new(&self.shape[..], self.elements.values());
        view.serialize(serializer)
    }
}

/// One pair for each element.
fn bounds(space: &Space) -> Result<Vec<(f64, f64)>, String> {
    let size = space.size();
    match space {
        Space::Box { shape, low, high, .. } => match (low.expand(size), high.expand(size)) {
            (Some(low), Some(high)) => Ok(low.into_iter().zip(high).collect()),
            _ => Err(format!("the space of shape {shape:?} has another number of bounds")),
        },
        Space::Dict { .. } => Err("a dict within a dict can't be made up".into()),
        _ => Ok(vec![UNBOUNDED; size]),
    }
}
