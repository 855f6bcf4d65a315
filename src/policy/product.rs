//! The matrix product of the CPU: `f(x W^T + b)`, with the weights packed once.
//!
//! **Batch invariance.** Each output is a sum in one order: chains of fused additions through
//! [`CHAIN`] inputs at a time, which are added to the bias one after the other. How many rows are
//! computed together changes neither order nor instruction, so a row gives the same bits alone and
//! in any company. (On another machine, with other vector instructions, they may be others.)
//!
//! Chains are short since their rounding errors grow with their length: through the 3136 inputs of
//! an image network's last layer, one chain is off by several times what its parts are.
//!
//! **No closures** where vectors are: closures, and functions of the library that call them, are
//! compiled without the instructions that are found at run time, and so become calls.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{dots::Dots, epilogue::Epilogue};

/// Columns of one panel: two vectors of AVX-512, four of AVX2, eight of NEON.
const PANEL: usize = 32;
/// Inputs that are summed up before they are added to the rest.
const CHAIN: usize = 128;
/// Rows, or panels of one row, that are summed up together: no more than there are registers for.
const BLOCK: usize = 8;

/// Weights and bias of one layer.
pub struct Packed {
    inputs: usize,
    outputs: usize,
    form: Form,
    arch: Arch,
}

enum Form {
    Panels(Panels),
    /// Of few outputs most of a panel would be empty.
    Dots(Dots),
}

/// Columns in panels of [`PANEL`]: input by input, the weights of a panel's columns side by side.
/// The last panel is filled up with zeros.
struct Panels {
    inputs: usize,
    outputs: usize,
    weights: Vec<Line>,
    bias: Vec<[f32; PANEL]>,
    chains: Vec<Chain>,
}

/// The weights of one input for a panel's columns, where no vector crosses a line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; PANEL]);

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
        let (outputs, inputs) = (bias.len(), weight.len() / bias.len().max(1));
        if !Dots::suit(outputs) {
            return Self::of_segments(weight, bias, &[(0, inputs)]);
        }
        let form = Form::Dots(Dots::new(weight, bias));
        Self { inputs, outputs, form, arch: Arch::new() }
    }

    /// The same where a row's inputs lie in several segments, each at an offset from the beginning of
    /// the row and of some length.
    pub fn of_segments(weight: &[f32], bias: &[f32], segments: &[(usize, usize)]) -> Self {
        let panels = Panels::new(weight, bias, segments);
        let (inputs, outputs) = (panels.inputs, panels.outputs);
        Self { inputs, outputs, form: Form::Panels(panels), arch: Arch::new() }
    }

    pub fn inputs(&self) -> usize {
        self.inputs
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// (rows, outputs) in C order, into `y`, which has that size.
    pub fn multiply<F: Fn(usize) -> usize>(
        &self,
        x: &Rows<'_, F>,
        epilogue: Epilogue,
        y: &mut [f32],
    ) {
        self.arch.dispatch(Product { weights: self, x, epilogue, y });
    }
}

impl Panels {
    fn new(weight: &[f32], bias: &[f32], segments: &[(usize, usize)]) -> Self {
        let outputs = bias.len();
        let inputs = weight.len() / outputs.max(1);
        let count = outputs.div_ceil(PANEL);
        let mut lines = vec![Line([0.0; PANEL]); count * inputs];
        for (column, weights) in weight.chunks_exact(inputs.max(1)).enumerate() {
            let panel = &mut lines[column / PANEL * inputs..][..inputs];
            for (line, weight) in panel.iter_mut().zip(weights) {
                line.0[column % PANEL] = *weight;
            }
        }
        let mut padded = vec![[0.0; PANEL]; count];
        padded.as_flattened_mut()[..outputs].copy_from_slice(bias);
        let chains = segments.iter().flat_map(|segment| chains(*segment)).collect();
        Self { inputs, outputs, weights: lines, bias: padded, chains }
    }

    /// The columns of `count` panels that there are outputs for.
    fn columns(&self, first: usize, count: usize) -> Range<usize> {
        first * PANEL..self.outputs.min((first + count) * PANEL)
    }

    /// The weights of a panel, from its input `first` on.
    fn panel(&self, panel: usize, first: usize, len: usize) -> &[Line] {
        &self.weights[panel * self.inputs + first..][..len]
    }
}

/// Of at most [`CHAIN`] inputs each.
fn chains((offset, len): (usize, usize)) -> impl Iterator<Item = Chain> {
    (0..len).step_by(CHAIN).map(move |at| Chain { offset: offset + at, len: CHAIN.min(len - at) })
}

