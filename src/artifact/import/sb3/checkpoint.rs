//! What a file of Stable-Baselines3 holds, before anybody asks what policy it is.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value as Json;

use super::settings::Settings;
use crate::{
    artifact::import::{
        Archive, Pickle, TorchFile, Value,
        error::{ImportError, Result},
        numpy, spaces,
        spec_file::SpecFile,
        state_dict::StateDict,
    },
    policy::spec::Head,
    wire::Space,
};

pub struct Checkpoint {
    /// Module and name of the policy's class; a bare policy does not tell.
    pub policy_class: Option<(String, String)>,
    pub observation_space: Space,
    pub action_space: Space,
    pub settings: Settings,
    /// The names of what the algorithm was constructed with, which tell algorithms apart that share
    /// a policy; of a bare policy, those of the policy.
    pub keys: Vec<String>,
    /// Numbers that the algorithm had, like `exploration_rate`.
    pub numbers: Vec<(String, f64)>,
    pub state_dict: StateDict,
    /// Of Stable-Baselines3.
    pub version: Option<String>,
    /// Whether the last observation of the training was not as an environment gives it.
    pub altered: bool,
}

const DATA: &str = "data";
const POLICY: &str = "policy.pth";
const VERSION: &str = "_stable_baselines3_version";

impl Checkpoint {
    /// Whether the archive is one of `model.save`.
    pub fn is_zip(archive: &Archive<'_>) -> bool {
        archive.contains(DATA) || archive.contains(POLICY)
    }

    /// Reads an archive of `model.save`.
    ///
    /// # Errors
    /// A member is missing or broken.
    pub fn of_zip(archive: &mut Archive<'_>) -> Result<Self> {
        let data = archive.read(DATA)?;
        let data: Json = serde_json::from_slice(&data)
            .map_err(|error| ImportError::new(format!("{DATA}: not JSON: {error}")))?;
        let policy = archive.read(POLICY)?;
        let file = TorchFile::open(&policy).map_err(|error| error.within(POLICY))?;
        let tensors = file.state_dict(file.root()).map_err(|error| error.within(POLICY))?;
        let version = archive.contains(VERSION).then(|| archive.read(VERSION)).transpose()?;
        let version = version.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
        let keys = data.as_object().map(|data| data.keys().cloned().collect());
        let observation_space = tagged(&data, "observation_space", spaces::read)?;
        Ok(Self {
            policy_class: Some(tagged(&data, "policy_class", class)?),
            action_space: tagged(&data, "action_space", spaces::read)?,
            settings: settings(&data).map_err(|error| error.within("data: policy_kwargs"))?,
            keys: keys.unwrap_or_default(),
            numbers: numbers(&data),
            state_dict: StateDict::new(tensors).map_err(|error| error.within(POLICY))?,
            version,
            altered: is_altered(&data, &observation_space),
            observation_space,
        })
    }

    /// Whether what was saved is a bare policy.
    pub fn is_bare(root: Value<'_>) -> bool {
        root.get("state_dict").is_some() && root.get("data").is_some()
    }

    /// Reads a file of `policy.save`.
    ///
    /// # Errors
    /// A part is missing or broken.
    pub fn of_bare(file: &TorchFile) -> Result<Self> {
        let part = |name: &str| {
            let missing = || ImportError::new(format!("no entry {name} in what was saved"));
            file.root().get(name).ok_or_else(missing)
        };
        let data = part("data")?;
        let space = |name: &str| {
            let missing = || ImportError::new(format!("data: no {name}"));
            let place = |error: ImportError| error.within(format!("data: {name}"));
            spaces::read(data.get(name).ok_or_else(missing)?).map_err(place)
        };
        let keys = data.entries().unwrap_or_default();
        Ok(Self {
            policy_class: None,
            observation_space: space("observation_space")?,
            action_space: space("action_space")?,
            settings: Settings::of_pickle(data).map_err(|error| error.within("data"))?,
            keys: keys.iter().filter_map(|(key, _)| Some(key.as_str()?.to_owned())).collect(),
            numbers: vec![],
            state_dict: StateDict::new(file.state_dict(part("state_dict")?)?)?,
            version: None,
            altered: false,
        })
    }

