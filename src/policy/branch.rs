//! Fully connected layers on top of each other.

use candle_core::{Result, Tensor};

use super::{
    batch_renorm::BatchRenorm, device::Place, linear::Linear, spec::Activation, weights::Weights,
};

/// Hidden layers, each followed by the activation.
pub struct Hidden {
    layers: Vec<Linear>,
    /// Before each layer, and one behind the last; or none at all.
    norms: Vec<BatchRenorm>,
    activation: Activation,
    width: usize,
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
        let (mut layers, mut norms) = (Vec::new(), Vec::new());
        let mut norm = |weights: &mut Weights, i: usize, width: usize| -> Result<()> {
            let Some(epsilon) = batch_renorm else { return Ok(()) };
            let name = format!("{name}_norm.{i}");
            norms.push(BatchRenorm::load(weights, &name, width, epsilon, place)?);
            Ok(())
        };
        for (i, outputs) in widths.iter().enumerate() {
            norm(weights, i, width)?;
            layers.push(Linear::load(weights, &format!("{name}.{i}"), (width, *outputs), place)?);
            width = *outputs;
        }
        norm(weights, widths.len(), width)?;
        Ok(Self { layers, norms, activation, width })
    }

    /// Columns of what it gives.
    pub fn width(&self) -> usize {
        self.width
    }

    /// From (rows, inputs) to (rows, width).
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&self.renorm(i, x)?, self.activation)?;
        }
        self.renorm(self.layers.len(), x)
    }

    fn renorm(&self, i: usize, x: Tensor) -> Result<Tensor> {
        self.norms.get(i).map_or(Ok(x.clone()), |norm| norm.forward(&x))
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
    ///
    /// # Errors
    /// What the device reports.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let latent = self.hidden.forward(x)?;
        let outputs = self.last.forward(&latent, Activation::Identity)?;
        Ok((latent, outputs))
    }
}
