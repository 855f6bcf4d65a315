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
    chains: Vec<Chain>,
    arch: Arch,
}

/// Inputs that lie side by side, in a row and among the weights.
#[derive(Clone, Copy)]
struct Chain {
    /// Where they begin, counted from the beginning of a row.
    offset: usize,
    len: usize,
}

/// The rows of a product: parts of one slice, which may overlap.
pub struct Rows<'a, F> {
    pub values: &'a [f32],
    pub count: usize,
    /// Where in the values a row begins.
    pub start: F,
}

impl Packed {
    /// `weight`: (outputs, inputs) in C order; `bias`: outputs. A row's inputs lie side by side.
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        Self::of_segments(weight, bias, &[(0, weight.len() / bias.len().max(1))])
    }

    /// The same where a row's inputs lie in several segments, each at an offset from the beginning of
    /// the row and of some length.
    pub fn of_segments(weight: &[f32], bias: &[f32], segments: &[(usize, usize)]) -> Self {
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
        let chains = segments.iter().flat_map(|segment| chains(*segment)).collect();
        Self { inputs, outputs, panels, bias: padded, chains, arch: Arch::new() }
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// (rows, outputs) in C order, into `y`, which has that size.
    pub fn multiply<F: Fn(usize) -> usize>(&self, x: &Rows<'_, F>, y: &mut [f32]) {
        self.arch.dispatch(Product { weights: self, x, y });
    }
}

/// Of at most [`CHAIN`] inputs each.
fn chains((offset, len): (usize, usize)) -> impl Iterator<Item = Chain> {
    (0..len).step_by(CHAIN).map(move |at| Chain { offset: offset + at, len: CHAIN.min(len - at) })
}

struct Product<'a, 'x, F> {
    weights: &'a Packed,
    x: &'a Rows<'x, F>,
    y: &'a mut [f32],
}

impl<F: Fn(usize) -> usize> WithSimd for Product<'_, '_, F> {
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

impl<F: Fn(usize) -> usize> Product<'_, '_, F> {
    /// `V` vectors make up a panel, `MOST` rows a block; what is left goes in smaller blocks.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const MOST: usize>(self, simd: S) {
        let Self { weights, x, y } = self;
        let mut first = 0;
        while first < x.count {
            let count = block_rows(x.count - first, MOST);
            let y = &mut y[first * weights.outputs..(first + count) * weights.outputs];
            match count {
                12 => multiply_block::<S, V, 12>(simd, weights, x.block(first), y),
                8 => multiply_block::<S, V, 8>(simd, weights, x.block(first), y),
                4 => multiply_block::<S, V, 4>(simd, weights, x.block(first), y),
                3 => multiply_block::<S, V, 3>(simd, weights, x.block(first), y),
                2 => multiply_block::<S, V, 2>(simd, weights, x.block(first), y),
                _ => multiply_block::<S, V, 1>(simd, weights, x.block(first), y),
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

impl<'a, F: Fn(usize) -> usize> Rows<'a, F> {
    /// From the beginning of each of `R` rows on.
    fn block<const R: usize>(&self, first: usize) -> [&'a [f32]; R] {
        std::array::from_fn(|row| &self.values[(self.start)(first + row)..])
    }
}

/// All outputs of `R` rows.
#[inline(always)]
fn multiply_block<S: Simd, const V: usize, const R: usize>(
    simd: S,
    weights: &Packed,
    x: [&[f32]; R],
    y: &mut [f32],
) {
    let outputs = weights.outputs;
    let panels = weights.panels.chunks_exact(weights.inputs.max(1));
    for (at, (panel, bias)) in panels.zip(&weights.bias).enumerate() {
        let sums: [[f32; PANEL]; R] = sums::<S, V, R>(simd, &weights.chains, x, panel, bias);
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
    chains: &[Chain],
    x: [&[f32]; R],
    mut panel: &[[f32; PANEL]],
    bias: &[f32; PANEL],
) -> [[f32; PANEL]; R] {
    let (bias, _) = S::as_simd_f32s(bias);
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for row in &mut sums {
        row.copy_from_slice(&bias[..V]);
    }
    for Chain { offset, len } in chains {
        let weights;
        (weights, panel) = panel.split_at(*len);
        let chain = chain::<S, V, R>(simd, x.map(|row| &row[*offset..][..*len]), weights);
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
    x: [&[f32]; R],
    panel: &[[f32; PANEL]],
) -> [[S::f32s; V]; R] {
    // The compiler leaves the checks out of the loop when it knows the lengths.
    let x = x.map(|row| &row[..panel.len()]);
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    for (k, weights) in panel.iter().enumerate() {
        let (weights, _) = S::as_simd_f32s(weights);
        let (weights, _) = weights.as_chunks::<V>();
        let weights = &weights[0];
        for row in 0..R {
            let x = simd.splat_f32s(x[row][k]);
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
        let count = values.len() / INPUTS;
        let mut y = vec![0.0; count * OUTPUTS];
        let x = Rows { values, count, start: |row| row * INPUTS };
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
