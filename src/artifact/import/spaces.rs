//! Spaces of Gymnasium, and of Gym before it, from pickles.

use super::{
    Value,
    error::{ImportError, Result},
    numpy::{self, Array},
};
use crate::wire::{DType, Space, space::Bound};

/// Spaces in one: a dict may refer to the same one many times.
const MAX_SPACES: usize = 1 << 8;
/// Dicts inside dicts.
const MAX_DEPTH: usize = 8;
/// Elements of all bounds, which may be referred to many times, too.
const MAX_BOUNDS: usize = 1 << 24;

/// The space that `value` is.
///
/// # Errors
/// Of another class, or with something that the wire's spaces don't have.
pub fn read(value: Value<'_>) -> Result<Space> {
    Reader { spaces: 0, bounds: 0 }.space(value, 0)
}

/// Counts what it has read.
struct Reader {
    spaces: usize,
    bounds: usize,
}

impl Reader {
    fn space(&mut self, value: Value<'_>, depth: usize) -> Result<Space> {
        self.spaces += 1;
        if self.spaces > MAX_SPACES || depth > MAX_DEPTH {
            return Err(ImportError::new(format!(
                "more than {MAX_SPACES} spaces, or nested more than {MAX_DEPTH} deep"
            )));
        }
        match class_of(value) {
            Some("Box") => self.bounded(value),
            Some("Discrete") => discrete(value),
            Some("MultiDiscrete") => multi_discrete(value),
            Some("MultiBinary") => multi_binary(value),
            Some("Dict") => self.dict(value, depth),
            _ => Err(ImportError::new(format!(
                "expected a Box, Discrete, MultiDiscrete, MultiBinary or Dict of gymnasium or \
                 gym, got {}",
                value.describe()
            ))),
        }
    }

    fn bounded(&mut self, value: Value<'_>) -> Result<Space> {
        let low = required_array(value, "low")?;
        let high = required_array(value, "high")?;
        self.bounds = self.bounds.saturating_add(low.values.len() + high.values.len());
        if self.bounds > MAX_BOUNDS {
            return Err(ImportError::new(format!("bounds of more than {MAX_BOUNDS} elements")));
        }
        let shape = match value.attribute("_shape").or_else(|| value.attribute("shape")) {
            Some(shape) => sizes(shape)?,
            None => low.shape.clone(),
        };
        let (low, high) = (bound(low, &shape)?, bound(high, &shape)?);
        Ok(Space::Box { dtype: dtype_of(value)?, shape, low, high })
    }

    /// In the order of the pickle: Gymnasium sorts the keys of a plain dict before it gets there.
    fn dict(&mut self, value: Value<'_>, depth: usize) -> Result<Space> {
        let spaces = value.require("spaces")?;
        let entries =
            spaces.entries().ok_or_else(|| ImportError::expected("a dict of spaces", spaces))?;
        let mut named = Vec::new();
        for (key, value) in entries {
            let name =
                key.as_str().ok_or_else(|| ImportError::expected("the name of a space", key))?;
            let place = |error: ImportError| error.within(format!("the space {name}"));
            named.push((name.to_owned(), self.space(value, depth + 1).map_err(place)?));
        }
        Ok(Space::Dict { spaces: named })
    }
}

/// The name of a class out of either library.
fn class_of(value: Value<'_>) -> Option<&str> {
    let (module, name) = value.class()?;
    let is_known = module.starts_with("gymnasium.spaces.") || module.starts_with("gym.spaces.");
    is_known.then_some(name)
}

fn dtype_of(space: Value<'_>) -> Result<DType> {
    // The oldest have none besides that of their bounds.
    let typed = space.attribute("dtype").filter(|dtype| !dtype.is_none());
    let typed = typed.map_or_else(|| space.require("low"), Ok)?;
    let element =
        numpy::element(typed)?.ok_or_else(|| ImportError::expected("a type of numbers", typed))?;
    DType::parse(element.code()).ok_or_else(|| {
        let names: Vec<_> = DType::NAMES.iter().map(|(name, _)| *name).collect();
        let known = names.join(", ");
        ImportError::new(format!("a Box of dtype {}, expected one of {known}", element.code()))
    })
}

