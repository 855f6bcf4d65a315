//! Artifact folders of the CarlaRL Policy-as-a-Service: a traced network in `model.pt`, statistics in
//! `preprocessor.pkl`, and a card.

use std::path::Path;

use candle_core::Tensor;
use serde::Deserialize;

use super::{
    Imported, Pickle, TorchFile, Value,
    error::{ImportError, Result},
    numpy, read_file,
    state_dict::StateDict,
    torch_nn,
    torchscript::{self, Module},
};
use crate::{
    artifact::card,
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Normalize, Postprocess},
    },
    wire::{DType, Space, named::SENSORS, space::Bound},
};

pub const MODEL: &str = "model.pt";
const PREPROCESSOR: &str = "preprocessor.pkl";
const CARD: &str = "model_card.yaml";
/// What the service does with the network's outputs.
const ACTIONS: [(&str, f64, f64); 3] =
    [("throttle", 0.0, 1.0), ("brake", 0.0, 1.0), ("steer", -1.0, 1.0)];

/// The part of the card that matters here.
#[derive(Deserialize)]
struct CarlaCard {
    model_name: Option<String>,
    version: Option<String>,
}

/// # Errors
/// A file is missing or broken, or the network is no row of fully connected layers.
pub fn import(folder: &Path) -> Result<Imported> {
    let place = |error: ImportError| error.within(MODEL);
    let bytes = read_file(&folder.join(MODEL)).map_err(place)?;
    let file = TorchFile::open(&bytes).map_err(place)?;
    let modules = torchscript::modules(&file).map_err(place)?;
    let network = Sequential::of(&modules).map_err(place)?;
    let mut state_dict = StateDict::new(network.tensors).map_err(place)?;
    let inputs = network.inputs;
    let policy = state_dict.stack(&network.layers, "policy", inputs).map_err(place)?;
    let outputs = state_dict
        .linear(&network.last, "action", policy.last().copied().unwrap_or(inputs))
        .map_err(place)?;
    if outputs != ACTIONS.len() {
        return Err(place(ImportError::new(format!(
            "the network has {outputs} outputs, expected throttle, brake and steer"
        ))));
    }
    let place = |error: ImportError| error.within(PREPROCESSOR);
    let preprocessor = read_file(&folder.join(PREPROCESSOR)).map_err(place)?;
    let preprocessor = Pickle::read(&preprocessor).map_err(place)?;
    let normalization = Normalization::of(preprocessor.root(), inputs).map_err(place)?;
    normalization.put(&mut state_dict)?;
    // Without hidden layers there is none.
    let activation = network.activation.unwrap_or(Activation::Identity);
    let spec = PolicySpec {
        observation_space: observation_space(inputs),
        action_space: action_space(),
        normalize: Some(Normalize {
            epsilon: 0.0,
            clip: f64::INFINITY,
            keys: None,
            clip_inputs: true,
        }),
        network: NetworkSpec::mlp(activation, policy, None),
        head: Head::Deterministic { squash: network.squash },
        postprocess: Postprocess::Clip,
    };
    let source = source(folder)?;
    Ok(Imported {
        observation_features: Some(normalization.features),
        action_names: Some(ACTIONS.map(|(name, ..)| name.to_owned()).to_vec()),
        ..Imported::new("PPO".into(), source, spec, state_dict.finish()?)
    })
}

fn source(folder: &Path) -> Result<String> {
    let path = folder.join(CARD);
    if !path.is_file() {
        return Ok("an artifact of the CarlaRL service".into());
    }
    let place = |error: ImportError| error.within(CARD);
    let text = String::from_utf8_lossy(&read_file(&path).map_err(place)?).into_owned();
    let card: CarlaCard = card::from_yaml(&text).map_err(|error| place(ImportError::new(error)))?;
    let (name, version) = (card.model_name.unwrap_or_default(), card.version.unwrap_or_default());
    Ok(format!("{name} {version} of the CarlaRL service"))
}

/// What the traced modules amount to.
struct Sequential {
    tensors: Vec<(String, Tensor)>,
    layers: Vec<String>,
    last: String,
    inputs: usize,
    activation: Option<Activation>,
    squash: bool,
}

