//! What a recurrent policy remembers from step to step, for the action and for the value.

use candle_core::{Result, bail};

use super::{
    device::Place,
    linear::Linear,
    lstm::Lstm,
    matrix::{Buffers, Joined, Matrix},
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

/// What the branches are given, and what is remembered.
pub struct Recalled {
    /// What the action's branch is given, (rows, width).
    pub policy: Matrix,
    /// What the value's branch is given; `None`: the same.
    pub value: Option<Matrix>,
    /// (rows, state size): of the action's LSTMs, then of the value's own. `None`: there is no memory.
    pub state: Option<Matrix>,
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
        features: &Matrix,
        value_features: &Matrix,
        state: &Matrix,
        buffers: &mut Buffers,
    ) -> Result<Recalled> {
        let mut next = Joined::like(state, self.state_size(), buffers);
        let policy = self.policy.step(features, (state, 0), &mut next, buffers)?;
        let value = match &self.value {
            Value::Own(lstm) => {
                let at = self.policy.state_size();
                lstm.step(value_features, (state, at), &mut next, buffers)?
            }
            Value::Shared => None,
            Value::Linear(linear) => {
                Some(linear.forward(value_features, Activation::Identity, buffers)?)
            }
        };
        let Some(policy) = policy else { bail!("a memory without a layer") };
        Ok(Recalled { policy, value, state: Some(next.finish()?) })
    }

    /// Columns of the state.
    pub fn state_size(&self) -> usize {
        let own = match &self.value {
            Value::Own(lstm) => lstm.state_size(),
            Value::Shared | Value::Linear(_) => 0,
        };
        self.policy.state_size() + own
    }
}
