//! Tensors of requests: four forms come in.

use std::borrow::Cow;

use super::{
    dtype::DType,
    error::{Code, WireError},
    node::{Array, Key, Kind, Node},
    view::Shape,
};

/// As in numpy; and an error that repeats a shape stays short.
const MAX_AXES: usize = 64;

/// A tensor of a request, in C order, its bytes still where the message has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<'a> {
    pub shape: Shape,
    data: Data<'a>,
}

#[derive(Clone, Debug, PartialEq)]
enum Data<'a> {
    Bytes(DType, Cow<'a, [u8]>),
    Numbers(Vec<f64>, Kind),
}

impl<'a> Tensor<'a> {
    /// Whether a map is one of the three tensor forms (and not names to tensors).
    pub fn is_form(map: &[(Key<'_>, Node<'_>)]) -> bool {
        let names = map.iter().map(|(key, _)| std::str::from_utf8(key.bytes()).unwrap_or(""));
        Self::is_form_of(&names.collect::<Vec<_>>())
    }

    /// The same by the map's keys.
    pub fn is_form_of(names: &[&str]) -> bool {
        let has = |name: &str| names.contains(&name);
        has("nd") || has("__ndarray__") || (has("dtype") && (has("data") || has("shape")))
    }

    /// Numbers in C order, as many as the shape says.
    pub fn from_numbers(shape: Vec<usize>, values: Vec<f64>, kind: Kind) -> Self {
        Self { shape: shape.into(), data: Data::Numbers(values, kind) }
    }

    /// The native form; `None` if there are not as many bytes as the shape says.
    pub fn native(dtype: DType, shape: Shape, data: Cow<'a, [u8]>) -> Option<Self> {
        let wanted = byte_count(dtype, &shape)?;
        (wanted == data.len()).then_some(Self { shape, data: Data::Bytes(dtype, data) })
    }

    /// Reads any of the four forms. `field` is how errors name the place.
    ///
    /// # Errors
    /// `malformed` (no tensor at all), `invalid_dtype`, `invalid_shape` (uneven, or not as many
    /// bytes as the shape says).
    pub fn from_node(node: Node<'a>, field: &str) -> Result<Self, WireError> {
        match node.into_array() {
            Ok(Array { shape, values, kind }) => {
                Ok(Self { shape: shape.into(), data: Data::Numbers(values, kind) })
            }
            Err(Node::Map(map)) if Self::is_form(&map) => Self::from_map(map, field),
            Err(Node::List(items)) if items.iter().all(is_numeric) => {
                Err(WireError::new(Code::InvalidShape, "the nested list is uneven")
                    .field(field)
                    .expected("inner lists of one length"))
            }
            Err(other) => Err(WireError::new(Code::Malformed, "no tensor")
                .field(field)
                .expected("{dtype, shape, data}, a list of numbers, or a numpy map")
                .got(other.kind())),
        }
    }

    fn from_map(map: Vec<(Key<'a>, Node<'a>)>, field: &str) -> Result<Self, WireError> {
        let mut parts = MapParts::default();
        for (key, value) in map {
            match (key.bytes(), value) {
                (b"dtype" | b"type", Node::Text(name)) => parts.dtype = Some(name),
                (b"dtype" | b"type", Node::Bytes(name)) => {
                    parts.dtype = Some(String::from_utf8_lossy(&name).into_owned().into());
                }
                (b"shape", value) => parts.shape = Some(shape_of(value, field)?),
                (b"data", Node::Bytes(bytes)) => parts.data = Some(bytes),
                _ => {}
            }
        }
        parts.finish(field)
    }

    pub fn is_bool(&self) -> bool {
        self.kind() == Kind::Bool
    }

    /// The type to name in an error.
    pub fn type_name(&self) -> &'static str {
        match &self.data {
            Data::Bytes(dtype, _) => dtype.name(),
            Data::Numbers(_, Kind::Bool) => "a list of bools",
            Data::Numbers(_, Kind::Int) => "a list of integers",
            Data::Numbers(_, Kind::Float) => "a list of numbers",
        }
    }

    fn kind(&self) -> Kind {
        match &self.data {
            Data::Bytes(dtype, _) => dtype.kind(),
            Data::Numbers(_, kind) => *kind,
        }
    }

    /// The bytes of its elements, if they are a part of the message.
    pub fn in_message(&self) -> Option<(DType, &'a [u8])> {
        match self.data {
            Data::Bytes(dtype, Cow::Borrowed(bytes)) => Some((dtype, bytes)),
            _ => None,
        }
    }

    /// All elements as f32; what does not fit one becomes infinite.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.data {
            Data::Bytes(DType::F4, bytes) => elements(bytes, f32::from_le_bytes).collect(),
            Data::Bytes(dtype, bytes) => widened(*dtype, bytes).map(|x| x as f32).collect(),
            Data::Numbers(values, _) => values.iter().map(|x| *x as f32).collect(),
        }
    }

    /// All elements as f64. Integers beyond 2^53 are rounded.
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.data {
            Data::Bytes(dtype, bytes) => widened(*dtype, bytes).collect(),
            Data::Numbers(values, _) => values.clone(),
        }
    }
}

