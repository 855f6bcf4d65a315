//! Stacked LSTMs (Hochreiter and Schmidhuber 1997), one step at a time, as PyTorch's `nn.LSTM`.

use candle_core::{Result, Tensor};
use pulp::{Arch, Simd, WithSimd};

use super::{
    curve::Curve,
    device::{Place, Precision},
    epilogue::Epilogue,
    linear::Linear,
    matrix::{Buffers, Host, Joined, Matrix},
    product::{Packed, Rows},
    spec::Activation,
    squash::{Logistic, Tanh},
    weights::Weights,
};

pub struct Lstm {
    layers: Vec<Layer>,
    size: usize,
}

struct Layer {
    size: usize,
    gates: Gates,
}

/// From the input and the hidden state to the input, forget, cell and output gates, before their
/// activations.
enum Gates {
    /// One product over both side by side.
    Host {
        packed: Packed,
        precision: Precision,
    },
    Device {
        input: Linear,
        hidden: Linear,
    },
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
            let gates = Gates::load(weights, &format!("{name}.{l}"), (inputs, size), place)?;
            Ok(Layer { size, gates })
        };
        Ok(Self { layers: (0..layers).map(load).collect::<Result<_>>()?, size })
    }

    /// Columns of its state: for each layer the hidden and the cell state.
    pub fn state_size(&self) -> usize {
        self.layers.len() * 2 * self.size
    }

    /// One step. From (rows, inputs), and its state in the columns of `state` from `at` on, to (rows,
    /// size); the next state is put behind what `next` holds.
    ///
    /// # Errors
    /// What the device reports.
    pub fn step(
        &self,
        x: &Matrix,
        (state, at): (&Matrix, usize),
        next: &mut Joined,
        buffers: &mut Buffers,
    ) -> Result<Option<Matrix>> {
        let mut last: Option<Matrix> = None;
        for (l, layer) in self.layers.iter().enumerate() {
            let at = at + 2 * l * self.size;
            let x = last.as_ref().unwrap_or(x);
            let (hidden, cell) = layer.step(x, (state, at), buffers)?;
            next.push(&hidden)?;
            next.push(&cell)?;
            buffers.give(cell);
            if let Some(last) = last.replace(hidden) {
                buffers.give(last);
            }
        }
        Ok(last)
    }
}

impl Gates {
    fn load(
        weights: &mut Weights,
        name: &str,
        (inputs, size): (usize, usize),
        place: &Place,
    ) -> Result<Self> {
        let mut take = |what: &str, inputs: usize| -> Result<(Tensor, Tensor)> {
            let name = format!("{name}.{what}");
            let weight = weights.take(&format!("{name}.weight"), &[4 * size, inputs])?;
            Ok((weight, weights.take(&format!("{name}.bias"), &[4 * size])?))
        };
        let (input, hidden) = (take("input", inputs)?, take("hidden", size)?);
        if place.is_cpu() {
            let weight = place.values(&Tensor::cat(&[input.0, hidden.0], 1)?)?;
            let bias = place.values(&(input.1 + hidden.1)?)?;
            let packed = Packed::new(&weight, &bias);
            return Ok(Gates::Host { packed, precision: place.precision });
        }
        Ok(Gates::Device {
            input: Linear::new(&input.0, &input.1, place)?,
            hidden: Linear::new(&hidden.0, &hidden.1, place)?,
        })
    }
}

impl Layer {
    /// The hidden and the cell state, (rows, size) each.
    fn step(
        &self,
        x: &Matrix,
        (state, at): (&Matrix, usize),
        buffers: &mut Buffers,
    ) -> Result<(Matrix, Matrix)> {
        match &self.gates {
            Gates::Host { packed, precision } => {
                let epilogue = Epilogue { precision: *precision, activation: Activation::Identity };
                let before = (state.host()?, at);
                let (hidden, cell) =
                    self.step_on_host((packed, epilogue), x.host()?, before, buffers);
                Ok((Matrix::Host(hidden), Matrix::Host(cell)))
            }
            Gates::Device { input, hidden } => {
                let part = |i: usize| {
                    let part = state.device()?.narrow(1, at + i * self.size, self.size)?;
                    part.contiguous()
                };
                let (hidden_before, cell) = (Matrix::Device(part(0)?), part(1)?);
                let linear = Activation::Identity;
                let of_input = input.forward(x, linear, buffers)?;
                let of_hidden = hidden.forward(&hidden_before, linear, buffers)?;
                let gates = (of_input.device()? + of_hidden.device()?)?;
                let (hidden, cell) = open(&gates, &cell)?;
                Ok((Matrix::Device(hidden), Matrix::Device(cell)))
            }
        }
    }

