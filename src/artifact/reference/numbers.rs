//! Tensors of a safetensors file as numbers, whatever their type.

use safetensors::{Dtype, SafeTensors};

use crate::wire::{Tensor, node::Kind};

pub struct Numbers {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    kind: Kind,
}

impl Numbers {
    /// The tensor of that name, if there is one.
    ///
    /// # Errors
    /// Its elements are no numbers.
    pub fn find(file: &SafeTensors<'_>, name: &str) -> Result<Option<Self>, String> {
        let Ok(view) = file.tensor(name) else { return Ok(None) };
        let (kind, values) = read(view.dtype(), view.data())
            .ok_or_else(|| format!("the tensor {name} holds {:?}", view.dtype()))?;
        Ok(Some(Self { shape: view.shape().to_vec(), values, kind }))
    }

    /// As a request would bring it; of a rollout, steps and rows become one axis.
    pub fn into_tensor(self, is_rollout: bool) -> Tensor<'static> {
        let shape = match &self.shape[..] {
            [steps, rows, inner @ ..] if is_rollout => [&[steps * rows], inner].concat(),
            shape => shape.to_vec(),
        };
        Tensor::from_numbers(shape, self.values, self.kind)
    }
}

fn read(dtype: Dtype, data: &[u8]) -> Option<(Kind, Vec<f64>)> {
    let kind = match dtype {
        Dtype::BOOL => Kind::Bool,
        Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64 => Kind::Float,
        _ => Kind::Int,
    };
    let values = match dtype {
        Dtype::BOOL | Dtype::U8 => numbers(data, |[x]| f64::from(x)),
        Dtype::I8 => numbers(data, |x| f64::from(i8::from_le_bytes(x))),
        Dtype::I16 => numbers(data, |x| f64::from(i16::from_le_bytes(x))),
        Dtype::U16 => numbers(data, |x| f64::from(u16::from_le_bytes(x))),
        Dtype::I32 => numbers(data, |x| f64::from(i32::from_le_bytes(x))),
        Dtype::U32 => numbers(data, |x| f64::from(u32::from_le_bytes(x))),
        Dtype::I64 => numbers(data, |x| i64::from_le_bytes(x) as f64),
        Dtype::F16 => numbers(data, |x| half::f16::from_le_bytes(x).to_f64()),
        Dtype::BF16 => numbers(data, |x| half::bf16::from_le_bytes(x).to_f64()),
        Dtype::F32 => numbers(data, |x| f64::from(f32::from_le_bytes(x))),
        Dtype::F64 => numbers(data, f64::from_le_bytes),
        _ => return None,
    };
    Some((kind, values))
}

fn numbers<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, _) = data.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}