    /// Whether the names are those of a policy, so that the spaces are all that is missing.
    pub fn is_state_dict(state_dict: &StateDict) -> bool {
        ["action_net", "q_net", "quantile_net", "actor.mu", "lstm_actor"]
            .iter()
            .any(|name| state_dict.has_below(name))
    }

    /// Of a policy's state dict alone.
    ///
    /// # Errors
    /// The spec lacks a field.
    pub fn of_state_dict(state_dict: StateDict, given: &SpecFile) -> Result<Self> {
        let settings = Settings {
            activation: Some(given.activation()?),
            normalize_images: given.scale_images,
            ..given.head.as_ref().map(Settings::of_head).unwrap_or_default()
        };
        let masked = given.head.as_ref().is_some_and(Head::is_masked);
        Ok(Self {
            policy_class: None,
            observation_space: given.observation_space()?,
            action_space: given.action_space()?,
            settings,
            // By which a bare policy tells that it takes no masks.
            keys: if masked { vec![] } else { vec!["use_sde".into()] },
            numbers: vec![],
            state_dict,
            version: None,
            altered: false,
        })
    }

    pub fn has_key(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key == name)
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(known, _)| known == name).map(|(_, number)| *number)
    }
}

/// What `read` makes of an entry that is pickled inside the JSON.
fn tagged<T>(data: &Json, name: &str, read: impl Fn(Value<'_>) -> Result<T>) -> Result<T> {
    let place = |error: ImportError| error.within(format!("{DATA}: {name}"));
    let pickle = pickled(data, name).map_err(place)?;
    read(pickle.root()).map_err(place)
}

fn pickled(data: &Json, name: &str) -> Result<Pickle> {
    let entry = data.get(name).ok_or_else(|| ImportError::new("it is missing"))?;
    let text = entry.get(":serialized:").and_then(Json::as_str);
    let text = text.ok_or_else(|| ImportError::new("expected a pickle in :serialized:"))?;
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|error| ImportError::new(format!("the pickle is no base64: {error}")))?;
    Pickle::read(&bytes)
}

fn class(value: Value<'_>) -> Result<(String, String)> {
    let (module, name) = value.global().ok_or_else(|| {
        ImportError::new(format!(
            "{}: a class of your own can't be rebuilt from its weights",
            value.describe()
        ))
    })?;
    Ok((module.to_owned(), name.to_owned()))
}

fn settings(data: &Json) -> Result<Settings> {
    match data.get("policy_kwargs") {
        Some(plain) if plain.get(":serialized:").is_none() => Ok(Settings::of_json(plain)),
        Some(_) => Settings::of_pickle(pickled(data, "policy_kwargs")?.root()),
        None => Ok(Settings::default()),
    }
}

fn numbers(data: &Json) -> Vec<(String, f64)> {
    let entries = data.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect()
}

/// Whether the last observation of the training differs from the original one, or lies outside of the
/// space: VecNormalize makes such.
fn is_altered(data: &Json, space: &Space) -> bool {
    let array = |name: &str| numpy::array(pickled(data, name).ok()?.root()).ok()?;
    let Some(last) = array("_last_obs") else { return false };
    let differs = array("_last_original_obs").is_some_and(|original| original != last);
    differs || is_outside(&last.values, space)
}

fn is_outside(values: &[f64], space: &Space) -> bool {
    let Space::Box { low, high, .. } = space else { return false };
    let size = space.size();
    let (Some(low), Some(high)) = (low.expand(size), high.expand(size)) else { return false };
    let beyond = |(at, value): (usize, &f64)| {
        let (low, high) = (low[at % size], high[at % size]);
        let slack = 1e-3 * (high - low).abs();
        slack.is_finite() && (*value < low - slack || *value > high + slack)
    };
    size > 0 && values.iter().enumerate().any(beyond)
}