struct Product<'a, 'x, F> {
    weights: &'a Packed,
    x: &'a Rows<'x, F>,
    epilogue: Epilogue,
    y: &'a mut [f32],
}

impl<F: Fn(usize) -> usize> WithSimd for Product<'_, '_, F> {
    type Output = ();

    /// As many accumulators as there are registers for, whatever their width.
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { weights, x, epilogue, y } = self;
        match &weights.form {
            Form::Dots(dots) => dots.multiply(simd, x, epilogue, y),
            Form::Panels(panels) => {
                let mut run = Run { simd, panels, x, epilogue, y, sums: [[0.0; PANEL]; BLOCK] };
                match S::F32_LANES {
                    16 => run.all::<2>(8),
                    8 => run.all::<4>(3),
                    4 => run.all::<8>(3),
                    _ => run.all::<PANEL>(1),
                }
            }
        }
    }
}

/// A product over panels.
struct Run<'a, 'x, S, F> {
    simd: S,
    panels: &'a Panels,
    x: &'a Rows<'x, F>,
    epilogue: Epilogue,
    y: &'a mut [f32],
    /// Of one block, row by row.
    sums: [[f32; PANEL]; BLOCK],
}

impl<S: Simd, F: Fn(usize) -> usize> Run<'_, '_, S, F> {
    /// `V` vectors make up a panel, `most` rows a block. A panel stays in the cache while all blocks
    /// of rows pass it. Two panels share a row that is alone: the sums of one would wait for each
    /// other.
    #[inline(always)]
    fn all<const V: usize>(&mut self, most: usize) {
        let (panels, alone) = (self.panels.bias.len(), self.x.count == 1);
        let mut first = 0;
        while first < panels {
            if alone && first + 2 <= panels {
                self.block::<V, 1, 2>(0, first);
                first += 2;
            } else {
                self.blocks::<V>(first, most);
                first += 1;
            }
        }
    }

    /// All rows through one panel; what is left goes in smaller blocks.
    #[inline(always)]
    fn blocks<const V: usize>(&mut self, panel: usize, most: usize) {
        let mut first = 0;
        while first < self.x.count {
            let count = block_rows(self.x.count - first, most);
            match count {
                8 => self.block::<V, 8, 1>(first, panel),
                6 => self.block::<V, 6, 1>(first, panel),
                4 => self.block::<V, 4, 1>(first, panel),
                3 => self.block::<V, 3, 1>(first, panel),
                2 => self.block::<V, 2, 1>(first, panel),
                _ => self.block::<V, 1, 1>(first, panel),
            }
            first += count;
        }
    }

    /// `R` rows through `P` panels, and what follows.
    #[inline(always)]
    fn block<const V: usize, const R: usize, const P: usize>(&mut self, row: usize, panel: usize) {
        self.sum::<V, R, P>(row, panel);
        self.epilogue.apply(self.simd, self.sums[..R * P].as_flattened_mut());
        let (outputs, columns) = (self.panels.outputs, self.panels.columns(panel, P));
        let y = self.y[row * outputs..(row + R) * outputs].chunks_exact_mut(outputs);
        for (sums, y) in self.sums.chunks_exact(P).zip(y) {
            put(sums, &mut y[columns.clone()]);
        }
    }

    #[inline(always)]
    fn sum<const V: usize, const R: usize, const P: usize>(&mut self, row: usize, panel: usize) {
        let rows: [&[f32]; R] = self.x.block(row);
        for sums in self.sums[..R * P].chunks_exact_mut(P) {
            sums.copy_from_slice(&self.panels.bias[panel..panel + P]);
        }
        let mut first = 0;
        for Chain { offset, len } in &self.panels.chains {
            let mut weights: [&[Line]; P] = [&[]; P];
            for (p, weights) in weights.iter_mut().enumerate() {
                *weights = self.panels.panel(panel + p, first, *len);
            }
            let chain = chain::<S, V, R, P>(self.simd, cut(rows, *offset, *len), weights, *len);
            for (sums, chain) in self.sums.iter_mut().zip(chain.as_flattened()) {
                let (sums, _) = S::as_mut_simd_f32s(sums);
                for v in 0..V {
                    sums[v] = self.simd.add_f32s(sums[v], chain[v]);
                }
            }
            first += len;
        }
    }
}

/// Panels that are full are moved in vectors; of the last one there may be fewer columns.
#[inline(always)]
fn put(sums: &[[f32; PANEL]], y: &mut [f32]) {
    let (full, rest) = y.as_chunks_mut::<PANEL>();
    for (sums, y) in sums.iter().zip(&mut *full) {
        *y = *sums;
    }
    if !rest.is_empty() {
        rest.copy_from_slice(&sums[full.len()][..rest.len()]);
    }
}