fn is_numeric(node: &Node<'_>) -> bool {
    match node {
        Node::Array(_) | Node::Bool(_) | Node::Int(_) | Node::UInt(_) | Node::Float(_) => true,
        Node::List(items) => items.iter().all(is_numeric),
        _ => false,
    }
}

fn shape_of(node: Node<'_>, field: &str) -> Result<Vec<usize>, WireError> {
    let wrong = |got: String| {
        WireError::new(Code::InvalidShape, "the tensor's shape is no list of sizes")
            .field(format!("{field}.shape"))
            .expected(format!("a list of at most {MAX_AXES} non-negative integers"))
            .got(got)
    };
    match node {
        Node::Array(array)
            if array.shape.len() == 1
                && array.values.len() <= MAX_AXES
                && (array.kind == Kind::Int || array.values.is_empty()) =>
        {
            let sizes = array.values.iter();
            let is_size = |x: &f64| (0.0..=f64::from(u32::MAX)).contains(x);
            sizes
                .map(|x| is_size(x).then_some(*x as usize).ok_or_else(|| wrong(x.to_string())))
                .collect()
        }
        other => Err(wrong(other.kind())),
    }
}

#[derive(Default)]
struct MapParts<'a> {
    dtype: Option<Cow<'a, str>>,
    shape: Option<Vec<usize>>,
    data: Option<Cow<'a, [u8]>>,
}

impl<'a> MapParts<'a> {
    fn finish(self, field: &str) -> Result<Tensor<'a>, WireError> {
        let lacks = |key: &str, expected: &str| {
            WireError::new(Code::Malformed, format!("the tensor lacks {key}"))
                .field(field)
                .expected(expected)
        };
        let dtype = self.dtype.ok_or_else(|| lacks("dtype", "a text like f4"))?;
        let data = self.data.ok_or_else(|| lacks("data", "bytes, little-endian, in C order"))?;
        // numpy scalars come without a shape.
        let shape = self.shape.unwrap_or_default();
        let dtype = DType::parse(&dtype).ok_or_else(|| unknown_dtype(&dtype, field))?;
        check_length(dtype, &shape, data.len(), field)?;
        Ok(Tensor { shape: shape.into(), data: Data::Bytes(dtype, data) })
    }
}

fn unknown_dtype(name: &str, field: &str) -> WireError {
    let known: Vec<_> = DType::NAMES.iter().map(|(name, _)| *name).collect();
    WireError::new(Code::InvalidDtype, "unknown dtype")
        .field(format!("{field}.dtype"))
        .expected(format!("one of {}, little-endian", known.join(", ")))
        .got(name.chars().take(32).collect::<String>())
}

fn check_length(dtype: DType, shape: &[usize], got: usize, field: &str) -> Result<(), WireError> {
    let wanted = byte_count(dtype, shape);
    if wanted == Some(got) {
        return Ok(());
    }
    let bytes =
        wanted.map_or_else(|| "more bytes than memory holds".into(), |n| format!("{n} bytes"));
    Err(WireError::new(Code::InvalidShape, "the data is not as long as dtype and shape say")
        .field(format!("{field}.data"))
        .expected(format!("{bytes} for {} of shape {shape:?}", dtype.name()))
        .got(format!("{got} bytes")))
}

/// `None`: more than there are addresses.
fn byte_count(dtype: DType, shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(dtype.size(), |bytes, size| bytes.checked_mul(*size))
}

fn elements<const N: usize, T>(
    bytes: &[u8],
    read: impl Fn([u8; N]) -> T,
) -> impl Iterator<Item = T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(move |chunk| read(*chunk))
}

