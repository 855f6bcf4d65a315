//! tanh and the logistic function of many numbers at once, on the CPU.
//!
//! The standard library's tanh takes some ten nanoseconds for each element, which is more than the
//! products around it. Here it is a quotient of two polynomials (of degree 13 and 6, the minimax
//! coefficients that Eigen uses), exact to a few units in the last place.

use pulp::Simd;

use super::curve::{Curve, polynomial};

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

/// tanh.
#[derive(Clone, Copy)]
pub struct Tanh;

/// `1 / (1 + exp(-x))`: a tanh of half the size, moved up.
#[derive(Clone, Copy)]
pub struct Logistic;

impl Curve for Tanh {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        tanh(simd, x)
    }
}

impl Curve for Logistic {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let half = simd.splat_f32s(0.5);
        simd.mul_add_e_f32s(half, tanh(simd, simd.mul_f32s(half, x)), half)
    }
}

#[inline(always)]
fn tanh<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let low = simd.min_f32s(simd.splat_f32s(SATURATED), x);
    let bounded = simd.max_f32s(simd.splat_f32s(-SATURATED), low);
    let square = simd.mul_f32s(bounded, bounded);
    let above = simd.mul_f32s(bounded, polynomial(simd, &NUMERATOR, square));
    let quotient = simd.div_f32s(above, polynomial(simd, &DENOMINATOR, square));
    // Of NaN the bounds would make a number.
    simd.select_f32s(simd.equal_f32s(x, x), quotient, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::curve::tests::{apply, assert_near, numbers};

    #[test]
    fn both_are_right_to_a_few_units_in_the_last_place_and_keep_nan() {
        assert_near(Tanh, f64::tanh, 3e-7);
        assert_near(Logistic, |x| 1.0 / (1.0 + (-x).exp()), 3e-7);
    }

    #[test]
    fn they_stay_within_their_bounds_and_small_numbers_stay_themselves() {
        let mut values = numbers();
        apply(Tanh, &mut values);
        assert!(values.iter().all(|y| y.is_nan() || y.abs() <= 1.0));
        let mut small = [1e-30, -3e-9, 1e-5];
        apply(Tanh, &mut small);
        for (got, x) in small.into_iter().zip([1e-30f32, -3e-9, 1e-5]) {
            assert!((got / x - 1.0).abs() <= 3e-7, "{got} of {x}");
        }
    }
}