/// Rows of the next block, of `left` and at most `most`. Six are the fastest, eight almost; smaller
/// blocks wait for loads and for each other's sums, so they are left to the end.
#[inline(always)]
pub fn block_rows(left: usize, most: usize) -> usize {
    if most >= 6 && (left >= 24 || left.is_multiple_of(6)) {
        return 6;
    }
    for rows in [8, 6, 4, 3, 2] {
        if rows <= left && rows <= most {
            return rows;
        }
    }
    1
}

impl<'a, F: Fn(usize) -> usize> Rows<'a, F> {
    /// From the beginning of each of `R` rows on.
    #[inline(always)]
    pub fn block<const R: usize>(&self, first: usize) -> [&'a [f32]; R] {
        let mut rows: [&[f32]; R] = [&[]; R];
        for (row, values) in rows.iter_mut().enumerate() {
            *values = &self.values[(self.start)(first + row)..];
        }
        rows
    }
}

/// The same part of each row.
#[inline(always)]
pub fn cut<const R: usize>(mut rows: [&[f32]; R], offset: usize, len: usize) -> [&[f32]; R] {
    for row in &mut rows {
        *row = &row[offset..][..len];
    }
    rows
}

/// One chain for each column of `P` panels and each of `R` rows. All are `len` long: where the
/// compiler knows that, it leaves the checks out of the loop.
#[inline(always)]
fn chain<S: Simd, const V: usize, const R: usize, const P: usize>(
    simd: S,
    x: [&[f32]; R],
    mut panels: [&[Line]; P],
    len: usize,
) -> [[[S::f32s; V]; P]; R] {
    let x = cut(x, 0, len);
    for panel in &mut panels {
        *panel = &panel[..len];
    }
    let mut sums = [[[simd.splat_f32s(0.0); V]; P]; R];
    for k in 0..len {
        for p in 0..P {
            let (weights, _) = S::as_simd_f32s(&panels[p][k].0);
            let (weights, _) = weights.as_chunks::<V>();
            let weights = &weights[0];
            for row in 0..R {
                let x = simd.splat_f32s(x[row][k]);
                for v in 0..V {
                    sums[row][p][v] = simd.mul_add_e_f32s(x, weights[v], sums[row][p][v]);
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        policy::{device::Precision, spec::Activation},
        tiny::wave_values,
    };

    const INPUTS: usize = 261;
    const OUTPUTS: usize = 70;
    /// Dot products in place of panels.
    const FEW: usize = 3;
    const ROWS: usize = 29;

    /// The product with given instructions.
    fn with<S: Simd>(simd: S, weights: &Packed, values: &[f32]) -> Vec<f32> {
        let count = values.len() / INPUTS;
        let mut y = vec![0.0; count * weights.outputs()];
        let x = Rows { values, count, start: |row| row * INPUTS };
        let epilogue = Epilogue { precision: Precision::F32, activation: Activation::Identity };
        simd.vectorize(Product { weights, x: &x, epilogue, y: &mut y });
        y
    }

    fn assert_sound<S: Simd>(simd: S) {
        assert_layer_sound(simd, OUTPUTS);
        assert_layer_sound(simd, FEW);
    }

    fn assert_layer_sound<S: Simd>(simd: S, outputs: usize) {
        let (weight, bias) = (wave_values(10, outputs * INPUTS), wave_values(50, outputs));
        let (weights, x) = (Packed::new(&weight, &bias), wave_values(900, ROWS * INPUTS));
        let together = with(simd, &weights, &x);
        for (row, x) in x.chunks(INPUTS).enumerate() {
            for (output, bias) in bias.iter().enumerate() {
                let terms = x.iter().zip(&weight[output * INPUTS..]);
                let terms: Vec<f64> = terms.map(|(x, w)| f64::from(*x) * f64::from(*w)).collect();
                let exact = terms.iter().sum::<f64>() + f64::from(*bias);
                let off = (f64::from(together[row * outputs + output]) - exact).abs();
                // A sum rounds by a share of what it sums up, however much of that cancels.
                let size = 1.0 + terms.iter().map(|term| term.abs()).sum::<f64>();
                assert!(off <= 1e-6 * size, "row {row}, output {output}: {off} of {size}");
            }
        }
        for rows in 1..ROWS {
            let few = with(simd, &weights, &x[..rows * INPUTS]);
            assert_eq!(few[..], together[..rows * outputs], "{rows} rows");
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
