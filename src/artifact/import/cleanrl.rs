//! State dicts of CleanRL's scripts, told by the names of their layers.

use super::{
    Imported,
    error::{ImportError, Result},
    sb3::{features, take_lstm},
    spec_file::SpecFile,
    state_dict::StateDict,
};
use crate::{
    policy::{
        PolicySpec,
        spec::{
            Activation, Features, Head, IMAGE, ImageNetwork, Lstm, NetworkSpec, Postprocess,
            ValueMemory,
        },
    },
    wire::Space,
};

/// Whether the names are those of one of the scripts.
pub fn is_known(state_dict: &StateDict) -> bool {
    Script::of(state_dict).is_some()
}

/// # Errors
/// The spec lacks a field, or the layers are others than the script's.
pub fn import(mut state_dict: StateDict, given: &SpecFile) -> Result<Imported> {
    let script = Script::of(&state_dict)
        .ok_or_else(|| ImportError::new("the names are those of no script of CleanRL"))?;
    let (observation_space, action_space) = (given.observation_space()?, given.action_space()?);
    let network = match script {
        Script::Ppo | Script::PpoContinuous => {
            let inputs = features::encoded_size(&observation_space);
            let actor = if script == Script::Ppo { "actor" } else { "actor_mean" };
            let (policy, _) = state_dict.branch(actor, ("policy", "action"), inputs)?;
            let (value, _) = state_dict.branch("critic", ("value", "value"), inputs)?;
            NetworkSpec::mlp(given.activation()?, policy, Some(value))
        }
        Script::Dqn => {
            let inputs = features::encoded_size(&observation_space);
            let (policy, _) = state_dict.branch("network", ("policy", "action"), inputs)?;
            NetworkSpec::mlp(given.activation()?, policy, None)
        }
        Script::PpoAtari => take_atari(&mut state_dict, &observation_space)?,
        Script::DqnAtari => {
            let image = take_image(&mut state_dict, &observation_space)?;
            state_dict.linear("network.9", "action", image.width)?;
            with_image(image, NetworkSpec::mlp(Activation::Relu, vec![], None))
        }
        Script::Actor => {
            let inputs = features::encoded_size(&observation_space);
            check_scale(&mut state_dict, &action_space)?;
            let policy = state_dict.stack(&["fc1".into(), "fc2".into()], "policy", inputs)?;
            state_dict.linear("fc_mu", "action", policy.last().copied().unwrap_or(inputs))?;
            NetworkSpec::mlp(given.activation()?, policy, None)
        }
    };
    let (head, postprocess) = script.head(&action_space)?;
    if script == Script::PpoContinuous {
        let log_std = state_dict.take("actor_logstd")?;
        state_dict.put("log_std", &log_std.flatten_all()?)?;
    }
    let spec =
        PolicySpec { observation_space, action_space, normalize: None, network, head, postprocess };
    let (algorithm, source) = (script.algorithm().into(), "a state dict of CleanRL".into());
    let mut imported = Imported::new(algorithm, source, spec, state_dict.finish()?);
    if script == Script::PpoContinuous && given.normalize.is_none() {
        imported.warnings.push(
            "ppo_continuous_action.py normalises observations and does not save the statistics: without normalize in the spec this policy gets other inputs than in training".into(),
        );
    }
    Ok(imported)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Ppo,
    PpoContinuous,
    PpoAtari,
    Dqn,
    DqnAtari,
    /// The actor of `td3_continuous_action.py` and `ddpg_continuous_action.py`.
    Actor,
}

impl Script {
    fn of(state_dict: &StateDict) -> Option<Self> {
        let has = |name: &str| state_dict.has(&format!("{name}.weight"));
        let is_image = state_dict.shape("network.0.weight").is_some_and(|shape| shape.len() == 4);
        let script = if has("fc1") && has("fc2") && has("fc_mu") {
            Script::Actor
        } else if state_dict.has("actor_logstd") && has("actor_mean.0") && has("critic.0") {
            Script::PpoContinuous
        } else if has("actor.0") && has("critic.0") && !has("network.0") {
            Script::Ppo
        } else if is_image && has("network.7") && has("actor") && has("critic") {
            Script::PpoAtari
        } else if is_image && has("network.7") && has("network.9") {
            Script::DqnAtari
        } else if has("network.0") && has("network.2") && !is_image {
            Script::Dqn
        } else {
            return None;
        };
        Some(script)
    }

