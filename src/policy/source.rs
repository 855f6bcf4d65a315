//! Where the network's numbers come from: encoded observations, and states.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::{
    Input,
    device::{Place, Precision},
    encoder::Encoder,
    matrix::{Buffers, Host, Matrix},
};

/// Some rows of a batch, as the network is given them.
pub struct Source<'a> {
    pub encoder: &'a Encoder,
    pub input: &'a Input,
    /// Of the batch.
    pub rows: Range<usize>,
    pub place: &'a Place,
    /// Whether the network was given a number for each element of a row. Of an infinity, an
    /// activation that saturates would make a plausible action.
    pub sound: &'a mut [bool],
}

impl Source<'_> {
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// A piece of some of the rows, encoded.
    ///
    /// # Errors
    /// What the device reports.
    pub fn piece(
        &mut self,
        piece: usize,
        some: Range<usize>,
        buffers: &mut Buffers,
    ) -> Result<Matrix> {
        let observations = &self.input.observations;
        let mut encoded = buffers.take(some.len(), self.encoder.width(piece));
        let rows = self.rows.start + some.start..self.rows.start + some.end;
        self.encoder.encode(piece, observations, rows, encoded.values_mut());
        if !self.encoder.is_bounded(piece, observations) {
            let largest = self.place.precision.largest();
            for (row, sound) in self.sound[some].iter_mut().enumerate() {
                *sound &= all_within(encoded.row(row), largest);
            }
        }
        place(encoded, self.place, buffers)
    }

    /// What each row remembers, `size` numbers.
    ///
    /// # Errors
    /// What the device reports.
    pub fn states(&self, size: usize, buffers: &mut Buffers) -> Result<Matrix> {
        let mut states = buffers.take(self.rows(), size);
        match &self.input.states {
            Some(all) => {
                let all = &all[self.rows.start * size..self.rows.end * size];
                states.values_mut().copy_from_slice(all);
            }
            None => states.values_mut().fill(0.0),
        }
        place(states, self.place, buffers)
    }
}

/// Without an end at the first that is not, the compiler makes vectors of it.
fn all_within(values: &[f32], largest: f32) -> bool {
    values.iter().fold(true, |all, x| all & (x.abs() <= largest))
}

/// In the place's precision. On a GPU in half precision the product of a single row has a kernel, and
/// so a rounding, of its own: there a row alone is given a companion.
fn place(mut x: Host, place: &Place, buffers: &mut Buffers) -> Result<Matrix> {
    if place.is_cpu() {
        place.precision.round_all(x.values_mut());
        return Ok(Matrix::Host(x));
    }
    let (rows, columns) = (x.rows(), x.columns());
    let alone = rows == 1 && place.precision != Precision::F32;
    let copies = 1 + usize::from(alone);
    let tensor =
        Tensor::from_vec(x.values().repeat(copies), (rows * copies, columns), &place.device)?;
    buffers.give_host(x);
    tensor.to_dtype(place.dtype()).map(Matrix::Device)
}