fn widened(dtype: DType, bytes: &[u8]) -> Box<dyn Iterator<Item = f64> + '_> {
    match dtype {
        DType::F2 => Box::new(elements(bytes, |b| half::f16::from_le_bytes(b).to_f64())),
        DType::F4 => Box::new(elements(bytes, |b| f64::from(f32::from_le_bytes(b)))),
        DType::F8 => Box::new(elements(bytes, f64::from_le_bytes)),
        DType::U1 => Box::new(bytes.iter().map(|b| f64::from(*b))),
        DType::I1 => Box::new(bytes.iter().map(|b| f64::from(b.cast_signed()))),
        DType::B1 => Box::new(bytes.iter().map(|b| f64::from(u8::from(*b != 0)))),
        DType::I4 => Box::new(elements(bytes, |b| f64::from(i32::from_le_bytes(b)))),
        DType::I8 => Box::new(elements(bytes, |b| i64::from_le_bytes(b) as f64)),
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;
    use crate::wire::{Encoding, view::Bytes};

    fn tensor_of(json: &str) -> Result<Tensor<'_>, WireError> {
        Tensor::from_node(serde_json::from_str(json).unwrap(), "obs")
    }

    fn packed(bytes: &[u8]) -> Result<Tensor<'_>, WireError> {
        Tensor::from_node(rmp_serde::from_slice(bytes).unwrap(), "obs")
    }

    fn native(dtype: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        #[derive(Serialize)]
        struct Native<'a> {
            dtype: &'a str,
            shape: &'a [usize],
            data: Bytes<'a>,
        }
        Encoding::MessagePack.write(&Native { dtype, shape, data: Bytes(data) }).unwrap()
    }

    #[test]
    fn every_native_dtype_is_read_little_endian() {
        let cases: [(&str, Vec<u8>, f64); 8] = [
            ("f2", half::f16::from_f32(-1.5).to_le_bytes().to_vec(), -1.5),
            ("f4", (-1.5f32).to_le_bytes().to_vec(), -1.5),
            ("f8", 1e300f64.to_le_bytes().to_vec(), 1e300),
            ("u1", vec![200], 200.0),
            ("i1", vec![255], -1.0),
            ("i4", (-7i32).to_le_bytes().to_vec(), -7.0),
            ("i8", (1i64 << 40).to_le_bytes().to_vec(), (1i64 << 40) as f64),
            ("b1", vec![1], 1.0),
        ];
        for (dtype, data, value) in cases {
            let body = native(dtype, &[1], &data);
            assert_eq!(packed(&body).unwrap().to_f64(), [value], "{dtype}");
        }
    }

    #[test]
    fn the_numpy_form_is_read() {
        // msgpack_numpy.packb(np.array([[1.0, 2.0]], "f4")): the keys are bytes.
        let mut body = b"\x85\xc4\x02nd\xc3\xc4\x04type\xa3<f4\xc4\x04kind\xc4\x00".to_vec();
        body.extend(
            b"\xc4\x05shape\x92\x01\x02\xc4\x04data\xc4\x08\x00\x00\x80\x3f\x00\x00\x00\x40",
        );
        let tensor = packed(&body).unwrap();
        assert_eq!(
            (tensor.shape.as_slice(), tensor.to_f32().as_slice()),
            (&[1, 2][..], &[1.0, 2.0][..])
        );
    }

    #[test]
    fn the_openpi_form_is_read() {
        let mut body = b"\x84\xc4\x0b__ndarray__\xc3\xc4\x04data\xc4\x04\x00\x00\x80\x3f".to_vec();
        body.extend(b"\xc4\x05dtype\xa3<f4\xc4\x05shape\x91\x01");
        let tensor = packed(&body).unwrap();
        assert_eq!((tensor.shape.as_slice(), tensor.to_f32().as_slice()), (&[1][..], &[1.0][..]));
    }

    #[test]
    fn nested_lists_are_tensors() {
        let tensor = tensor_of("[[1, 2], [3, 4], [5, 6]]").unwrap();
        assert_eq!(tensor.shape[..], [3, 2]);
        assert_eq!(tensor.to_f32(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }

    #[test]
    fn what_is_wrong_with_a_tensor_has_its_own_code() {
        let long = native("f4", &[3], &[0; 8]);
        assert_eq!(packed(&long).unwrap_err().code, Code::InvalidShape);
        for dtype in ["c8", ">f4", "O", "U4", ""] {
            let body = native(dtype, &[1], &[0; 4]);
            assert_eq!(packed(&body).unwrap_err().code, Code::InvalidDtype, "{dtype}");
        }
        let huge = native("f8", &[usize::MAX >> 33, usize::MAX >> 33, 8], &[]);
        assert_eq!(packed(&huge).unwrap_err().code, Code::InvalidShape);
        assert_eq!(tensor_of("[[1, 2], [3]]").unwrap_err().code, Code::InvalidShape);
        assert_eq!(tensor_of("[1, \"x\"]").unwrap_err().code, Code::Malformed);
        assert_eq!(tensor_of("\"x\"").unwrap_err().code, Code::Malformed);
        let fraction = tensor_of("{\"dtype\": \"f4\", \"shape\": [1.0], \"data\": null}");
        assert_eq!(fraction.unwrap_err().code, Code::InvalidShape);
        let negative = tensor_of("{\"dtype\": \"f4\", \"shape\": [-1], \"data\": null}");
        assert_eq!(negative.unwrap_err().code, Code::InvalidShape);
    }
}
