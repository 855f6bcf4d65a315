//! Stacked LSTMs (Hochreiter and Schmidhuber 1997), one step at a time, as PyTorch's `nn.LSTM`.

use candle_core::{Result, Tensor};

use super::{device::Place, linear::Linear, spec::Activation, weights::Weights};

pub struct Lstm {
    layers: Vec<Layer>,
    size: usize,
}

struct Layer {
    input: Linear,
    hidden: Linear,
}

impl Lstm {
    /// Takes, for each layer `l`, `<name>.<l>.input` of shape (4 size, inputs) and
    /// `<name>.<l>.hidden` of shape (4 size, size), each with `.weight` and `.bias`; their rows are
    /// the input, forget, cell and output gates, in that order.
    ///
    /// # Errors
    /// A tensor is missing, of another shape, or not finite.
    pub fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, size, layers): (usize, usize, usize),
        place: &Place,
    ) -> Result<Self> {
        let load = |l: usize| {
            let inputs = if l == 0 { inputs } else { size };
            let input = format!("{name}.{l}.input");
            let hidden = format!("{name}.{l}.hidden");
            Ok(Layer {
                input: Linear::load(weights, &input, (inputs, 4 * size), place)?,
                hidden: Linear::load(weights, &hidden, (size, 4 * size), place)?,
            })
        };
        Ok(Self { layers: (0..layers).map(load).collect::<Result<_>>()?, size })
    }

    /// Columns of its state: for each layer the hidden and the cell state.
    pub fn state_size(&self) -> usize {
        self.layers.len() * 2 * self.size
    }

    /// One step. From (rows, inputs) and the state (rows, state size) to (rows, size) and the next
    /// state.
    ///
    /// # Errors
    /// What the device reports.
    pub fn step(&self, x: &Tensor, state: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut x = x.clone();
        let mut next = Vec::with_capacity(2 * self.layers.len());
        for (l, layer) in self.layers.iter().enumerate() {
            let part = |i: usize| state.narrow(1, (2 * l + i) * self.size, self.size)?.contiguous();
            let (hidden, cell) = layer.step(&x, &part(0)?, &part(1)?)?;
            x = hidden.clone();
            next.extend([hidden, cell]);
        }
        Ok((x, Tensor::cat(&next, 1)?))
    }
}

impl Layer {
    fn step(&self, x: &Tensor, hidden: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
        let linear = Activation::Identity;
        let gates = (self.input.forward(x, linear)? + self.hidden.forward(hidden, linear)?)?;
        let gates = gates.chunk(4, 1)?;
        let open = |i: usize| candle_nn::ops::sigmoid(&gates[i].contiguous()?);
        let (input, forget, output) = (open(0)?, open(1)?, open(3)?);
        let cell = ((forget * cell)? + (input * gates[2].tanh()?)?)?;
        let hidden = (output * cell.tanh()?)?;
        Ok((hidden, cell))
    }
}
