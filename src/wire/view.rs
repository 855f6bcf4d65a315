//! Tensors that are written: in replies, and in the requests of clients.

use std::borrow::Cow;

use serde::{Serialize, Serializer, ser::SerializeMap, ser::SerializeSeq};
use smallvec::SmallVec;

use super::dtype::DType;

/// Sizes of axes, of which there are seldom more.
pub type Shape = SmallVec<[usize; 4]>;

/// A tensor to be written: the native form in MessagePack, a nested list in JSON.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    pub(super) shape: Shape,
    pub(super) values: Values<'a>,
}

impl<'a> TensorView<'a> {
    /// As many values as the shape says.
    pub fn new(shape: impl Into<Shape>, values: Values<'a>) -> Self {
        Self { shape: shape.into(), values }
    }
}

/// The elements of a tensor, in C order.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    U1(&'a [u8]),
    F4(&'a [f32]),
    I8(&'a [i64]),
}

impl Values<'_> {
    pub(super) fn dtype(&self) -> DType {
        match self {
            Values::U1(_) => DType::U1,
            Values::F4(_) => DType::F4,
            Values::I8(_) => DType::I8,
        }
    }
}

impl<'a> Values<'a> {
    /// On nearly all machines they are so already.
    pub(super) fn to_le_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Values::U1(values) => Cow::Borrowed(values),
            Values::F4(values) if cfg!(target_endian = "little") => {
                Cow::Borrowed(bytemuck::cast_slice(values))
            }
            Values::I8(values) if cfg!(target_endian = "little") => {
                Cow::Borrowed(bytemuck::cast_slice(values))
            }
            Values::F4(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Values::I8(values) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

impl Serialize for TensorView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return Nested { shape: &self.shape, values: self.values }.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("dtype", self.values.dtype().name())?;
        map.serialize_entry("shape", self.shape.as_slice())?;
        map.serialize_entry("data", &Bytes(&self.values.to_le_bytes()))?;
        map.end()
    }
}

/// Bytes that are written as such, and not as a list of numbers (which JSON has for them).
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// The part of a tensor below one position of its outer axes.
struct Nested<'a> {
    shape: &'a [usize],
    values: Values<'a>,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((length, inner)) = self.shape.split_first() else {
            return match self.values {
                Values::U1(values) => values[0].serialize(serializer),
                Values::F4(values) => values[0].serialize(serializer),
                Values::I8(values) => values[0].serialize(serializer),
            };
        };
        let size: usize = inner.iter().product();
        let mut list = serializer.serialize_seq(Some(*length))?;
        for i in 0..*length {
            let range = i * size..(i + 1) * size;
            let values = match self.values {
                Values::U1(values) => Values::U1(&values[range]),
                Values::F4(values) => Values::F4(&values[range]),
                Values::I8(values) => Values::I8(&values[range]),
            };
            list.serialize_element(&Nested { shape: inner, values })?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Encoding, Tensor};

    #[test]
    fn bytes_are_a_tensor_of_u1_and_numbers_in_json() {
        let pixels = TensorView::new(&[2, 1][..], Values::U1(&[7, 255]));
        assert_eq!(serde_json::to_string(&pixels).unwrap(), "[[7],[255]]");
        let body = Encoding::MessagePack.write(&pixels).unwrap();
        let back = Tensor::from_node(rmp_serde::from_slice(&body).unwrap(), "obs").unwrap();
        assert_eq!(
            (back.shape.as_slice(), back.in_message()),
            (&[2, 1][..], Some((DType::U1, &[7, 255][..])))
        );
    }

    #[test]
    fn replies_nest_in_json_and_stay_flat_in_message_pack() {
        let values = [1.0f32, 2.5, 3.0, 4.0];
        let tensor = TensorView::new(&[2, 2][..], Values::F4(&values));
        assert_eq!(serde_json::to_string(&tensor).unwrap(), "[[1.0,2.5],[3.0,4.0]]");
        let scalar = TensorView::new(&[][..], Values::I8(&[7]));
        assert_eq!(serde_json::to_string(&scalar).unwrap(), "7");
        let body = Encoding::MessagePack.write(&tensor).unwrap();
        let back = Tensor::from_node(rmp_serde::from_slice(&body).unwrap(), "obs").unwrap();
        assert_eq!((back.shape.as_slice(), back.to_f32().as_slice()), (&[2, 2][..], &values[..]));
    }
}