    fn step_on_host(
        &self,
        (packed, epilogue): (&Packed, Epilogue),
        x: &Host,
        (state, at): (&Host, usize),
        buffers: &mut Buffers,
    ) -> (Host, Host) {
        let (rows, size) = (x.rows(), self.size);
        let mut both = buffers.take(rows, x.columns() + size);
        both.put(0, x);
        for row in 0..rows {
            both.row_mut(row)[x.columns()..].copy_from_slice(&state.row(row)[at..at + size]);
        }
        let mut gates = buffers.take(rows, 4 * size);
        let columns = both.columns();
        let inputs = Rows { values: both.values(), count: rows, start: |row| row * columns };
        packed.multiply(&inputs, epilogue, gates.values_mut());
        buffers.give_host(both);
        let (mut hidden, mut cell) = (buffers.take(rows, size), buffers.take(rows, size));
        let before = (state, at + size);
        let opened = Open { gates: &gates, before, cell: &mut cell, hidden: &mut hidden };
        Arch::new().dispatch(opened);
        buffers.give_host(gates);
        (hidden, cell)
    }
}

/// `c' = sigmoid(f) c + sigmoid(i) tanh(g)` and `h' = sigmoid(o) tanh(c')` of all rows.
struct Open<'a> {
    gates: &'a Host,
    /// The cell state, in the columns of this matrix from there on.
    before: (&'a Host, usize),
    cell: &'a mut Host,
    hidden: &'a mut Host,
}

impl WithSimd for Open<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (before, at) = self.before;
        for row in 0..self.gates.rows() {
            let (cell, hidden) = (self.cell.row_mut(row), self.hidden.row_mut(row));
            let before = &before.row(row)[at..at + cell.len()];
            open_row(simd, self.gates.row(row), before, (cell, hidden));
        }
    }
}

#[inline(always)]
fn open_row<S: Simd>(
    simd: S,
    gates: &[f32],
    before: &[f32],
    (cell, hidden): (&mut [f32], &mut [f32]),
) {
    let size = cell.len();
    let mut vectors: [&[S::f32s]; 4] = [&[]; 4];
    let mut last = [simd.splat_f32s(0.0); 4];
    for gate in 0..4 {
        let (all, rest) = S::as_simd_f32s(&gates[gate * size..(gate + 1) * size]);
        (vectors[gate], last[gate]) = (all, simd.partial_load_f32s(rest));
    }
    let (before, last_before) = S::as_simd_f32s(before);
    let (cells, last_cells) = S::as_mut_simd_f32s(cell);
    let (shown, last_shown) = S::as_mut_simd_f32s(hidden);
    for at in 0..cells.len() {
        let mut gates = last;
        for gate in 0..4 {
            gates[gate] = vectors[gate][at];
        }
        (cells[at], shown[at]) = opened(simd, gates, before[at]);
    }
    let (new, new_shown) = opened(simd, last, simd.partial_load_f32s(last_before));
    simd.partial_store_f32s(last_cells, new);
    simd.partial_store_f32s(last_shown, new_shown);
}

#[inline(always)]
fn opened<S: Simd>(simd: S, gates: [S::f32s; 4], cell: S::f32s) -> (S::f32s, S::f32s) {
    let [input, forget, candidate, output] = gates;
    let kept = simd.mul_f32s(Logistic.of(simd, forget), cell);
    let cell = simd.mul_add_e_f32s(Logistic.of(simd, input), Tanh.of(simd, candidate), kept);
    (cell, simd.mul_f32s(Logistic.of(simd, output), Tanh.of(simd, cell)))
}

/// The same on another device: the hidden and the cell state.
fn open(gates: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    let gates = gates.chunk(4, 1)?;
    let open = |i: usize| candle_nn::ops::sigmoid(&gates[i].contiguous()?);
    let (input, forget, output) = (open(0)?, open(1)?, open(3)?);
    let cell = ((forget * cell)? + (input * gates[2].tanh()?)?)?;
    let hidden = (output * cell.tanh()?)?;
    Ok((hidden, cell))
}
