//! The policy that a card describes: features, memory, branches and a head.

use candle_core::{DType, Result, Tensor, bail};

use super::{
    Input, Output, Policy, PolicySpec,
    branch::{Branch, Hidden},
    device::{self, Place, Precision},
    encoder::Encoder,
    extractor::Extractor,
    head::{ActionHead, Given, More},
    memory::Memory,
    weights::Weights,
};

pub struct NeuralPolicy {
    spec: PolicySpec,
    place: Place,
    encoder: Encoder,
    extractor: Extractor,
    value_extractor: Option<Extractor>,
    memory: Option<Memory>,
    shared: Hidden,
    actor: Branch,
    critic: Option<Branch>,
    head: ActionHead,
    more: More,
}

/// What the network computes of a batch.
struct Computed {
    outputs: Vec<f32>,
    more: Vec<f32>,
    value: Option<Vec<f32>>,
    state: Option<Vec<f32>>,
}

impl NeuralPolicy {
    /// Builds the network of a checked spec and fills it; docs/artifacts.md lists the tensors.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape, or not finite.
    pub fn load(
        spec: &PolicySpec,
        mut weights: Weights,
        device: &candle_core::Device,
        precision: Precision,
    ) -> Result<Self> {
        let place = &Place { device: device.clone(), precision };
        let weights = &mut weights;
        let network = &spec.network;
        let encoder = Encoder::load(spec, weights)?;
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
        Ok(Self {
            spec: spec.clone(),
            place: place.clone(),
            encoder,
            extractor,
            value_extractor,
            memory,
            shared,
            actor,
            critic,
            head,
            more,
        })
    }

    fn run(&self, input: &Input) -> Result<Output> {
        let rows = input.modes.len();
        if rows == 0 {
            bail!("a batch without rows");
        }
        let encoded = self.encoder.encode(&input.observations);
        let mut sound = self.rows_in_range(&encoded, rows);
        let computed = self.compute(encoded, input)?;
        let decided = self.head.decide(&Given {
            outputs: &computed.outputs,
            more: &computed.more,
            masks: input.masks.as_deref(),
            raw_actions: input.raw_actions.as_ref(),
            modes: &input.modes,
        });
        mark_unsound(&mut sound, computed.value.as_deref());
        mark_unsound(&mut sound, computed.state.as_deref());
        mark_unsound(&mut sound, Some(&computed.more));
        for (sound, decided) in sound.iter_mut().zip(&decided.sound) {
            *sound &= decided;
        }
        Ok(Output {
            action: decided.action,
            raw_action: decided.raw_action,
            value: computed.value,
            log_prob: decided.log_prob,
            probs: decided.probs,
            q_values: decided.q_values,
            state: computed.state,
            sound,
        })
    }

    fn compute(&self, encoded: Vec<Vec<f32>>, input: &Input) -> Result<Computed> {
        let rows = input.modes.len();
        let pieces: Result<Vec<_>> =
            encoded.into_iter().map(|piece| self.tensor(piece, rows)).collect();
        let pieces = pieces?;
        let features = self.extractor.forward(&pieces)?;
        // A memory for the value goes on whether or not anybody wants the value now.
        let wants_value = input.wants.value && self.critic.is_some();
        let value_features = match &self.value_extractor {
            Some(extractor) if wants_value || self.memory.is_some() => {
                extractor.forward(&pieces)?
            }
            _ => features.clone(),
        };
        let (policy, value, state) = self.remember(features, value_features, input)?;
        let (latent, outputs) = self.actor.forward(&self.shared.forward(&policy)?)?;
        let more = self.more.of(&latent)?;
        let value = match &self.critic {
            Some(critic) if wants_value => {
                Some(read_back(&critic.forward(&self.shared.forward(&value)?)?.1, rows)?)
            }
            _ => None,
        };
        Ok(Computed {
            outputs: read_back(&outputs, rows)?,
            more: more.map_or(Ok(vec![]), |more| read_back(&more, rows))?,
            value,
            state: state.map(|state| read_back(&state, rows)).transpose()?,
        })
    }

    /// What the branches are given, and the next state of a recurrent policy.
    fn remember(
        &self,
        features: Tensor,
        value_features: Tensor,
        input: &Input,
    ) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let (Some(memory), Some(size)) = (&self.memory, self.spec.state_size()) else {
            return Ok((features, value_features, None));
        };
        let rows = input.modes.len();
        let state = input.states.clone().unwrap_or_else(|| vec![0.0; rows * size]);
        let state = self.tensor(state, rows)?;
        let recalled = memory.step(&features, &value_features, &state)?;
        Ok((recalled.policy, recalled.value, Some(recalled.state)))
    }

    /// (rows, columns). On a GPU in half precision the product of a single row has a kernel, and so
    /// a rounding, of its own: there a row alone is given a companion.
    fn tensor(&self, mut x: Vec<f32>, rows: usize) -> Result<Tensor> {
        let columns = x.len() / rows;
        let alone = rows == 1 && !self.place.is_cpu() && self.place.precision != Precision::F32;
        if alone {
            x.extend_from_within(..);
        }
        if self.place.is_cpu() {
            self.place.precision.round_all(&mut x);
        }
        let x = Tensor::from_vec(x, (rows + usize::from(alone), columns), &self.place.device)?;
        x.to_dtype(self.place.dtype())
    }

    /// Whether the network is given a number for each element. Of an infinity, an activation that
    /// saturates would make a plausible action.
    fn rows_in_range(&self, encoded: &[Vec<f32>], rows: usize) -> Vec<bool> {
        let largest = self.place.precision.largest();
        let mut sound = vec![true; rows];
        for piece in encoded {
            for (sound, row) in sound.iter_mut().zip(piece.chunks_exact(piece.len() / rows)) {
                *sound &= row.iter().all(|x| x.abs() <= largest);
            }
        }
        sound
    }
}

impl Policy for NeuralPolicy {
    fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    /// A GPU's stream belongs to one thread.
    fn runs_inline(&self) -> bool {
        self.place.is_cpu()
    }

    fn forward(&mut self, input: &Input) -> Result<Output> {
        device::scoped(|| self.run(input))
    }
}

/// The first `rows` rows.
fn read_back(tensor: &Tensor, rows: usize) -> Result<Vec<f32>> {
    let tensor = tensor.narrow(0, 0, rows)?;
    tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// A row with a number that is none is not sound.
fn mark_unsound(sound: &mut [bool], values: Option<&[f32]>) {
    let Some(values) = values.filter(|values| !values.is_empty()) else { return };
    let columns = values.len() / sound.len();
    for (sound, row) in sound.iter_mut().zip(values.chunks_exact(columns)) {
        *sound &= row.iter().all(|x| x.is_finite());
    }
}
