//! Fully connected layers on top of each other.

use candle_core::Result;

use super::{
    batch_renorm::BatchRenorm,
    device::Place,
    linear::Linear,
    matrix::{Buffers, Matrix},
    spec::Activation,
    weights::Weights,
};

/// Hidden layers, each followed by the activation.
pub struct Hidden {
    steps: Vec<Step>,
    activation: Activation,
    width: usize,
}

enum Step {
    Linear(Linear),
    /// Before each layer, and behind the last one.
    Norm(BatchRenorm),
}

/// Hidden layers, and a last layer without an activation.
pub struct Branch {
    hidden: Hidden,
    last: Linear,
}

impl Hidden {
    /// Takes `<name>.0`, `<name>.1`, …, and with batch renormalisation `<name>_norm.0`, ….
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, widths): (usize, &[usize]),
        (activation, batch_renorm): (Activation, Option<f64>),
        place: &Place,
    ) -> Result<Self> {
        let mut width = inputs;
        let mut steps = Vec::new();
        let norm = |weights: &mut Weights, i: usize, width: usize| {
            let name = format!("{name}_norm.{i}");
            let load = |epsilon| BatchRenorm::load(weights, &name, width, epsilon, place);
            batch_renorm.map(load).transpose()
        };
        for (i, outputs) in widths.iter().enumerate() {
            steps.extend(norm(weights, i, width)?.map(Step::Norm));
            let name = format!("{name}.{i}");
            steps.push(Step::Linear(Linear::load(weights, &name, (width, *outputs), place)?));
            width = *outputs;
        }
        steps.extend(norm(weights, widths.len(), width)?.map(Step::Norm));
        Ok(Self { steps, activation, width })
    }

    /// Columns of what it gives.
    pub fn width(&self) -> usize {
        self.width
    }

    /// From (rows, inputs) to (rows, width). `None`: there are no layers, and it is `x` itself.
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Matrix, buffers: &mut Buffers) -> Result<Option<Matrix>> {
        let mut last: Option<Matrix> = None;
        for step in &self.steps {
            let next = step.forward(last.as_ref().unwrap_or(x), self.activation, buffers)?;
            if let Some(last) = last.replace(next) {
                buffers.give(last);
            }
        }
        Ok(last)
    }
}

impl Step {
    fn forward(&self, x: &Matrix, activation: Activation, buffers: &mut Buffers) -> Result<Matrix> {
        match self {
            Step::Linear(layer) => layer.forward(x, activation, buffers),
            Step::Norm(norm) => norm.forward(x, buffers),
        }
    }
}

impl Branch {
    /// Takes the hidden layers and the last layer `<last>`.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        (hidden, last): (Hidden, &str),
        outputs: usize,
        place: &Place,
    ) -> Result<Self> {
        let last = Linear::load(weights, last, (hidden.width(), outputs), place)?;
        Ok(Self { hidden, last })
    }

    /// Columns before the last layer.
    pub fn width(&self) -> usize {
        self.hidden.width()
    }

    /// What goes into the last layer, (rows, width), and what comes out of it, (rows, outputs).
    /// `None`: what goes in is `x` itself.
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Matrix, buffers: &mut Buffers) -> Result<(Option<Matrix>, Matrix)> {
        let latent = self.hidden.forward(x, buffers)?;
        let into_last = latent.as_ref().unwrap_or(x);
        let outputs = self.last.forward(into_last, Activation::Identity, buffers)?;
        Ok((latent, outputs))
    }
}
