//! What a vehicle says to the pool and hears from it, in one of the protocol's two forms.

use std::time::{Duration, Instant};

use async_nats::{Client, Message, StatusCode};
use serde::Serialize;

use super::{
    Controls, Observation,
    observation::{DIM, FEATURES},
};
use crate::{
    failure::Failure,
    wire::{
        Encoding, Spec, Tensor,
        node::{Array, Map, Node},
        subjects,
        view::{TensorView, Values},
    },
};

/// Names of the actions, in the order in which [`Controls`] have them.
pub const ACTIONS: [&str; 3] = ["throttle", "brake", "steer"];
/// How long a pool is waited for.
const POOL_LIMIT: Duration = Duration::from_secs(30);
const RETRY: Duration = Duration::from_millis(200);

/// The form of requests and replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// MessagePack, native tensors.
    Native,
    /// JSON, CarlaRL's named observations and actions.
    Carla,
}

/// A way to talk to the pool of one model.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub subject: String,
    form: Form,
}

/// One reply.
pub enum Heard {
    Controls {
        controls: Controls,
        tick: u64,
        /// Not in the CarlaRL form.
        batch_rows: Option<u64>,
    },
    Error {
        /// The protocol's code, `no_responders`, or `unreadable`.
        code: String,
        tick: Option<u64>,
    },
}

#[derive(Serialize)]
struct NativeRequest<'a> {
    obs: TensorView<'a>,
    deterministic: bool,
    id: u64,
}

#[derive(Serialize)]
struct CarlaRequest<'a> {
    observations: [CarlaObservation<'a>; 1],
    deterministic: bool,
    id: u64,
}

#[derive(Serialize)]
struct CarlaObservation<'a> {
    speed: f32,
    steering: f32,
    sensors: &'a [f32],
}

impl Exchange {
    /// Waits for a pool that serves `model`, and sees that it can drive our vehicles.
    ///
    /// # Errors
    /// Nobody answers for 30 seconds, or the model takes other observations or gives other
    /// actions than the vehicles have.
    pub async fn find(
        client: &Client,
        prefix: &str,
        model: &str,
        form: Form,
    ) -> Result<Self, Failure> {
        let subject = subjects::spec(prefix, model);
        let started = Instant::now();
        let body = loop {
            match client.request(subject.clone(), "".into()).await {
                Ok(reply) => break reply.payload,
                Err(error) if started.elapsed() > POOL_LIMIT => {
                    return Err(Failure::Unreachable(format!(
                        "nobody serves {model} on {subject}: {error}"
                    )));
                }
                Err(_) => tokio::time::sleep(RETRY).await,
            }
        };
        let unfit = |why: String| {
            Failure::Configuration(format!("the model {model} can't drive these vehicles: {why}"))
        };
        let spec: Spec = rmp_serde::from_slice(&body).map_err(|error| unfit(error.to_string()))?;
        check(&spec).map_err(unfit)?;
        Ok(Self { subject: subjects::infer(prefix, model), form })
    }

    /// The request's body. `tick` comes back with the reply.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn ask(&self, observation: &Observation, tick: u64) -> Result<Vec<u8>, String> {
        let body = match self.form {
            Form::Native => {
                let mut row = [0.0; DIM];
                observation.write_to(&mut row);
                let obs = TensorView::new(&[DIM][..], Values::F4(&row));
                Encoding::MessagePack.write(&NativeRequest { obs, deterministic: true, id: tick })
            }
            Form::Carla => {
                let Observation { speed, steering, sensors } = observation;
                let observation = CarlaObservation { speed: *speed, steering: *steering, sensors };
                let observations = [observation];
                Encoding::Json.write(&CarlaRequest { observations, deterministic: true, id: tick })
            }
        };
        body.map_err(|error| error.to_string())
    }

    /// Reads a reply.
    pub fn hear(&self, message: &Message) -> Heard {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Heard::Error { code: "no_responders".into(), tick: None };
        }
        let known = ["action", "actions", "batch_rows", "error", "id"];
        let body = Encoding::of(&message.payload).read(&message.payload, &known);
        let Ok(body) = body else { return unreadable(None) };
        let tick = find(&body, "id").and_then(as_u64);
        if let Some(Node::Map(error)) = find(&body, "error") {
            let code = match find(error, "code") {
                Some(Node::Text(code)) => code.to_string(),
                _ => "unreadable".into(),
            };
            return Heard::Error { code, tick };
        }
        match (self.controls(&body), tick) {
            (Some(controls), Some(tick)) => {
                let batch_rows = find(&body, "batch_rows").and_then(as_u64);
                Heard::Controls { controls, tick, batch_rows }
            }
            (_, tick) => unreadable(tick),
        }
    }

    fn controls(&self, body: &Map<'_>) -> Option<Controls> {
        let [throttle, brake, steer] = match self.form {
            Form::Native => {
                let action = Tensor::from_node(find(body, "action")?.clone(), "action").ok()?;
                action.to_f32().try_into().ok()?
            }
            Form::Carla => {
                let Node::List(actions) = find(body, "actions")? else { return None };
                let [Node::Map(action)] = actions.as_slice() else { return None };
                let [throttle, brake, steer] =
                    ACTIONS.map(|name| find(action, name).and_then(as_f32));
                [throttle?, brake?, steer?]
            }
        };
        Some(Controls { throttle, brake, steer })
    }
}

fn check(spec: &Spec) -> Result<(), String> {
    let (shape, ours) = (spec.observation_space.shape(), vec![DIM]);
    if shape != ours {
        return Err(format!("it takes observations of shape {shape:?}, theirs have {ours:?}"));
    }
    let names = |names: &Option<Vec<String>>| names.clone().unwrap_or_default();
    let (features, actions) = (names(&spec.observation_features), names(&spec.action_names));
    if features != FEATURES || actions != ACTIONS {
        return Err(format!(
            "its card names features {features:?} and actions {actions:?}, theirs are {FEATURES:?} and {ACTIONS:?}"
        ));
    }
    Ok(())
}

fn unreadable(tick: Option<u64>) -> Heard {
    Heard::Error { code: "unreadable".into(), tick }
}

fn find<'a, 'b>(map: &'b Map<'a>, name: &str) -> Option<&'b Node<'a>> {
    map.iter().find(|(key, _)| key.bytes() == name.as_bytes()).map(|(_, value)| value)
}

fn as_u64(node: &Node<'_>) -> Option<u64> {
    match node {
        Node::Int(value) => u64::try_from(*value).ok(),
        _ => None,
    }
}

fn as_f32(node: &Node<'_>) -> Option<f32> {
    match node.clone().into_array() {
        Ok(Array { shape, values, .. }) if shape.is_empty() => values.first().map(|x| *x as f32),
        _ => None,
    }
}