    fn algorithm(self) -> &'static str {
        match self {
            Script::Ppo | Script::PpoContinuous | Script::PpoAtari => "PPO",
            Script::Dqn | Script::DqnAtari => "DQN",
            Script::Actor => "TD3 or DDPG",
        }
    }

    fn head(self, actions: &Space) -> Result<(Head, Postprocess)> {
        let fits = match self {
            Script::PpoContinuous | Script::Actor => matches!(actions, Space::Box { .. }),
            _ => matches!(actions, Space::Discrete { .. }),
        };
        if !fits {
            return Err(ImportError::new(format!(
                "action_space: the layers are those of another space than {}",
                actions.name()
            )));
        }
        Ok(match self {
            Script::Ppo | Script::PpoAtari => {
                (Head::Categorical { masked: false }, Postprocess::None)
            }
            Script::Dqn | Script::DqnAtari => {
                (Head::QValues { quantiles: 1, exploration_rate: 0.0 }, Postprocess::None)
            }
            Script::PpoContinuous => {
                (Head::DiagonalGaussian { squash: false, log_std: None }, Postprocess::Clip)
            }
            Script::Actor => (Head::Deterministic { squash: true }, Postprocess::Rescale),
        })
    }
}

/// `ppo_atari.py`, and with an LSTM `ppo_atari_lstm.py`.
fn take_atari(state_dict: &mut StateDict, space: &Space) -> Result<NetworkSpec> {
    let image = take_image(state_dict, space)?;
    let (mut width, mut lstm) = (image.width, None);
    if state_dict.has_below("lstm") {
        let (size, layers) = take_lstm(state_dict, ("lstm", "lstm"), width)?;
        lstm = Some(Lstm { size, layers, value: ValueMemory::Shared });
        width = size;
    }
    state_dict.linear("actor", "action", width)?;
    state_dict.linear("critic", "value", width)?;
    let network = NetworkSpec::mlp(Activation::Relu, vec![], Some(vec![]));
    Ok(NetworkSpec { lstm, ..with_image(image, network) })
}

fn take_image(state_dict: &mut StateDict, space: &Space) -> Result<ImageNetwork> {
    features::nature_layers(state_dict, ("network", "network.7", "features"), space)
}

fn with_image(image: ImageNetwork, network: NetworkSpec) -> NetworkSpec {
    let images = [(IMAGE.to_owned(), image)].into();
    NetworkSpec { features: Features { images, ..Features::flat() }, ..network }
}

/// The actor scales its actions itself; that must be to the bounds of the space.
fn check_scale(state_dict: &mut StateDict, actions: &Space) -> Result<()> {
    let (scale, bias) = (state_dict.take("action_scale")?, state_dict.take("action_bias")?);
    let values = |tensor: candle_core::Tensor| -> Result<Vec<f64>> {
        Ok(tensor.to_dtype(candle_core::DType::F64)?.flatten_all()?.to_vec1()?)
    };
    let (scale, bias) = (values(scale)?, values(bias)?);
    let Space::Box { low, high, .. } = actions else { return Ok(()) };
    let size = actions.size();
    let (low, high) = (low.expand(size).unwrap_or_default(), high.expand(size).unwrap_or_default());
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    let bounds = low.iter().zip(&high);
    let fits = scale.len() == size
        && bias.len() == size
        && bounds.zip(scale.iter().zip(&bias)).all(|((low, high), (scale, bias))| {
            near(*scale, (high - low) / 2.0) && near(*bias, (high + low) / 2.0)
        });
    match fits {
        true => Ok(()),
        false => Err(ImportError::new(format!(
            "action_space: the actor scales by {scale:?} and adds {bias:?}, which are not these bounds"
        ))),
    }
}
