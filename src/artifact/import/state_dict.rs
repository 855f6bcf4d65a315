//! A foreign state dict on its way into ours: each tensor is taken once, under the name that this
//! program has for it, and what nobody took is told.

use std::collections::{BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor};

use super::error::{ImportError, Result};

/// Keys that an error names at most.
const MAX_NAMED: usize = 12;

/// Tensors by their foreign names, and those that were taken by ours.
pub struct StateDict {
    tensors: HashMap<String, Tensor>,
    taken: HashMap<String, Tensor>,
    /// Whether layers may have been made without a bias.
    pub biasless: bool,
}

impl StateDict {
    /// # Errors
    /// There are no tensors.
    pub fn new(tensors: Vec<(String, Tensor)>) -> Result<Self> {
        if tensors.is_empty() {
            return Err(ImportError::new("the state dict holds no tensors"));
        }
        let tensors = tensors.into_iter().collect();
        Ok(Self { tensors, taken: HashMap::new(), biasless: false })
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether any name lies below `prefix`.
    pub fn has_below(&self, prefix: &str) -> bool {
        self.tensors.keys().any(|name| below(name, prefix).is_some())
    }

    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(Tensor::dims)
    }

    /// The names that are left, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// Leaves out what lies below `prefix`, or is called so.
    pub fn ignore(&mut self, prefix: &str) {
        self.tensors.retain(|name, _| name != prefix && below(name, prefix).is_none());
    }

