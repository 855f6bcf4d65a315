//! The matrix product of the CPU: `x W^T + b`, with the weights packed once.
//!
//! **Batch invariance.** Each output is a sum in one order: chains of fused additions through
//! [`CHAIN`] inputs at a time, which are added to the bias one after the other. How many rows are
//! computed together changes neither order nor instruction, so a row gives the same bits alone and
//! in any company. (On another machine, with other vector instructions, they may be others.)
//!
//! Chains are short since their rounding errors grow with their length: through the 3136 inputs of
//! an image network's last layer, one chain is off by several times what its parts are.

use pulp::{Arch, Simd, WithSimd};

/// Columns of one panel: two vectors of AVX-512, four of AVX2, eight of NEON.
const PANEL: usize = 32;
/// Inputs that are summed up before they are added to the rest.
const CHAIN: usize = 128;

/// Weights and bias of one layer, in panels of [`PANEL`] columns: input by input, the weights of a
/// panel's columns side by side. The last panel is filled up with zeros.
pub struct Packed {
    inputs: usize,
    outputs: usize,
    panels: Vec<[f32; PANEL]>,
    bias: Vec<[f32; PANEL]>,
    arch: Arch,
}

/// Where a product finds its rows. They come in blocks, input by input, the rows of a block side by
/// side.
pub trait Operand {
    fn rows(&self) -> usize;

    /// Writes rows `first..first + block.len() / inputs` in that order into `block`.
    fn gather(&self, first: usize, rows: usize, block: &mut Vec<f32>);
}

/// A matrix (rows, inputs) in C order.
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub inputs: usize,
}

impl Packed {
    /// `weight`: (outputs, inputs) in C order; `bias`: outputs.
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs.max(1);
        let width = outputs.div_ceil(PANEL);
        let mut panels = vec![[0.0; PANEL]; width * inputs];
        for (column, weights) in weight.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut panels[column / PANEL * inputs..][..inputs];
            for (row, weight) in panel.iter_mut().zip(weights) {
                row[column % PANEL] = *weight;
            }
        }
        let mut padded = vec![[0.0; PANEL]; width];
        padded.as_flattened_mut()[..outputs].copy_from_slice(bias);
        Self { inputs, outputs, panels, bias: padded, arch: Arch::new() }
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// (rows, outputs) in C order.
    pub fn multiply(&self, x: &impl Operand) -> Vec<f32> {
        let mut y = vec![0.0; x.rows() * self.outputs];
        self.arch.dispatch(Product { weights: self, x, y: &mut y });
        y
    }
}

impl Operand for Matrix<'_> {
    fn rows(&self) -> usize {
        self.values.len() / self.inputs.max(1)
    }

    fn gather(&self, first: usize, rows: usize, block: &mut Vec<f32>) {
        let values = &self.values[first * self.inputs..(first + rows) * self.inputs];
        block.clear();
        if rows == 1 {
            return block.extend_from_slice(values);
        }
        block.extend((0..self.inputs).flat_map(|k| values[k..].iter().step_by(self.inputs)));
    }
}

struct Product<'a, R> {
    weights: &'a Packed,
    x: &'a R,
    y: &'a mut [f32],
}

impl<R: Operand> WithSimd for Product<'_, R> {
    type Output = ();

    /// As many accumulators as there are registers for, whatever their width.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 2, 12>(simd),
            8 => self.run::<S, 4, 3>(simd),
            4 => self.run::<S, 8, 3>(simd),
            _ => self.run::<S, PANEL, 1>(simd),
        }
    }
}

impl<R: Operand> Product<'_, R> {
    /// `V` vectors make up a panel, `MOST` rows a block; what is left goes in smaller blocks.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MOST: usize>(self, simd: S) {
        let Self { weights, x, y } = self;
        let rows = x.rows();
        let mut block = Vec::with_capacity(MOST * weights.inputs);
        let mut first = 0;
        while first < rows {
            let count = block_rows(rows - first, MOST);
            x.gather(first, count, &mut block);
            let y = &mut y[first * weights.outputs..(first + count) * weights.outputs];
            match count {
                12 => multiply_block::<S, V, 12>(simd, weights, &block, y),
                8 => multiply_block::<S, V, 8>(simd, weights, &block, y),
                4 => multiply_block::<S, V, 4>(simd, weights, &block, y),
                3 => multiply_block::<S, V, 3>(simd, weights, &block, y),
                2 => multiply_block::<S, V, 2>(simd, weights, &block, y),
                _ => multiply_block::<S, V, 1>(simd, weights, &block, y),
            }
            first += count;
        }
    }
}

/// The largest block for which there is a kernel.
fn block_rows(left: usize, most: usize) -> usize {
    let fits = |rows: &usize| *rows <= left && *rows <= most;
    [12, 8, 4, 3, 2, 1].into_iter().find(fits).unwrap_or(1)
}

