//! The exponential function of many numbers at once, and activations that are made of it.
//!
//! `exp(x) = 2^n exp(r)` with `r` between `-ln(2) / 2` and `ln(2) / 2`, of which a polynomial of
//! degree 7 is exact to a unit in the last place (the coefficients are those of the Cephes library).

use pulp::Simd;

use super::curve::{Curve, polynomial};

/// Above this it is infinite in f32, or almost.
const HIGHEST: f32 = 88.0;
/// Below this it is not normal in f32, and 0 here.
const LOWEST: f32 = -87.0;
/// Added to a number it leaves the nearest integer in the last bits.
const ROUND: f32 = 12_582_912.0;
/// ln(2) in two parts, of which the first has few digits.
const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Of `(exp(r) - 1 - r) / r^2`, from the highest power down.
const COEFFICIENTS: [f32; 6] =
    [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// `exp(x)` as `scale * (1 + rest)`: the small difference from 1 is not lost in it.
#[inline(always)]
fn parts<S: Simd>(simd: S, x: S::f32s) -> (S::f32s, S::f32s) {
    let low = simd.min_f32s(simd.splat_f32s(HIGHEST), x);
    let x = simd.max_f32s(simd.splat_f32s(LOWEST), low);
    let round = simd.splat_f32s(ROUND);
    let turned = simd.mul_add_e_f32s(x, simd.splat_f32s(std::f32::consts::LOG2_E), round);
    let n = simd.sub_f32s(turned, round);
    let mut r = x;
    for part in LN_2 {
        r = simd.mul_add_e_f32s(n, simd.splat_f32s(-part), r);
    }
    let square = simd.mul_f32s(r, r);
    let rest = simd.mul_add_e_f32s(polynomial(simd, &COEFFICIENTS, r), square, r);
    let shifted = simd.wrapping_dyn_shl_u32s(simd.transmute_u32s_f32s(turned), simd.splat_u32s(23));
    let scale = simd.add_u32s(shifted, simd.splat_u32s(1f32.to_bits()));
    (simd.transmute_f32s_u32s(scale), rest)
}

/// Infinite and 0 beyond its range, so that what overflowed shows.
#[inline(always)]
fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let (scale, rest) = parts(simd, x);
    let inside = simd.mul_add_e_f32s(scale, rest, scale);
    let above = simd.less_than_f32s(simd.splat_f32s(HIGHEST), x);
    let bounded = simd.select_f32s(above, simd.splat_f32s(f32::INFINITY), inside);
    let below = simd.less_than_f32s(x, simd.splat_f32s(LOWEST));
    let bounded = simd.select_f32s(below, simd.splat_f32s(0.0), bounded);
    keep_nan(simd, x, bounded)
}

/// Of NaN the bounds would make a number.
#[inline(always)]
fn keep_nan<S: Simd>(simd: S, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.select_f32s(simd.equal_f32s(x, x), y, x)
}

/// `scale * alpha * (exp(x) - 1)` below 0, and `scale * x` from there on.
#[derive(Clone, Copy)]
pub struct Elu {
    pub alpha: f32,
    pub scale: f32,
}

impl Curve for Elu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let (scale, rest) = parts(simd, x);
        let less = simd.sub_f32s(scale, simd.splat_f32s(1.0));
        let below = simd.mul_add_e_f32s(scale, rest, less);
        let below = simd.mul_f32s(simd.splat_f32s(self.alpha), below);
        let is_below = simd.less_than_f32s(x, simd.splat_f32s(0.0));
        simd.mul_f32s(simd.splat_f32s(self.scale), simd.select_f32s(is_below, below, x))
    }
}

/// `x / (1 + exp(-x))`.
#[derive(Clone, Copy)]
pub struct Silu;

impl Curve for Silu {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let one = simd.splat_f32s(1.0);
        let share = simd.add_f32s(one, exp(simd, simd.neg_f32s(x)));
        simd.mul_f32s(x, simd.div_f32s(one, share))
    }
}

/// `x tanh(ln(1 + exp(x)))`, which is `x n / (n + 2)` with `n = exp(x) (exp(x) + 2)`.
#[derive(Clone, Copy)]
pub struct Mish;

impl Curve for Mish {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let two = simd.splat_f32s(2.0);
        // From here on it is x, and the square would overflow.
        let large = simd.splat_f32s(20.0);
        let is_large = simd.less_than_f32s(large, x);
        let power = exp(simd, simd.select_f32s(is_large, large, x));
        let n = simd.mul_f32s(power, simd.add_f32s(power, two));
        simd.mul_f32s(x, simd.div_f32s(n, simd.add_f32s(n, two)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::curve::tests::assert_near;

    #[test]
    fn activations_are_right_to_a_few_units_in_the_last_place_and_keep_what_is_no_number() {
        let elu = |x: f64| if x < 0.0 { x.exp_m1() } else { x };
        assert_near(Elu { alpha: 1.0, scale: 1.0 }, elu, 3e-7);
        // As in PyTorch, of minus infinity NaN is made: it is infinity times 0.
        assert_near(Silu, |x| x * (1.0 / (1.0 + (-x).exp())), 3e-7);
        assert_near(Mish, |x| x * x.exp().ln_1p().min(700.0).tanh(), 5e-7);
    }

    #[test]
    fn small_numbers_keep_their_digits() {
        let mut small = [-1e-30, -3e-9, -1e-5];
        crate::policy::curve::tests::apply(Elu { alpha: 1.0, scale: 1.0 }, &mut small);
        for (got, x) in small.into_iter().zip([-1e-30f64, -3e-9, -1e-5]) {
            assert!((f64::from(got) / x.exp_m1() - 1.0).abs() <= 3e-7, "{got} of {x}");
        }
    }
}