    /// Whether all that lies below the one lies below the other, too, with the same numbers.
    pub fn is_same(&self, one: &str, other: &str) -> Result<bool> {
        for (name, tensor) in &self.tensors {
            let Some(rest) = below(name, one) else { continue };
            match self.tensors.get(&format!("{other}.{rest}")) {
                Some(twin) if equal(tensor, twin)? => {}
                _ => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Removes a tensor that has to be there.
    ///
    /// # Errors
    /// It is not, or holds no floats, or one that is not finite.
    pub fn take(&mut self, name: &str) -> Result<Tensor> {
        let missing = || {
            let near = self.names().into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
            let near = if near.is_empty() { "no others" } else { &near };
            ImportError::new(format!("the tensor {name} is missing; left are {near}"))
        };
        let tensor = self.tensors.get(name).ok_or_else(missing)?.clone();
        self.tensors.remove(name);
        if !tensor.dtype().is_float() {
            return Err(ImportError::new(format!(
                "the tensor {name} holds {:?}, expected floats",
                tensor.dtype()
            )));
        }
        let values = tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(ImportError::new(format!(
                "the tensor {name} is not finite: element {at} is {}",
                values[at]
            ))),
            None => Ok(tensor),
        }
    }

    /// Puts a tensor under one of our names, in f32.
    ///
    /// # Errors
    /// What candle says.
    pub fn put(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        self.taken.insert(name.to_owned(), tensor.to_dtype(DType::F32)?.contiguous()?);
        Ok(())
    }

    /// Puts statistics under one of our names, in f64.
    ///
    /// # Errors
    /// What candle says.
    pub fn put_statistics(&mut self, name: &str, values: Vec<f64>) -> Result<()> {
        self.taken.insert(name.to_owned(), Tensor::new(values, &Device::Cpu)?);
        Ok(())
    }

    /// Takes `from` as it is; its shape.
    ///
    /// # Errors
    /// It is missing or holds no floats.
    pub fn rename_one(&mut self, from: &str, to: &str) -> Result<Vec<usize>> {
        let tensor = self.take(from)?;
        self.put(to, &tensor)?;
        Ok(tensor.dims().to_vec())
    }

    /// Takes a fully connected layer of `inputs` columns; its outputs. One that was made without a
    /// bias gets zeros.
    ///
    /// # Errors
    /// It is missing, or of another shape.
    pub fn linear(&mut self, from: &str, to: &str, inputs: usize) -> Result<usize> {
        let weight = self.take(&format!("{from}.weight"))?;
        let outputs = match *weight.dims() {
            [outputs, columns] if columns == inputs && outputs > 0 => outputs,
            _ => {
                return Err(ImportError::new(format!(
                    "{from}.weight has shape {:?}, expected (outputs, {inputs})",
                    weight.dims()
                )));
            }
        };
        let bias = self.bias(&format!("{from}.bias"), outputs)?;
        self.put(&format!("{to}.weight"), &weight)?;
        self.put(&format!("{to}.bias"), &bias)?;
        Ok(outputs)
    }

    fn bias(&mut self, name: &str, outputs: usize) -> Result<Tensor> {
        if self.biasless && !self.has(name) {
            return Ok(Tensor::zeros(outputs, DType::F32, &Device::Cpu)?);
        }
        let bias = self.take(name)?;
        match bias.dims() == [outputs] {
            true => Ok(bias),
            false => Err(ImportError::new(format!(
                "{name} has shape {:?}, expected [{outputs}]",
                bias.dims()
            ))),
        }
    }

    /// The places of the modules with parameters in the `nn.Sequential` called `prefix`.
    pub fn places(&self, prefix: &str) -> Vec<usize> {
        let place = |name: &String| {
            let (place, _) = below(name, prefix)?.split_once('.')?;
            place.parse().ok()
        };
        let places: BTreeSet<usize> = self.tensors.keys().filter_map(place).collect();
        places.into_iter().collect()
    }

    /// The layers of an `nn.Sequential` in which an activation follows each of them: `prefix.0`,
    /// `prefix.2`, ….
    ///
    /// # Errors
    /// Something else has parameters there: its keys are named.
    pub fn layers(&self, prefix: &str) -> Result<Vec<String>> {
        let places = self.places(prefix);
        let odd = places.iter().enumerate().find(|(i, place)| **place != 2 * i);
        if let Some((_, place)) = odd {
            return Err(ImportError::new(format!(
                "{prefix} is no row of fully connected layers with an activation behind each: {prefix}.{place} has parameters"
            )));
        }
        Ok(places.into_iter().map(|place| format!("{prefix}.{place}")).collect())
    }

    /// Takes hidden layers; their widths.
    ///
    /// # Errors
    /// Those of [`StateDict::layers`] and [`StateDict::linear`].
    pub fn hidden(&mut self, from: &str, to: &str, inputs: usize) -> Result<Vec<usize>> {
        let layers = self.layers(from)?;
        self.stack(&layers, to, inputs)
    }

    /// Takes the layers as hidden layers `to.0`, `to.1`, …; their widths.
    ///
    /// # Errors
    /// Those of [`StateDict::linear`].
    pub fn stack(&mut self, layers: &[String], to: &str, inputs: usize) -> Result<Vec<usize>> {
        let mut widths = Vec::with_capacity(layers.len());
        for (i, layer) in layers.iter().enumerate() {
            let inputs = widths.last().copied().unwrap_or(inputs);
            widths.push(self.linear(layer, &format!("{to}.{i}"), inputs)?);
        }
        Ok(widths)
    }

    /// Hidden layers with the last layer, in one `nn.Sequential`: widths and outputs.
    ///
    /// # Errors
    /// Those of [`StateDict::hidden`]; there is no layer at all.
    pub fn branch(
        &mut self,
        from: &str,
        (hidden, last): (&str, &str),
        inputs: usize,
    ) -> Result<(Vec<usize>, usize)> {
        let layers = self.layers(from)?;
        let Some((end, before)) = layers.split_last() else {
            return Err(ImportError::new(format!("there are no layers {from}.0, {from}.2, …")));
        };
        let widths = self.stack(before, hidden, inputs)?;
        let inputs = widths.last().copied().unwrap_or(inputs);
        Ok((widths, self.linear(end, last, inputs)?))
    }

    /// Our tensors, once nothing foreign is left.
    ///
    /// # Errors
    /// Names what is left: parts of a network that nothing here explains.
    pub fn finish(self) -> Result<HashMap<String, Tensor>> {
        let names = self.names();
        if names.is_empty() {
            return Ok(self.taken);
        }
        let more = names.len().saturating_sub(MAX_NAMED);
        let mut list = names.into_iter().take(MAX_NAMED).collect::<Vec<_>>().join(", ");
        if more > 0 {
            list += &format!(" and {more} more");
        }
        Err(ImportError::new(format!("no layer of this kind of policy explains the keys {list}")))
    }
}

fn below<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_prefix('.')
}

fn equal(one: &Tensor, other: &Tensor) -> Result<bool> {
    if one.dims() != other.dims() || one.dtype() != other.dtype() {
        return Ok(false);
    }
    let values = |tensor: &Tensor| tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    Ok(values(one)? == values(other)?)
}

impl From<candle_core::Error> for ImportError {
    fn from(error: candle_core::Error) -> Self {
        Self::new(crate::policy::message(&error))
    }
}
