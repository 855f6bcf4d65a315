//! The numbers of a batch on their way through the network.

use candle_core::{DType, Result, Tensor, bail};

/// (rows, columns): in this program's own memory for the CPU, a tensor of candle elsewhere.
pub enum Matrix {
    Host(Host),
    Device(Tensor),
}

/// A matrix in C order, in a buffer that goes back to its [`Buffers`] when it is no longer needed.
pub struct Host {
    /// Of an earlier use it may be longer than this matrix.
    buffer: Vec<f32>,
    rows: usize,
    columns: usize,
}

/// Memory that one forward pass after the other uses, so that none asks the system for any.
#[derive(Default)]
pub struct Buffers {
    free: Vec<Vec<f32>>,
}

/// Matrices of as many rows, side by side.
pub enum Joined {
    Host { all: Host, at: usize },
    Device(Vec<Tensor>),
}

impl Matrix {
    /// # Errors
    /// It is on another device.
    pub fn host(&self) -> Result<&Host> {
        match self {
            Matrix::Host(host) => Ok(host),
            Matrix::Device(_) => bail!("the layer is on the CPU, its input is not"),
        }
    }

    /// # Errors
    /// It is in this program's own memory.
    pub fn device(&self) -> Result<&Tensor> {
        match self {
            Matrix::Device(tensor) => Ok(tensor),
            Matrix::Host(_) => bail!("the layer's input is not on its device"),
        }
    }

    pub fn copy(&self, buffers: &mut Buffers) -> Self {
        match self {
            Matrix::Host(host) => {
                let mut copy = buffers.take(host.rows, host.columns);
                copy.values_mut().copy_from_slice(host.values());
                Matrix::Host(copy)
            }
            Matrix::Device(tensor) => Matrix::Device(tensor.clone()),
        }
    }

    /// The first `rows` rows, in this program's own memory.
    ///
    /// # Errors
    /// What the device reports.
    pub fn read_back(self, rows: usize) -> Result<Host> {
        let tensor = match self {
            Matrix::Host(host) => return Ok(host),
            Matrix::Device(tensor) => tensor.narrow(0, 0, rows)?,
        };
        let buffer: Vec<f32> = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(Host { columns: buffer.len() / rows, buffer, rows })
    }
}

impl Host {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All elements, in C order.
    pub fn values(&self) -> &[f32] {
        &self.buffer[..self.rows * self.columns]
    }

    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.buffer[..self.rows * self.columns]
    }

    pub fn row(&self, row: usize) -> &[f32] {
        &self.values()[row * self.columns..(row + 1) * self.columns]
    }

    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        let columns = self.columns;
        &mut self.values_mut()[row * columns..(row + 1) * columns]
    }

    /// Puts `part` into the columns from `at` on.
    pub fn put(&mut self, at: usize, part: &Host) {
        for row in 0..self.rows {
            self.row_mut(row)[at..at + part.columns].copy_from_slice(part.row(row));
        }
    }
}

impl Buffers {
    /// A matrix with whatever numbers were there before: the smallest buffer that is large enough,
    /// so that a second pass finds for each matrix what the first one had for it.
    pub fn take(&mut self, rows: usize, columns: usize) -> Host {
        let size = rows * columns;
        let fits = |buffer: &Vec<f32>| (buffer.len() < size, buffer.len().abs_diff(size));
        let best = (0..self.free.len()).min_by_key(|at| fits(&self.free[*at]));
        let mut buffer = best.map_or_else(Vec::new, |at| self.free.swap_remove(at));
        if buffer.len() < size {
            buffer.resize(size, 0.0);
        }
        Host { buffer, rows, columns }
    }

    pub fn give(&mut self, matrix: Matrix) {
        if let Matrix::Host(host) = matrix {
            self.give_host(host);
        }
    }

    pub fn give_host(&mut self, host: Host) {
        self.free.push(host.buffer);
    }
}

impl Joined {
    /// `columns` of them altogether, where `other` is and with its rows.
    pub fn like(other: &Matrix, columns: usize, buffers: &mut Buffers) -> Self {
        match other {
            Matrix::Host(host) => Joined::Host { all: buffers.take(host.rows, columns), at: 0 },
            Matrix::Device(_) => Joined::Device(Vec::new()),
        }
    }

    /// # Errors
    /// It is on another device.
    pub fn push(&mut self, part: &Matrix) -> Result<()> {
        match self {
            Joined::Host { all, at } => {
                let part = part.host()?;
                all.put(*at, part);
                *at += part.columns;
            }
            Joined::Device(parts) => parts.push(part.device()?.clone()),
        }
        Ok(())
    }

    /// # Errors
    /// What the device reports.
    pub fn finish(self) -> Result<Matrix> {
        Ok(match self {
            Joined::Host { all, .. } => Matrix::Host(all),
            Joined::Device(parts) => Matrix::Device(Tensor::cat(&parts, 1)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_the_smallest_that_is_large_enough_is_taken() {
        let mut buffers = Buffers::default();
        let (small, large) = (buffers.take(2, 3), buffers.take(4, 5));
        let (at_small, at_large) = (small.values().as_ptr(), large.values().as_ptr());
        buffers.give_host(large);
        buffers.give_host(small);
        let again = buffers.take(1, 6);
        assert_eq!((again.values().as_ptr(), again.values().len()), (at_small, 6));
        assert_eq!(buffers.take(1, 1).values().as_ptr(), at_large);
    }

    #[test]
    fn parts_stand_side_by_side_in_every_row() {
        let mut buffers = Buffers::default();
        let mut of = |columns: usize, start: f32| {
            let mut host = buffers.take(2, columns);
            let values = host.values_mut().iter_mut().enumerate();
            values.for_each(|(at, value)| *value = start + at as f32);
            Matrix::Host(host)
        };
        let (one, two) = (of(1, 0.0), of(2, 10.0));
        let mut joined = Joined::like(&one, 3, &mut Buffers::default());
        joined.push(&one).unwrap();
        joined.push(&two).unwrap();
        let joined = joined.finish().unwrap();
        assert_eq!(joined.host().unwrap().values(), [0.0, 10.0, 11.0, 1.0, 12.0, 13.0]);
    }
}