/// All outputs of `R` rows.
#[inline(always)]
fn multiply_block<S: Simd, const V: usize, const R: usize>(
    simd: S,
    weights: &Packed,
    x: &[f32],
    y: &mut [f32],
) {
    let outputs = weights.outputs;
    let panels = weights.panels.chunks_exact(weights.inputs.max(1));
    for (at, (panel, bias)) in panels.zip(&weights.bias).enumerate() {
        let sums: [[f32; PANEL]; R] = sums::<S, V, R>(simd, x, panel, bias);
        let columns = at * PANEL..outputs.min((at + 1) * PANEL);
        for (sums, y) in sums.iter().zip(y.chunks_exact_mut(outputs)) {
            y[columns.clone()].copy_from_slice(&sums[..columns.len()]);
        }
    }
}

/// One panel's sums for `R` rows.
#[inline(always)]
fn sums<S: Simd, const V: usize, const R: usize>(
    simd: S,
    x: &[f32],
    panel: &[[f32; PANEL]],
    bias: &[f32; PANEL],
) -> [[f32; PANEL]; R] {
    let (bias, _) = S::as_simd_f32s(bias);
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for row in &mut sums {
        row.copy_from_slice(&bias[..V]);
    }
    let (x, _) = x.as_chunks::<R>();
    for (x, panel) in x.chunks(CHAIN).zip(panel.chunks(CHAIN)) {
        let chain = chain::<S, V, R>(simd, x, panel);
        for row in 0..R {
            for v in 0..V {
                sums[row][v] = simd.add_f32s(sums[row][v], chain[row][v]);
            }
        }
    }
    let mut out = [[0.0; PANEL]; R];
    for (out, sums) in out.iter_mut().zip(&sums) {
        let (out, _) = S::as_mut_simd_f32s(out);
        out.copy_from_slice(sums);
    }
    out
}

/// One chain for each column of `R` rows.
#[inline(always)]
fn chain<S: Simd, const V: usize, const R: usize>(
    simd: S,
    x: &[[f32; R]],
    panel: &[[f32; PANEL]],
) -> [[S::f32s; V]; R] {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (x, weights) in x.iter().zip(panel) {
        let (weights, _) = S::as_simd_f32s(weights);
        let (weights, _) = weights.as_chunks::<V>();
        let weights = &weights[0];
        for row in 0..R {
            let x = simd.splat_f32s(x[row]);
            for v in 0..V {
                sums[row][v] = simd.mul_add_e_f32s(x, weights[v], sums[row][v]);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiny::wave_values;

    const INPUTS: usize = 261;
    const OUTPUTS: usize = 70;
    const ROWS: usize = 29;

    /// The product with given instructions.
    fn with<S: Simd>(simd: S, weights: &Packed, values: &[f32]) -> Vec<f32> {
        let x = Matrix { values, inputs: INPUTS };
        let mut y = vec![0.0; x.rows() * OUTPUTS];
        simd.vectorize(Product { weights, x: &x, y: &mut y });
        y
    }

    fn assert_sound<S: Simd>(simd: S) {
        let (weight, bias) = (wave_values(10, OUTPUTS * INPUTS), wave_values(50, OUTPUTS));
        let (weights, x) = (Packed::new(&weight, &bias), wave_values(900, ROWS * INPUTS));
        let together = with(simd, &weights, &x);
        for (row, x) in x.chunks(INPUTS).enumerate() {
            for (output, bias) in bias.iter().enumerate() {
                let terms = x.iter().zip(&weight[output * INPUTS..]);
                let terms: Vec<f64> = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).collect();
                let exact = terms.iter().sum::<f64>() + f64::from(*bias);
                let off = (f64::from(together[row * OUTPUTS + output]) - exact).abs();
                // A sum rounds by a share of what it sums up, however much of that cancels.
                let size = 1.0 + terms.iter().map(|term| term.abs()).sum::<f64>();
                assert!(off <= 1e-6 * size, "row {row}, output {output}: {off} of {size}");
            }
        }
        for rows in 1..ROWS {
            let few = with(simd, &weights, &x[..rows * INPUTS]);
            assert_eq!(few[..], together[..rows * OUTPUTS], "{rows} rows");
        }
    }

    #[test]
    fn without_vector_instructions_sums_are_right_and_keep_their_bits() {
        assert_sound(pulp::Scalar);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn with_avx2_and_avx512_sums_are_right_and_keep_their_bits() {
        // On a machine without them there is nothing to hold.
        pulp::x86::V3::try_new().into_iter().for_each(assert_sound);
        pulp::x86::V4::try_new().into_iter().for_each(assert_sound);
    }
}