impl Sequential {
    /// Modules in the order in which they were made: layers with one activation between them, and
    /// perhaps tanh at the end. What the traced code does with them is not looked at.
    fn of(modules: &[Module]) -> Result<Self> {
        let mut layers: Vec<String> = Vec::new();
        let mut activations = Vec::new();
        for module in modules {
            match module.class.rsplit('.').next().unwrap_or("") {
                "Linear" => layers.push(module.path.clone()),
                "Sequential" | "Dropout" | "Identity" | "Flatten" => {}
                name => match torch_nn::activation(name) {
                    Some(activation) => activations.push((layers.len(), activation)),
                    None if module.tensors.is_empty() => {}
                    None => {
                        return Err(ImportError::new(format!(
                            "{} is a {name}: only fully connected layers can be rebuilt",
                            module.path
                        )));
                    }
                },
            }
        }
        let last = layers.pop().ok_or_else(|| ImportError::new("there is no layer"))?;
        let squash = activations.last() == Some(&(layers.len() + 1, Activation::Tanh));
        let hidden = &activations[..activations.len() - usize::from(squash)];
        let one = hidden.first().map(|(_, activation)| *activation);
        let places: Vec<_> = (1..=layers.len()).collect();
        let got: Vec<_> = hidden.iter().map(|(place, _)| *place).collect();
        if got != places || hidden.iter().any(|(_, activation)| Some(*activation) != one) {
            return Err(ImportError::new(format!(
                "expected one kind of activation behind each hidden layer, got {hidden:?}"
            )));
        }
        let tensors = modules.iter().flat_map(|module| {
            let name = |name: &str| match module.path.as_str() {
                "" => name.to_owned(),
                path => format!("{path}.{name}"),
            };
            module.tensors.iter().map(move |(key, tensor)| (name(key), tensor.clone()))
        });
        let tensors: Vec<(String, Tensor)> = tensors.collect();
        let first = layers.first().unwrap_or(&last);
        let weight = tensors.iter().find(|(name, _)| *name == format!("{first}.weight"));
        let inputs = weight.and_then(|(_, weight)| weight.dims().get(1).copied()).unwrap_or(0);
        Ok(Self { tensors, layers, last, inputs, activation: one, squash })
    }
}

/// Statistics of the service's `StandardFeaturePreprocessor`: each feature less its mean, by its
/// standard deviation; sensors are clipped before.
struct Normalization {
    features: Vec<String>,
    elements: Vec<Element>,
}

#[derive(Clone, Copy)]
struct Element {
    mean: f64,
    std: f64,
    low: f64,
    high: f64,
}

impl Normalization {
    fn of(preprocessor: Value<'_>, inputs: usize) -> Result<Self> {
        let names = preprocessor.require("feature_names")?;
        let names: Option<Vec<&str>> =
            names.elements().unwrap_or_default().into_iter().map(Value::as_str).collect();
        let names = names.ok_or_else(|| ImportError::new("feature_names are no names"))?;
        let sensors = (inputs + 1).saturating_sub(names.len());
        let mut elements = Vec::with_capacity(inputs);
        for name in &names {
            let count = if *name == SENSORS { sensors } else { 1 };
            elements.extend(vec![element(preprocessor, name)?; count]);
        }
        match elements.len() == inputs {
            true => Ok(Self { features: names.into_iter().map(String::from).collect(), elements }),
            false => Err(ImportError::new(format!(
                "feature_names give {} elements, the network takes {inputs}",
                elements.len()
            ))),
        }
    }

    fn put(&self, state_dict: &mut StateDict) -> Result<()> {
        let mut put = |name: &str, of: fn(&Element) -> f64| {
            let values: Vec<f64> = self.elements.iter().map(of).collect();
            state_dict.put_statistics(&format!("observation.{name}"), values)
        };
        put("mean", |element| element.mean)?;
        put("var", |element| element.std * element.std)?;
        put("low", |element| element.low)?;
        put("high", |element| element.high)
    }
}

/// What is done to a feature. One that is not normalised has mean 0 and standard deviation 1.
fn element(preprocessor: Value<'_>, name: &str) -> Result<Element> {
    let is_sensor = name == SENSORS;
    let range = preprocessor.attribute("sensor_clip_range").filter(|_| is_sensor);
    let (low, high) = match range.and_then(Value::elements).as_deref() {
        Some([low, high]) => (number(*low, name)?, number(*high, name)?),
        _ => (f64::from(f32::MIN), f64::from(f32::MAX)),
    };
    let stem = if is_sensor { "sensor" } else { name };
    let on = preprocessor.attribute(&format!("normalize_{name}")).and_then(Value::as_bool);
    let Some(stats) = preprocessor.attribute(&format!("{stem}_stats")).filter(|_| on == Some(true))
    else {
        return Ok(Element { mean: 0.0, std: 1.0, low, high });
    };
    let part = |what: &str| {
        let missing = || ImportError::new(format!("{stem}_stats has no {what}"));
        number(stats.get(what).ok_or_else(missing)?, name)
    };
    Ok(Element { mean: part("mean")?, std: part("std")?, low, high })
}

fn number(value: Value<'_>, of: &str) -> Result<f64> {
    numpy::number(value).ok_or_else(|| ImportError::expected("a number", value).within(of))
}

fn observation_space(inputs: usize) -> Space {
    let (low, high) = (Bound::Uniform(f64::NEG_INFINITY), Bound::Uniform(f64::INFINITY));
    Space::Box { dtype: DType::F4, shape: vec![inputs], low, high }
}

fn action_space() -> Space {
    Space::Box {
        dtype: DType::F4,
        shape: vec![ACTIONS.len()],
        low: Bound::Each(ACTIONS.map(|(_, low, _)| low).to_vec()),
        high: Bound::Each(ACTIONS.map(|(.., high)| high).to_vec()),
    }
}
