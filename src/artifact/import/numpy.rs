//! Arrays, scalars and types of numpy, from the calls in a pickle that would rebuild them.

use std::borrow::Cow;

use candle_core::Tensor;

use super::{
    Value,
    element::Element,
    error::{ImportError, Result},
    layout::{Layout, Order},
};

/// Elements of one array.
pub const MAX_ELEMENTS: usize = 1 << 24;

/// Numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// The array or scalar that `value` would rebuild, as numbers. `None` for anything else.
///
/// # Errors
/// An array of what are no numbers, or one that contradicts itself.
pub fn array(value: Value<'_>) -> Result<Option<Array>> {
    let numbers = |raw: Raw<'_>| {
        let values = raw.element.numbers(&raw.bytes, &raw.layout);
        Array { shape: raw.layout.shape, values }
    };
    Ok(Raw::of(value)?.map(numbers))
}

/// The same as a tensor on the CPU: floats as they are, bools as bytes, integers as i64.
///
/// # Errors
/// Those of [`array`], and integers beyond an i64.
pub fn tensor(value: Value<'_>) -> Result<Option<Tensor>> {
    Raw::of(value)?.map(|raw| raw.element.tensor(&raw.bytes, &raw.layout)).transpose()
}

/// The type of an array's elements, or the type that a `numpy.dtype` or a class names.
///
/// # Errors
/// A type of what are no numbers.
pub fn element(value: Value<'_>) -> Result<Option<Element>> {
    match (value.function(), value.global()) {
        (Some(("numpy", "dtype")), _) | (_, Some(("numpy", _))) => {
            DType::of(value).map(|dtype| Some(dtype.element))
        }
        _ => Ok(Raw::of(value)?.map(|raw| raw.element)),
    }
}

/// A number of Python or a scalar of numpy.
pub fn number(value: Value<'_>) -> Option<f64> {
    value.as_f64().or_else(|| {
        let raw = Raw::of(value).ok()??;
        let numbers = |raw: Raw<'_>| raw.element.numbers(&raw.bytes, &raw.layout);
        Some(raw).filter(|raw| raw.layout.shape.is_empty()).map(numbers)?.first().copied()
    })
}

/// The same for integers, up to where an f64 counts by ones.
pub fn integer(value: Value<'_>) -> Option<i64> {
    const LAST: f64 = (1_u64 << 53) as f64;
    let whole = |number: &f64| number.fract() == 0.0 && number.abs() <= LAST;
    value.as_i64().or_else(|| number(value).filter(whole).map(|number| number as i64))
}

/// An array before its bytes mean anything.
struct Raw<'a> {
    element: Element,
    /// Little-endian.
    bytes: Cow<'a, [u8]>,
    layout: Layout,
}

impl<'a> Raw<'a> {
    fn of(value: Value<'a>) -> Result<Option<Self>> {
        match value.function() {
            Some(("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer")) => {
                Self::of_buffer(value)
            }
            Some(("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct")) => {
                Self::of_state(value)
            }
            Some(("numpy._core.multiarray" | "numpy.core.multiarray", "scalar")) => {
                Self::of_scalar(value)
            }
            _ => return Ok(None),
        }
        .map(Some)
    }

    /// Protocol 5: bytes, type, shape and order are the arguments.
    fn of_buffer(value: Value<'a>) -> Result<Self> {
        match arguments(value).as_slice() {
            [bytes, dtype, shape, order] => {
                Self::new(*bytes, *dtype, sizes(*shape)?, order_of(*order)?)
            }
            _ => Err(ImportError::expected("an array of four parts", value)),
        }
    }

    /// Up to protocol 4: an empty array that gets a state. The oldest have no version in it.
    fn of_state(value: Value<'a>) -> Result<Self> {
        let state = value.call().and_then(|call| call.state).and_then(Value::elements);
        match state.unwrap_or_default().as_slice() {
            [_, shape, dtype, order, bytes] | [shape, dtype, order, bytes] => {
                Self::new(*bytes, *dtype, sizes(*shape)?, order_of(*order)?)
            }
            _ => Err(ImportError::expected("an array with a state", value)),
        }
    }

    fn of_scalar(value: Value<'a>) -> Result<Self> {
        match arguments(value).as_slice() {
            [dtype, bytes] => Self::new(*bytes, *dtype, vec![], Order::C),
            _ => Err(ImportError::expected("a scalar of two parts", value)),
        }
    }

    fn new(bytes: Value<'a>, dtype: Value<'a>, shape: Vec<usize>, order: Order) -> Result<Self> {
        let DType { element, big_endian } = DType::of(dtype)?;
        let bytes =
            bytes.as_bytes().ok_or_else(|| ImportError::expected("an array's bytes", bytes))?;
        let size = element.size();
        if bytes.len() % size != 0 {
            let (bytes, code) = (bytes.len(), element.code());
            return Err(ImportError::new(format!("{bytes} bytes for elements of type {code}")));
        }
        let layout = Layout::dense(shape, order, bytes.len() / size, MAX_ELEMENTS)?;
        let bytes = if big_endian { swapped(&bytes, size).into() } else { bytes };
        Ok(Self { element, bytes, layout })
    }
}

fn swapped(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.chunks(size).flat_map(|element| element.iter().rev()).copied().collect()
}

struct DType {
    element: Element,
    big_endian: bool,
}

impl DType {
    /// `numpy.dtype("f4")`, whose state tells the byte order, or the name of a scalar's class.
    fn of(value: Value<'_>) -> Result<Self> {
        let wrong = || ImportError::expected("a type of plain numbers", value);
        if let Some((module, name)) = value.global() {
            let element = Element::of_name(name).filter(|_| module == "numpy");
            return Ok(Self { element: element.ok_or_else(wrong)?, big_endian: false });
        }
        let arguments = arguments(value);
        let known = arguments.first().filter(|_| value.function() == Some(("numpy", "dtype")));
        let code = known.and_then(|code| code.as_str()).ok_or_else(wrong)?;
        let plain = code.strip_prefix(['<', '>', '|', '=']).unwrap_or(code);
        let element = Element::of_code(plain).ok_or_else(|| unknown(code))?;
        Ok(Self { element, big_endian: code.starts_with('>') || is_swapped(value) })
    }
}

fn is_swapped(dtype: Value<'_>) -> bool {
    let state = dtype.call().and_then(|call| call.state).and_then(Value::elements);
    let order = state.and_then(|state| state.get(1).and_then(|order| order.as_str()));
    order == Some(">")
}

fn unknown(code: &str) -> ImportError {
    let code: String = code.chars().take(16).collect();
    ImportError::new(format!("expected elements that are plain numbers, got the dtype {code:?}"))
}

fn arguments(value: Value<'_>) -> Vec<Value<'_>> {
    value.call().map(|call| call.arguments).unwrap_or_default()
}

fn sizes(shape: Value<'_>) -> Result<Vec<usize>> {
    let sizes = shape.elements().ok_or_else(|| ImportError::expected("a shape", shape))?;
    sizes
        .iter()
        .map(|size| size.as_usize().ok_or_else(|| ImportError::expected("a size", *size)))
        .collect()
}

/// `C` or `F`, or whether it is the latter.
fn order_of(value: Value<'_>) -> Result<Order> {
    match (value.as_bool(), value.as_i64(), value.as_str()) {
        (Some(false), ..) | (_, Some(0), _) | (.., Some("C")) => Ok(Order::C),
        (Some(true), ..) | (_, Some(1), _) | (.., Some("F")) => Ok(Order::Fortran),
        _ => Err(ImportError::expected("the order of an array's elements", value)),
    }
}
