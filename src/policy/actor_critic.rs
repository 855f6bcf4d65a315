//! The policy of PPO and its relatives: two branches of fully connected layers, a distribution
//! over actions and, if the artifact has it, a value.

use candle_core::{Device, Result, Tensor};

use super::{
    Input, Output, Policy, PolicySpec,
    device::{self, Precision},
    head::{ActionHead, Categorical, DiagonalGaussian},
    network::Mlp,
    normalizer::{Normalizer, network_input},
    postprocess::Bounds,
    spec::Head,
    weights::Weights,
};
use crate::wire::Space;

pub struct ActorCritic {
    spec: PolicySpec,
    normalizer: Option<Normalizer>,
    actor: Mlp,
    critic: Option<Mlp>,
    head: ActionHead,
    device: Device,
    precision: Precision,
}

impl ActorCritic {
    /// Builds the network of a checked spec and fills it. Tensors, all row-major, with PyTorch's
    /// (outputs, inputs) for weights: `policy.<i>.weight`, `policy.<i>.bias`, `action.weight`,
    /// `action.bias`; `value.<i>.*` and `value.weight`, `value.bias` with a value; `log_std` of a
    /// diagonal Gaussian; `observation.mean`, `observation.var` with normalisation.
    ///
    /// # Errors
    /// A tensor is missing, left over, of another shape, or not finite.
    pub fn load(
        spec: &PolicySpec,
        mut weights: Weights,
        device: &Device,
        precision: Precision,
    ) -> Result<Self> {
        let place = (device, precision.dtype());
        let (inputs, activation) = (spec.observation_space.size(), spec.network.activation);
        let normalizer = match &spec.normalize {
            Some(normalize) => Some(Normalizer::load(&mut weights, normalize, inputs)?),
            None => None,
        };
        let sizes = (inputs, spec.network.policy.as_slice(), spec.head_size());
        let actor = Mlp::load(&mut weights, ("policy", "action"), sizes, activation, place)?;
        let critic = match &spec.network.value {
            Some(widths) => {
                let sizes = (inputs, widths.as_slice(), 1);
                Some(Mlp::load(&mut weights, ("value", "value"), sizes, activation, place)?)
            }
            None => None,
        };
        let head = load_head(spec, &mut weights)?;
        weights.finish()?;
        let (spec, device) = (spec.clone(), device.clone());
        Ok(Self { spec, normalizer, actor, critic, head, device, precision })
    }

    fn run(&self, input: &Input) -> Result<Output> {
        let (rows, size) = (input.modes.len(), self.spec.observation_space.size());
        let x = network_input(self.normalizer.as_ref(), &input.observations);
        let in_range = self.rows_in_range(&x, size);
        let x = self.tensor(x, rows, size)?;
        let outputs = read_back(&self.actor.forward(&x)?, rows)?;
        let value = match &self.critic {
            Some(critic) if input.wants.value => Some(read_back(&critic.forward(&x)?, rows)?),
            _ => None,
        };
        let mut decided = self.head.decide(&outputs, &input.modes);
        for (sound, in_range) in decided.sound.iter_mut().zip(in_range) {
            *sound &= in_range;
        }
        for (sound, value) in decided.sound.iter_mut().zip(value.iter().flatten()) {
            *sound &= value.is_finite();
        }
        Ok(Output {
            action: decided.action,
            raw_action: decided.raw_action,
            value,
            log_prob: decided.log_prob,
            probs: decided.probs,
            sound: decided.sound,
        })
    }

    /// In half precision the product of a single row has a kernel, and so a rounding, of its own:
    /// there a row alone is given a companion.
    fn tensor(&self, mut x: Vec<f32>, rows: usize, size: usize) -> Result<Tensor> {
        let alone = rows == 1 && self.precision != Precision::F32;
        if alone {
            x.extend_from_within(..);
        }
        let x = Tensor::from_vec(x, (rows + usize::from(alone), size), &self.device)?;
        x.to_dtype(self.precision.dtype())
    }

    /// Whether the network is given a number for each element. Of an infinity, an activation that
    /// saturates would make a plausible action.
    fn rows_in_range(&self, x: &[f32], size: usize) -> Vec<bool> {
        let largest = self.precision.largest();
        x.chunks_exact(size).map(|row| row.iter().all(|x| x.abs() <= largest)).collect()
    }
}

impl Policy for ActorCritic {
    fn spec(&self) -> &PolicySpec {
        &self.spec
    }

    fn forward(&mut self, input: &Input) -> Result<Output> {
        device::scoped(|| self.run(input))
    }
}

/// The first `rows` rows.
fn read_back(tensor: &Tensor, rows: usize) -> Result<Vec<f32>> {
    let tensor = tensor.narrow(0, 0, rows)?;
    tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()
}

fn load_head(spec: &PolicySpec, weights: &mut Weights) -> Result<ActionHead> {
    Ok(match (&spec.head, &spec.action_space) {
        (Head::Categorical, Space::Discrete { start, .. }) => {
            ActionHead::Categorical(Categorical { size: spec.head_size(), start: *start })
        }
        (Head::DiagonalGaussian { squash }, space) => ActionHead::Gaussian(DiagonalGaussian {
            log_std: weights.take_vec("log_std", spec.head_size())?,
            squash: *squash,
            bounds: Bounds::new(space, spec.postprocess),
        }),
        (head, space) => {
            candle_core::bail!("the head {head:?} does not fit a {} action space", space.name())
        }
    })
}
