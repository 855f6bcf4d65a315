//! The network that a card describes: features, memory, and a branch for the action and for the
//! value.

use std::ops::Range;

use candle_core::Result;

use super::{
    Input, PolicySpec,
    branch::{Branch, Hidden},
    device::Place,
    encoder::Encoder,
    extractor::Extractor,
    head::{ActionHead, More},
    matrix::{Buffers, Host, Matrix},
    memory::{Memory, Recalled},
    source::Source,
    weights::Weights,
};

pub struct Network {
    place: Place,
    encoder: Encoder,
    extractor: Extractor,
    value_extractor: Option<Extractor>,
    memory: Option<Memory>,
    shared: Hidden,
    actor: Branch,
    critic: Option<Branch>,
    more: More,
}

/// What the network computes of some rows.
pub struct Computed {
    /// The numbers of the last layer.
    pub outputs: Host,
    /// What the head asks for besides.
    pub more: Option<Host>,
    pub value: Option<Host>,
    pub state: Option<Host>,
}

impl Network {
    /// Builds the network of a checked spec and fills it, and the head that goes with it.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape, or not finite.
    pub fn load(
        spec: &PolicySpec,
        weights: &mut Weights,
        place: &Place,
    ) -> Result<(Self, ActionHead)> {
        let network = &spec.network;
        let encoder = Encoder::load(spec, weights, place.is_cpu())?;
        let widths = encoder.widths();
        let extractor = Extractor::load(weights, "features", spec, &widths, place)?;
        let separate = network.value.is_some() && network.separate_value_features;
        let value_extractor = match separate {
            true => Some(Extractor::load(weights, "value_features", spec, &widths, place)?),
            false => None,
        };
        let features = extractor.width();
        let memory = match &network.lstm {
            Some(lstm) => {
                Some(Memory::load(weights, lstm, network.value.is_some(), features, place)?)
            }
            None => None,
        };
        let width = memory.as_ref().map_or(features, Memory::width);
        let plain = (network.activation, None);
        let shared = Hidden::load(weights, "shared", (width, &network.shared), plain, place)?;
        let width = shared.width();
        let kind = (network.activation, network.batch_renorm);
        let hidden = Hidden::load(weights, "policy", (width, &network.policy), kind, place)?;
        let actor = Branch::load(weights, (hidden, "action"), spec.head_size(), place)?;
        let critic = match &network.value {
            Some(widths) => {
                let hidden = Hidden::load(weights, "value", (width, widths), plain, place)?;
                Some(Branch::load(weights, (hidden, "value"), 1, place)?)
            }
            None => None,
        };
        let (head, more) = ActionHead::load(spec, weights, actor.width(), place)?;
        weights.finish()?;
        let network = Self {
            place: place.clone(),
            encoder,
            extractor,
            value_extractor,
            memory,
            shared,
            actor,
            critic,
            more,
        };
        Ok((network, head))
    }

    /// All that it computes of these rows, the value if it is wanted; of rows with an element that is
    /// no number in the network's precision `sound` becomes false.
    ///
    /// # Errors
    /// What the device reports.
    pub fn compute(
        &self,
        input: &Input,
        rows: Range<usize>,
        sound: &mut [bool],
        buffers: &mut Buffers,
    ) -> Result<Computed> {
        let (encoder, place) = (&self.encoder, &self.place);
        let mut source = Source { encoder, input, rows, place, sound };
        let rows = source.rows();
        let Recalled { policy, value: value_features, state } =
            self.remember(&mut source, buffers)?;
        let (outputs, more) = self.act(&policy, buffers)?;
        let value = match &self.critic {
            Some(critic) if input.wants.value => {
                Some(self.judge(critic, value_features.as_ref().unwrap_or(&policy), buffers)?)
            }
            _ => None,
        };
        buffers.give(policy);
        value_features.into_iter().for_each(|features| buffers.give(features));
        let read_back = |matrix: Option<Matrix>| matrix.map(|it| it.read_back(rows)).transpose();
        Ok(Computed {
            outputs: outputs.read_back(rows)?,
            more: read_back(more)?,
            value: read_back(value)?,
            state: read_back(state)?,
        })
    }

    /// What the branches are given, and the next state of a recurrent policy.
    fn remember(&self, source: &mut Source, buffers: &mut Buffers) -> Result<Recalled> {
        let policy = self.extractor.forward(source, buffers)?;
        // A memory for the value goes on whether or not anybody wants the value now.
        let wants_value = source.input.wants.value && self.critic.is_some();
        let value = match &self.value_extractor {
            Some(extractor) if wants_value || self.memory.is_some() => {
                Some(extractor.forward(source, buffers)?)
            }
            _ => None,
        };
        let Some(memory) = &self.memory else {
            return Ok(Recalled { policy, value, state: None });
        };
        let state = source.states(memory.state_size(), buffers)?;
        let recalled = memory.step(&policy, value.as_ref().unwrap_or(&policy), &state, buffers)?;
        buffers.give(policy);
        value.into_iter().for_each(|features| buffers.give(features));
        buffers.give(state);
        Ok(recalled)
    }

    /// What the head is given.
    fn act(&self, features: &Matrix, buffers: &mut Buffers) -> Result<(Matrix, Option<Matrix>)> {
        let shared = self.shared.forward(features, buffers)?;
        let below = shared.as_ref().unwrap_or(features);
        let (latent, outputs) = self.actor.forward(below, buffers)?;
        let more = self.more.of(latent.as_ref().unwrap_or(below), buffers)?;
        shared.into_iter().chain(latent).for_each(|matrix| buffers.give(matrix));
        Ok((outputs, more))
    }

    fn judge(&self, critic: &Branch, features: &Matrix, buffers: &mut Buffers) -> Result<Matrix> {
        let shared = self.shared.forward(features, buffers)?;
        let (latent, value) = critic.forward(shared.as_ref().unwrap_or(features), buffers)?;
        shared.into_iter().chain(latent).for_each(|matrix| buffers.give(matrix));
        Ok(value)
    }
}

impl Computed {
    pub fn give_back(self, buffers: &mut Buffers) {
        let Self { outputs, more, value, state } = self;
        buffers.give_host(outputs);
        let optional = more.into_iter().chain(value).chain(state);
        optional.for_each(|matrix| buffers.give_host(matrix));
    }
}
