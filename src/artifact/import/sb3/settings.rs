//! What a policy was constructed with: the `policy_kwargs` of a `.zip`, the `data` of a bare policy.

use serde_json::Value as Json;

use crate::{
    artifact::import::{
        Value,
        error::{ImportError, Result},
        numpy, torch_nn,
    },
    policy::spec::{Activation, Head},
};

/// Those that change what `predict` gives, and can't be seen in the weights.
#[derive(Debug, Default)]
pub struct Settings {
    pub activation: Option<Activation>,
    /// A class of features extractors that is none of Stable-Baselines3's own.
    pub own_extractor: Option<String>,
    pub normalize_images: Option<bool>,
    pub squash_output: Option<bool>,
    pub use_expln: Option<bool>,
    pub clip_mean: Option<f64>,
    pub batch_norm_eps: Option<f64>,
    pub n_quantiles: Option<usize>,
    /// Those of `lstm_kwargs` that this program knows nothing of.
    pub lstm: Vec<String>,
}

/// A keyword of `nn.LSTM` that changes nothing in single steps.
const HARMLESS_LSTM: [&str; 3] = ["dropout", "bias", "batch_first"];

/// The features extractors that can be rebuilt.
const EXTRACTORS: &str = "stable_baselines3.common.torch_layers";
const KNOWN_EXTRACTORS: [&str; 3] = ["FlattenExtractor", "NatureCNN", "CombinedExtractor"];

impl Settings {
    /// Of plain values, as they stand in the JSON.
    pub fn of_json(json: &Json) -> Self {
        let flag = |name: &str| json.get(name)?.as_bool();
        let number = |name: &str| json.get(name)?.as_f64();
        let lstm = json.get("lstm_kwargs").and_then(Json::as_object);
        let lstm = lstm.into_iter().flatten().filter(|(key, value)| is_unknown(key, is_set(value)));
        Self { lstm: lstm.map(|(key, _)| key.clone()).collect(), ..Self::plain(flag, number) }
    }

    fn plain(flag: impl Fn(&str) -> Option<bool>, number: impl Fn(&str) -> Option<f64>) -> Self {
        Self {
            normalize_images: flag("normalize_images"),
            squash_output: flag("squash_output"),
            use_expln: flag("use_expln"),
            clip_mean: number("clip_mean"),
            batch_norm_eps: number("batch_norm_eps"),
            n_quantiles: number("n_quantiles").map(|n| n as usize),
            ..Self::default()
        }
    }

    /// What a head of a card says.
    pub fn of_head(head: &Head) -> Self {
        match head {
            Head::Gsde { squash, expln, clip_mean } => Self {
                squash_output: Some(*squash),
                use_expln: Some(*expln),
                clip_mean: *clip_mean,
                ..Self::default()
            },
            Head::Deterministic { squash } => {
                Self { squash_output: Some(*squash), ..Self::default() }
            }
            _ => Self::default(),
        }
    }

    /// Of a pickled dict.
    ///
    /// # Errors
    /// It is no dict, or has an activation that is none of `torch.nn`'s, or that this program does not have.
    pub fn of_pickle(dict: Value<'_>) -> Result<Self> {
        if dict.entries().is_none() {
            return Err(ImportError::expected("a dict", dict));
        }
        let given = |name: &str| dict.get(name).filter(|value| !value.is_none());
        let flag = |name: &str| given(name)?.as_bool();
        let number = |name: &str| numpy::number(given(name)?);
        let activation = given("activation_fn").map(activation).transpose()?;
        let extractor = given("features_extractor_class").and_then(own_extractor);
        let lstm = given("lstm_kwargs").and_then(Value::entries).unwrap_or_default();
        let lstm = lstm.into_iter().filter_map(|(key, value)| Some((key.as_str()?, value)));
        let set = |value: Value<'_>| {
            !value.is_none() && value.as_bool() != Some(false) && value.as_i64() != Some(0)
        };
        let lstm = lstm.filter(|(key, value)| is_unknown(key, set(*value)));
        Ok(Self {
            activation,
            own_extractor: extractor,
            lstm: lstm.map(|(key, _)| key.to_owned()).collect(),
            ..Self::plain(flag, number)
        })
    }
}

fn is_unknown(key: &str, is_set: bool) -> bool {
    is_set && !HARMLESS_LSTM.contains(&key)
}

fn is_set(value: &Json) -> bool {
    !matches!(value, Json::Null | Json::Bool(false)) && value.as_i64() != Some(0)
}

fn own_extractor(value: Value<'_>) -> Option<String> {
    match value.global() {
        Some((EXTRACTORS, name)) if KNOWN_EXTRACTORS.contains(&name) => None,
        Some((module, name)) => Some(format!("{module}.{name}")),
        None => Some(value.describe()),
    }
}

fn activation(value: Value<'_>) -> Result<Activation> {
    if value.function() == Some(("functools", "partial")) {
        return partial(value);
    }
    let known = value.global().and_then(|(module, name)| {
        module.starts_with("torch.nn.modules").then(|| torch_nn::activation(name))?
    });
    known.ok_or_else(|| {
        ImportError::new(format!(
            "activation_fn is {}; supported are those of torch.nn: {}",
            value.describe(),
            torch_nn::ACTIVATIONS.map(|(name, _)| name).join(", ")
        ))
    })
}

/// A partial application without arguments is the class itself.
fn partial(value: Value<'_>) -> Result<Activation> {
    let call = value.call();
    let class = call.as_ref().and_then(|call| call.arguments.first().copied());
    let state = call.and_then(|call| call.state).and_then(Value::elements).unwrap_or_default();
    let empty = |value: &Value<'_>| {
        value.is_none()
            || value.elements().is_some_and(|items| items.is_empty())
            || value.entries().is_some_and(|entries| entries.is_empty())
    };
    match class {
        Some(class) if state.iter().skip(1).all(empty) => activation(class),
        _ => Err(ImportError::new(
            "activation_fn is a functools.partial with parameters of its own; supported are the activations of torch.nn with their default parameters",
        )),
    }
}
