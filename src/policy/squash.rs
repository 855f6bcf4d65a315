//! tanh and the logistic function of many numbers at once, on the CPU.
//!
//! The standard library's tanh takes some ten nanoseconds for each element, which is more than the
//! products around it. Here it is a quotient of two polynomials (of degree 13 and 6, the minimax
//! coefficients that Eigen uses), exact to a few units in the last place. An element's result
//! depends on nothing but the element: neither its place among the vectors nor the rest's length.

use pulp::{Arch, Simd, WithSimd};

/// From here on tanh is 1 in f32, up to its last digit.
const SATURATED: f32 = 7.998_812;
/// Of the numerator, from the highest power down to the first, every second one.
const NUMERATOR: [f32; 7] = [
    -2.760_768_5e-16,
    2.000_188e-13,
    -8.604_672e-11,
    5.122_297_1e-8,
    1.485_722_4e-5,
    6.372_619_3e-4,
    4.893_525e-3,
];
/// Of the denominator, from the sixth power down to the constant.
const DENOMINATOR: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];

/// tanh of each, in place.
pub fn tanh(values: &mut [f32]) {
    Arch::new().dispatch(Squash { values, inner: 1.0, outer: 1.0, offset: 0.0 });
}

/// `1 / (1 + exp(-x))` of each, in place: a tanh of half the size, moved up.
pub fn logistic(values: &mut [f32]) {
    Arch::new().dispatch(Squash { values, inner: 0.5, outer: 0.5, offset: 0.5 });
}

/// `outer * tanh(inner * x) + offset`.
struct Squash<'a> {
    values: &'a mut [f32],
    inner: f32,
    outer: f32,
    offset: f32,
}

impl WithSimd for Squash<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let factors = [self.inner, self.outer, self.offset].map(|value| simd.splat_f32s(value));
        let (vectors, rest) = S::as_mut_simd_f32s(self.values);
        for x in vectors {
            *x = squashed(simd, *x, factors);
        }
        let last = squashed(simd, simd.partial_load_f32s(rest), factors);
        simd.partial_store_f32s(rest, last);
    }
}

// Calls of closures and of library functions with vectors as arguments would not be inlined, since
// those are compiled without the instructions that are found at run time: so there are loops here.

#[inline(always)]
fn squashed<S: Simd>(simd: S, x: S::f32s, [inner, outer, offset]: [S::f32s; 3]) -> S::f32s {
    simd.mul_add_e_f32s(outer, tanh_of(simd, simd.mul_f32s(inner, x)), offset)
}

#[inline(always)]
fn tanh_of<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let low = simd.min_f32s(simd.splat_f32s(SATURATED), x);
    let bounded = simd.max_f32s(simd.splat_f32s(-SATURATED), low);
    let square = simd.mul_f32s(bounded, bounded);
    let above = simd.mul_f32s(bounded, polynomial(simd, &NUMERATOR, square));
    let quotient = simd.div_f32s(above, polynomial(simd, &DENOMINATOR, square));
    // Of NaN the bounds would make a number.
    simd.select_f32s(simd.equal_f32s(x, x), quotient, x)
}

#[inline(always)]
fn polynomial<S: Simd>(simd: S, coefficients: &[f32], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for next in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(*next));
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all sizes, both signs and all that is special.
    fn numbers() -> Vec<f32> {
        let bits = (0..=0x7f80_0000u32).step_by(9973).map(f32::from_bits);
        let positive: Vec<f32> = bits.chain((0..4000).map(|k| k as f32 / 256.0)).collect();
        let negative = positive.iter().map(|x| -x);
        negative.chain(positive.iter().copied()).chain([f32::NAN, f32::INFINITY]).collect()
    }

    fn assert_near(f: fn(&mut [f32]), expected: fn(f64) -> f64, most: f64) {
        let mut values = numbers();
        f(&mut values);
        for (x, got) in numbers().into_iter().zip(values) {
            let off = (f64::from(got) - expected(f64::from(x))).abs();
            assert!(off <= most || x.is_nan() && got.is_nan(), "of {x}: {got}, off by {off:e}");
        }
    }

    #[test]
    fn both_are_right_to_a_few_units_in_the_last_place_and_keep_nan() {
        assert_near(tanh, f64::tanh, 3e-7);
        assert_near(logistic, |x| 1.0 / (1.0 + (-x).exp()), 3e-7);
    }

    #[test]
    fn they_stay_within_their_bounds_and_small_numbers_stay_themselves() {
        let mut values = numbers();
        tanh(&mut values);
        assert!(values.iter().all(|y| y.is_nan() || y.abs() <= 1.0));
        let mut small = [1e-30, -3e-9, 1e-5];
        tanh(&mut small);
        for (got, x) in small.into_iter().zip([1e-30f32, -3e-9, 1e-5]) {
            assert!((got / x - 1.0).abs() <= 3e-7, "{got} of {x}");
        }
    }

    #[test]
    fn an_element_has_the_same_bits_wherever_it_stands() {
        let all: Vec<f32> = (0..100).map(|k| (k as f32 - 50.0) / 9.0).collect();
        let mut together = all.clone();
        tanh(&mut together);
        for from in 0..40 {
            for to in from..=all.len() {
                let mut few = all[from..to].to_vec();
                tanh(&mut few);
                assert_eq!(few, together[from..to]);
            }
        }
    }
}
