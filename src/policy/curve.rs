//! Functions of one number, over vectors of them.

use pulp::Simd;

/// A function of one number. An element's result depends on nothing but the element: neither its
/// place among the vectors nor the rest's length.
pub trait Curve: Copy {
    /// To be inlined always, as all that it calls: only so it has the instructions that are found at
    /// run time.
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s;
}

/// Of all elements, in place.
#[inline(always)]
pub fn over<S: Simd, C: Curve>(simd: S, curve: C, values: &mut [f32]) {
    let (vectors, rest) = S::as_mut_simd_f32s(values);
    for x in vectors {
        *x = curve.of(simd, *x);
    }
    if !rest.is_empty() {
        let last = curve.of(simd, simd.partial_load_f32s(rest));
        simd.partial_store_f32s(rest, last);
    }
}

#[inline(always)]
pub fn polynomial<S: Simd>(simd: S, coefficients: &[f32], x: S::f32s) -> S::f32s {
    let mut sum = simd.splat_f32s(coefficients[0]);
    for next in &coefficients[1..] {
        sum = simd.mul_add_e_f32s(sum, x, simd.splat_f32s(*next));
    }
    sum
}

/// `slope * x` below 0, and `x` from there on.
#[derive(Clone, Copy)]
pub struct Bent {
    pub slope: f32,
}

impl Curve for Bent {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let below = simd.less_than_f32s(x, simd.splat_f32s(0.0));
        simd.select_f32s(below, simd.mul_f32s(simd.splat_f32s(self.slope), x), x)
    }
}

/// `max(x, 0)`, but NaN stays NaN, and an infinity below 0 becomes 0.
#[derive(Clone, Copy)]
pub struct Positive;

impl Curve for Positive {
    #[inline(always)]
    fn of<S: Simd>(self, simd: S, x: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use pulp::{Arch, WithSimd};

    struct Over<'a, C>(C, &'a mut [f32]);

    impl<C: Curve> WithSimd for Over<'_, C> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            over(simd, self.0, self.1);
        }
    }

    /// With the instructions of this machine.
    pub fn apply(curve: impl Curve, values: &mut [f32]) {
        Arch::new().dispatch(Over(curve, values));
    }

    /// Numbers of all sizes, both signs and all that is special.
    pub fn numbers() -> Vec<f32> {
        let bits = (0..=0x7f80_0000u32).step_by(9973).map(f32::from_bits);
        let positive: Vec<f32> = bits.chain((0..4000).map(|k| k as f32 / 256.0)).collect();
        let negative = positive.iter().map(|x| -x);
        let special = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        negative.chain(positive.iter().copied()).chain(special).collect()
    }

    /// Within `most`, of the number itself where that is larger than 1.
    pub fn assert_near(curve: impl Curve, expected: fn(f64) -> f64, most: f64) {
        let mut values = numbers();
        apply(curve, &mut values);
        for (x, got) in numbers().into_iter().zip(values) {
            let (got, expected) = (f64::from(got), expected(f64::from(x)));
            let near = (got - expected).abs() <= most * expected.abs().max(1.0);
            let same = got == expected || got.is_nan() && expected.is_nan();
            assert!(near || same, "of {x}: {got}, expected {expected}");
        }
    }

    #[test]
    fn an_element_has_the_same_bits_wherever_it_stands() {
        let all: Vec<f32> = (0..100).map(|k| (k as f32 - 50.0) / 9.0).collect();
        let mut together = all.clone();
        apply(super::super::squash::Tanh, &mut together);
        for from in 0..40 {
            for to in from..=all.len() {
                let mut few = all[from..to].to_vec();
                apply(super::super::squash::Tanh, &mut few);
                assert_eq!(few, together[from..to]);
            }
        }
    }
}