fn bound(array: Array, shape: &[usize]) -> Result<Bound> {
    if array.shape != shape && !array.shape.is_empty() {
        let got = array.shape;
        return Err(ImportError::new(format!("a Box of shape {shape:?} with bounds of {got:?}")));
    }
    match array.values.split_first() {
        Some((first, rest)) if rest.iter().all(|value| value == first) => {
            Ok(Bound::Uniform(*first))
        }
        _ => Ok(Bound::Each(array.values)),
    }
}

fn discrete(space: Value<'_>) -> Result<Space> {
    let n = space.require("n")?;
    let n = positive(numpy::integer(n))
        .ok_or_else(|| ImportError::expected("a number of choices", n))?;
    let start = match space.attribute("start") {
        Some(start) => {
            numpy::integer(start).ok_or_else(|| ImportError::expected("a first choice", start))?
        }
        // Gym before 0.22.
        None => 0,
    };
    Ok(Space::Discrete { n, start })
}

fn multi_discrete(space: Value<'_>) -> Result<Space> {
    let nvec = integers(space.require("nvec")?)?;
    let [_] = nvec.shape.as_slice() else {
        return Err(ImportError::new(format!(
            "a MultiDiscrete of shape {:?}, expected one axis",
            nvec.shape
        )));
    };
    if let Some(start) = space.attribute("start").filter(|start| !start.is_none())
        && integers(start)?.values.iter().any(|first| *first != 0.0)
    {
        return Err(ImportError::new("a MultiDiscrete that does not start at 0"));
    }
    let counts = nvec.values.iter().map(|n| positive(Some(*n as i64)));
    let counts = counts.collect::<Option<_>>();
    let nvec = counts.ok_or_else(|| ImportError::new("a MultiDiscrete without choices"))?;
    Ok(Space::MultiDiscrete { nvec })
}

/// `n` is a number or a shape.
fn multi_binary(space: Value<'_>) -> Result<Space> {
    let n = space.require("n")?;
    let shape = match numpy::integer(n) {
        Some(_) => vec![size_of(n)?],
        None => sizes(n)?,
    };
    Ok(Space::MultiBinary { shape })
}

fn positive(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok()).filter(|number| *number > 0)
}

/// An array, or a list as Gym took it as it was given.
fn integers(value: Value<'_>) -> Result<Array> {
    if let Some(array) = numpy::array(value)? {
        return Ok(array);
    }
    let items =
        value.elements().ok_or_else(|| ImportError::expected("an array of integers", value))?;
    let number = |item: &Value<'_>| {
        numpy::integer(*item)
            .map(|n| n as f64)
            .ok_or_else(|| ImportError::expected("an integer", *item))
    };
    let values = items.iter().map(number).collect::<Result<Vec<_>>>()?;
    Ok(Array { shape: vec![values.len()], values })
}

fn sizes(value: Value<'_>) -> Result<Vec<usize>> {
    if let Some(array) = numpy::array(value)? {
        let size = |size: &f64| (size.fract() == 0.0 && *size >= 0.0).then_some(*size as usize);
        let sizes = array.values.iter().map(size).collect::<Option<_>>();
        return sizes.ok_or_else(|| ImportError::expected("an array of sizes", value));
    }
    let sizes = value.elements().ok_or_else(|| ImportError::expected("a shape", value))?;
    sizes.into_iter().map(size_of).collect()
}

fn size_of(value: Value<'_>) -> Result<usize> {
    let size = numpy::integer(value).and_then(|size| usize::try_from(size).ok());
    size.ok_or_else(|| ImportError::expected("a size", value))
}

fn required_array(space: Value<'_>, name: &str) -> Result<Array> {
    let value = space.require(name)?;
    let place = |error: ImportError| error.within(name);
    numpy::array(value)
        .map_err(place)?
        .ok_or_else(|| place(ImportError::expected("an array", value)))
}
