//! The matrix product of a layer with few outputs: each is a dot product, along whose inputs the
//! vectors lie.
//!
//! As elsewhere, a row's sums have an order of their own, whatever its company: one chain for each
//! lane, then the lanes, then the bias.

use pulp::Simd;

use super::{
    epilogue::Epilogue,
    product::{Rows, block_rows, cut},
};

/// More than these fill panels well enough.
const MOST: usize = 8;

pub struct Dots {
    inputs: usize,
    /// (outputs, inputs) in C order.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Dots {
    /// Whether a layer of so many outputs is better off so.
    pub fn suit(outputs: usize) -> bool {
        (1..=MOST).contains(&outputs)
    }

    /// `weight`: (outputs, inputs) in C order; `bias`: outputs.
    pub fn new(weight: &[f32], bias: &[f32]) -> Self {
        let inputs = weight.len() / bias.len().max(1);
        Self { inputs, weight: weight.to_vec(), bias: bias.to_vec() }
    }

    /// (rows, outputs) in C order, into `y`, which has that size.
    #[inline(always)]
    pub fn multiply<S: Simd, F: Fn(usize) -> usize>(
        &self,
        simd: S,
        x: &Rows<'_, F>,
        epilogue: Epilogue,
        y: &mut [f32],
    ) {
        let mut first = 0;
        while first < x.count {
            let count = block_rows(x.count - first, 4);
            let y = &mut y[first * self.bias.len()..(first + count) * self.bias.len()];
            match count {
                4 => self.block::<S, 4>(simd, x.block(first), y),
                3 => self.block::<S, 3>(simd, x.block(first), y),
                2 => self.block::<S, 2>(simd, x.block(first), y),
                _ => self.block::<S, 1>(simd, x.block(first), y),
            }
            epilogue.apply(simd, y);
            first += count;
        }
    }

    /// All outputs of `R` rows.
    #[inline(always)]
    fn block<S: Simd, const R: usize>(&self, simd: S, x: [&[f32]; R], y: &mut [f32]) {
        let x = cut(x, 0, self.inputs);
        for (output, bias) in self.bias.iter().enumerate() {
            let weight = &self.weight[output * self.inputs..(output + 1) * self.inputs];
            let sums = lanes(simd, x, weight);
            for row in 0..R {
                y[row * self.bias.len() + output] = bias + simd.reduce_sum_f32s(sums[row]);
            }
        }
    }
}

/// A chain for each lane of `R` rows; the inputs that fill no vector begin it.
#[inline(always)]
fn lanes<S: Simd, const R: usize>(simd: S, x: [&[f32]; R], weight: &[f32]) -> [S::f32s; R] {
    let (weights, last) = S::as_simd_f32s(weight);
    let last = simd.partial_load_f32s(last);
    let mut vectors: [&[S::f32s]; R] = [&[]; R];
    let mut sums = [simd.splat_f32s(0.0); R];
    for row in 0..R {
        let (x, rest) = S::as_simd_f32s(x[row]);
        vectors[row] = &x[..weights.len()];
        sums[row] = simd.mul_f32s(simd.partial_load_f32s(rest), last);
    }
    for (k, weight) in weights.iter().enumerate() {
        for row in 0..R {
            sums[row] = simd.mul_add_e_f32s(vectors[row][k], *weight, sums[row]);
        }
    }
    sums
}
