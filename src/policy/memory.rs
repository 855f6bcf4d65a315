//! What a recurrent policy remembers from step to step, for the action and for the value.

use candle_core::{Result, Tensor};

use super::{
    device::Place,
    linear::Linear,
    lstm::Lstm,
    spec::{self, Activation, ValueMemory},
    weights::Weights,
};

pub struct Memory {
    policy: Lstm,
    value: Value,
    width: usize,
}

enum Value {
    Own(Lstm),
    Shared,
    Linear(Linear),
}

/// One step of the memory.
pub struct Recalled {
    /// What the action's branch is given, (rows, width).
    pub policy: Tensor,
    /// What the value's branch is given.
    pub value: Tensor,
    /// (rows, state size): of the action's LSTMs, then of the value's own.
    pub state: Tensor,
}

impl Memory {
    /// Takes `lstm.…` for the action, and for the value `value_lstm.…` or `value_linear.…`.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        spec: &spec::Lstm,
        has_value: bool,
        inputs: usize,
        place: &Place,
    ) -> Result<Self> {
        let sizes = (inputs, spec.size, spec.layers);
        let policy = Lstm::load(weights, "lstm", sizes, place)?;
        let value = match spec.value {
            ValueMemory::Own if has_value => {
                Value::Own(Lstm::load(weights, "value_lstm", sizes, place)?)
            }
            ValueMemory::Linear if has_value => {
                let sizes = (inputs, spec.size);
                Value::Linear(Linear::load(weights, "value_linear", sizes, place)?)
            }
            _ => Value::Shared,
        };
        Ok(Self { policy, value, width: spec.size })
    }

    /// Columns of what it gives.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `features` and `value_features`: (rows, inputs); `state`: (rows, state size).
    ///
    /// # Errors
    /// What the device reports.
    pub fn step(
        &self,
        features: &Tensor,
        value_features: &Tensor,
        state: &Tensor,
    ) -> Result<Recalled> {
        let own = self.policy.state_size();
        let (policy, next) = self.policy.step(features, &state.narrow(1, 0, own)?)?;
        Ok(match &self.value {
            Value::Own(lstm) => {
                let state = state.narrow(1, own, lstm.state_size())?;
                let (value, value_next) = lstm.step(value_features, &state)?;
                Recalled { policy, value, state: Tensor::cat(&[next, value_next], 1)? }
            }
            Value::Shared => Recalled { value: policy.clone(), policy, state: next },
            Value::Linear(linear) => {
                let value = linear.forward(value_features, Activation::Identity)?;
                Recalled { policy, value, state: next }
            }
        })
    }
}
