//! The tensors of a weights file, handed out once each and checked on the way.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, bail};

/// Tensors by name, on the CPU.
pub struct Weights {
    tensors: HashMap<String, Tensor>,
}

impl Weights {
    /// Parses a safetensors file.
    ///
    /// # Errors
    /// What the parser says; files without a single tensor, too.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
        if tensors.is_empty() {
            bail!("it holds no tensors");
        }
        Ok(Self { tensors })
    }

    /// Takes out the tensor `name`, as f64.
    ///
    /// # Errors
    /// It is missing, has another shape, or a value that is not finite.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(tensor) = self.tensors.remove(name) else {
            bail!("the tensor {name} of shape {shape:?} is missing");
        };
        if tensor.dims() != shape {
            bail!("the tensor {name} has shape {:?}, expected {shape:?}", tensor.dims());
        }
        let tensor = tensor.to_dtype(DType::F64)?.contiguous()?;
        let values = tensor.flatten_all()?.to_vec1::<f64>()?;
        if let Some(at) = values.iter().position(|x| !x.is_finite()) {
            bail!("the tensor {name} is not finite: element {at} is {}", values[at]);
        }
        Ok(tensor)
    }

    /// The length of the first axis of `name`, if it is there and has one.
    pub fn rows(&self, name: &str) -> Option<usize> {
        self.tensors.get(name)?.dims().first().copied()
    }

    /// The shape of `name`, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(Tensor::dims)
    }

    /// [`Weights::take`] for a vector.
    pub fn take_vec(&mut self, name: &str, length: usize) -> Result<Vec<f64>> {
        self.take(name, &[length])?.to_vec1()
    }

    /// Whatever is left was meant for another policy.
    ///
    /// # Errors
    /// Names the tensors that nobody took.
    pub fn finish(&mut self) -> Result<()> {
        let mut names: Vec<_> = self.tensors.keys().cloned().collect();
        names.sort();
        if !names.is_empty() {
            bail!("tensors that the card's network has no place for: {}", names.join(", "));
        }
        Ok(())
    }
}
