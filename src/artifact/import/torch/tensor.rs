//! Tensors, from the calls that would rebuild them.

use candle_core::Tensor;

use super::{MAX_ELEMENTS, MAX_TENSOR_ELEMENTS, TorchFile};
use crate::artifact::import::{
    Value,
    element::Element,
    error::{ImportError, Result},
    layout::Layout,
};

/// A parameter wraps a tensor; nothing wraps a parameter.
const MAX_WRAPPERS: usize = 4;

impl TorchFile {
    /// The tensor that `value` would rebuild, on the CPU: floats as they are, bools as bytes,
    /// integers as i64. `None` for anything but a dense tensor.
    ///
    /// # Errors
    /// A tensor that does not fit its storage, or more elements than the limits.
    pub fn tensor(&self, value: Value<'_>) -> Result<Option<Tensor>> {
        let mut value = value;
        for _ in 0..MAX_WRAPPERS {
            match wrapped(value) {
                Some(inner) => value = inner,
                None => return self.unwrapped(value),
            }
        }
        Err(ImportError::new("a parameter of a parameter of a parameter"))
    }

    fn unwrapped(&self, value: Value<'_>) -> Result<Option<Tensor>> {
        let Some(("torch._utils", function)) = value.function() else { return Ok(None) };
        let arguments = value.call().map(|call| call.arguments).unwrap_or_default();
        let (view, dtype) = match (function, arguments.as_slice()) {
            ("_rebuild_tensor" | "_rebuild_tensor_v2", [storage, offset, shape, strides, ..]) => {
                ([*storage, *offset, *shape, *strides], None)
            }
            // For types that have no storage class of their own.
            ("_rebuild_tensor_v3", [storage, offset, shape, strides, _, _, dtype, ..]) => {
                ([*storage, *offset, *shape, *strides], Some(dtype_of(*dtype)?))
            }
            _ => return Ok(None),
        };
        self.view(view, dtype).map(Some)
    }

    fn view(&self, view: [Value<'_>; 4], dtype: Option<Element>) -> Result<Tensor> {
        let [storage, offset, shape, strides] = view;
        let storage = self.storages.find(storage)?;
        let element = dtype.unwrap_or(storage.element);
        let length = storage.bytes.len() / element.size();
        let offset = offset.as_usize().ok_or_else(|| ImportError::expected("an offset", offset))?;
        let (shape, strides) = (numbers("a size", shape)?, numbers("a stride", strides)?);
        let layout = Layout::strided(shape, strides, offset, length, MAX_TENSOR_ELEMENTS)?;
        self.count(layout.elements)?;
        element.tensor(storage.bytes, &layout)
    }

    /// Views share storages, so the archive's limits alone don't bound what they unfold to.
    fn count(&self, elements: usize) -> Result<()> {
        let total = self.elements.get().saturating_add(elements);
        if total > MAX_ELEMENTS {
            return Err(ImportError::new(format!(
                "all tensors together have more elements than the limit of {MAX_ELEMENTS}"
            )));
        }
        self.elements.set(total);
        Ok(())
    }
}

/// The tensor in a parameter.
fn wrapped(value: Value<'_>) -> Option<Value<'_>> {
    match value.function()? {
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
            value.call()?.arguments.first().copied()
        }
        _ => None,
    }
}

/// Of the elements of a tuple; `what` each of them is.
fn numbers(what: &str, tuple: Value<'_>) -> Result<Vec<usize>> {
    let number = |n: &Value<'_>| n.as_usize().ok_or_else(|| ImportError::expected(what, *n));
    let items = tuple.elements();
    items.ok_or_else(|| ImportError::expected("a tuple", tuple))?.iter().map(number).collect()
}

fn dtype_of(value: Value<'_>) -> Result<Element> {
    let known = match value.global() {
        Some(("torch", name)) => Element::of_name(name),
        _ => None,
    };
    known.ok_or_else(|| ImportError::expected("a type of plain numbers", value))
}
