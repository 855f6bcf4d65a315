//! Statistics out of `vec_normalize.pkl`, the pickle of Stable-Baselines3's `VecNormalize`.
//!
//! Of the many things in it, only what inference needs is looked at: rewards are normalised in
//! training alone.

use super::{
    Value,
    error::{ImportError, Result},
    numpy::{self, Array},
};

/// Elements of all means and variances: many keys may refer to one large array.
const MAX_ELEMENTS: usize = 1 << 22;

/// What training normalised observations with.
#[derive(Clone, Debug, PartialEq)]
pub struct Statistics {
    /// Whether it did at all.
    pub norm_obs: bool,
    /// The largest absolute value after normalisation.
    pub clip: f64,
    /// Added to the variance.
    pub epsilon: f64,
    /// Of each normalised key of a dict of observations, or of the one observation, with no key.
    pub by_key: Vec<Moments>,
}

/// Mean and variance of an observation, of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    pub key: Option<String>,
    pub mean: Array,
    pub var: Array,
}

/// The statistics in a pickled `VecNormalize`.
///
/// # Errors
/// It is something else, or lacks a part.
pub fn read(value: Value<'_>) -> Result<Statistics> {
    let is_known = value.class().is_some_and(|(module, name)| {
        module.starts_with("stable_baselines") && name == "VecNormalize"
    });
    if !is_known {
        return Err(ImportError::expected("a VecNormalize of stable_baselines3", value));
    }
    let norm_obs = value.require("norm_obs")?;
    let norm_obs =
        norm_obs.as_bool().ok_or_else(|| ImportError::expected("True or False", norm_obs))?;
    Ok(Statistics {
        norm_obs,
        clip: number(value, "clip_obs")?,
        epsilon: number(value, "epsilon")?,
        // Where observations are not normalised, there is nothing or something meaningless.
        by_key: if norm_obs { by_key(value)? } else { vec![] },
    })
}

fn number(of: Value<'_>, name: &str) -> Result<f64> {
    let value = of.require(name)?;
    numpy::number(value).ok_or_else(|| ImportError::expected("a number", value).within(name))
}

fn by_key(normalize: Value<'_>) -> Result<Vec<Moments>> {
    let running = normalize.require("obs_rms")?;
    let Some(entries) = running.entries() else { return Ok(vec![moments(running, None)?]) };
    let keys = normalized_keys(normalize)?;
    let (mut all, mut elements) = (Vec::new(), 0_usize);
    for (key, running) in entries {
        let key =
            key.as_str().ok_or_else(|| ImportError::expected("the key of an observation", key))?;
        if keys.as_ref().is_none_or(|keys| keys.contains(&key)) {
            let moments = moments(running, Some(key))?;
            elements = elements.saturating_add(moments.mean.values.len());
            check_elements(elements)?;
            all.push(moments);
        }
    }
    Ok(all)
}

fn check_elements(elements: usize) -> Result<()> {
    match elements <= MAX_ELEMENTS {
        true => Ok(()),
        false => Err(ImportError::new(format!("statistics of more than {MAX_ELEMENTS} elements"))),
    }
}

/// `None` for all: old files don't name them.
fn normalized_keys(normalize: Value<'_>) -> Result<Option<Vec<&str>>> {
    let Some(keys) = normalize.attribute("norm_obs_keys").filter(|keys| !keys.is_none()) else {
        return Ok(None);
    };
    let names = keys.elements().ok_or_else(|| ImportError::expected("a list of keys", keys))?;
    let names =
        names.iter().map(|name| name.as_str().ok_or_else(|| ImportError::expected("a key", *name)));
    names.collect::<Result<_>>().map(Some)
}

fn moments(running: Value<'_>, key: Option<&str>) -> Result<Moments> {
    let place = |error: ImportError| {
        error.within(key.map_or("obs_rms".into(), |key| format!("obs_rms[{key:?}]")))
    };
    let mean = array(running, "mean").map_err(place)?;
    let var = array(running, "var").map_err(place)?;
    match mean.shape == var.shape {
        true => Ok(Moments { key: key.map(str::to_owned), mean, var }),
        false => Err(place(ImportError::new(format!(
            "a mean of shape {:?} with a variance of {:?}",
            mean.shape, var.shape
        )))),
    }
}

fn array(running: Value<'_>, name: &str) -> Result<Array> {
    let value = running.require(name)?;
    numpy::array(value)?.ok_or_else(|| ImportError::expected("an array", value).within(name))
}
