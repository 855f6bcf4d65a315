//! Tensors mean the same in every form.

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::wire::{
    Numbers,
    view::{TensorView, Values},
};

proptest! {
    #[test]
    fn native_tensors_of_every_dtype_keep_their_values(
        f2 in vec(any::<u16>().prop_map(half::f16::from_bits), 1..20),
        f4 in vec(any::<f32>(), 1..20),
        f8 in vec(any::<f64>(), 1..20),
        u1 in vec(any::<u8>(), 1..20),
        i4 in vec(any::<i32>(), 1..20),
        i8 in vec(any::<i64>(), 1..20),
        b1 in vec(any::<bool>(), 1..20),
    ) {
        assert_kept("f2", &f2, |x| x.to_le_bytes().to_vec(), |x| x.to_f64());
        assert_kept("f4", &f4, |x| x.to_le_bytes().to_vec(), |x| f64::from(*x));
        assert_kept("f8", &f8, |x| x.to_le_bytes().to_vec(), |x| *x);
        assert_kept("u1", &u1, |x| vec![*x], |x| f64::from(*x));
        assert_kept("i4", &i4, |x| x.to_le_bytes().to_vec(), |x| f64::from(*x));
        assert_kept("i8", &i8, |x| x.to_le_bytes().to_vec(), |x| *x as f64);
        assert_kept("b1", &b1, |x| vec![u8::from(*x)], |x| f64::from(u8::from(*x)));
    }

    #[test]
    fn what_a_reply_holds_is_read_back_bit_by_bit(
        floats in vec(any::<u32>().prop_map(f32::from_bits), 6),
        integers in vec(any::<i32>().prop_map(i64::from), 6),
    ) {
        let shape = [3, 2];
        let sent = TensorView::new(&shape[..], Values::F4(&floats));
        let written = Encoding::MessagePack.write(&sent).unwrap();
        let read = tensor(&written);
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!((&read.shape[..], bits(&read.to_f32())), (&shape[..], bits(&floats)));
        let sent = TensorView::new(&shape[..], Values::I8(&integers));
        let written = Encoding::MessagePack.write(&sent).unwrap();
        let read: Vec<_> = tensor(&written).to_f64().iter().map(|x| *x as i64).collect();
        prop_assert_eq!(read, integers);
    }

    #[test]
    fn every_form_of_one_array_gives_the_same_rows(
        (shape, values) in arrays(),
        dtype in prop_oneof![Just(DType::F4), Just(DType::F8)],
    ) {
        let space = space(dtype, &[2, 3]);
        let expected = rows(Encoding::MessagePack, native("f4", &shape, le_bytes(&values)), &space);
        prop_assert_eq!(expected.single, shape.len() == 2);
        prop_assert_eq!(expected.count, shape[..shape.len() - 2].iter().product::<usize>());
        for (name, obs) in [
            ("list", nested(&shape, &values)),
            ("msgpack-numpy", msgpack_numpy(&shape, &values)),
            ("openpi", openpi(&shape, &values)),
        ] {
            prop_assert_eq!(&rows(Encoding::MessagePack, obs, &space), &expected, "{}", name);
        }
        // The JSON reader may be off by one unit in the last place of f64.
        if dtype == DType::F4 {
            let json = rows(Encoding::Json, nested(&shape, &values), &space);
            prop_assert_eq!(&json, &expected, "JSON");
        }
    }
}

/// One observation of shape (2, 3), or rows of it.
fn arrays() -> impl Strategy<Value = (Vec<usize>, Vec<f32>)> {
    let finite = any::<f32>().prop_filter("JSON has no others", |x| x.is_finite());
    (0..=MAX_ROWS).prop_flat_map(move |rows| {
        let shape = if rows == 0 { vec![2, 3] } else { vec![rows, 2, 3] };
        let values = vec(finite.clone(), shape.iter().product::<usize>());
        (Just(shape), values)
    })
}

/// What `msgpack_numpy.packb` makes of an array, version 0.4.8.
fn msgpack_numpy(shape: &[usize], values: &[f32]) -> Item {
    map_of_bytes([
        ("nd", Item::Bool(true)),
        ("type", Item::Text("<f4")),
        ("kind", Item::Bytes(vec![])),
        ("shape", sizes(shape)),
        ("data", Item::Bytes(le_bytes(values))),
    ])
}

fn openpi(shape: &[usize], values: &[f32]) -> Item {
    map_of_bytes([
        ("__ndarray__", Item::Bool(true)),
        ("data", Item::Bytes(le_bytes(values))),
        ("dtype", Item::Text("<f4")),
        ("shape", sizes(shape)),
    ])
}

fn rows(encoding: Encoding, obs: Item, space: &Space) -> Rows {
    let body = Bytes::from(body(encoding, &map([("obs", obs)])));
    let Rows { values, count, single } = read_rows(&body, space, None).unwrap();
    Rows { values: Numbers::Read(values.to_observations()), count, single }
}

fn assert_kept<T>(
    dtype: &'static str,
    values: &[T],
    bytes: impl Fn(&T) -> Vec<u8>,
    widened: impl Fn(&T) -> f64,
) {
    let item = native(dtype, &[values.len()], values.iter().flat_map(bytes).collect());
    let written = body(Encoding::MessagePack, &item);
    let tensor = tensor(&written);
    assert_eq!((tensor.shape.as_slice(), tensor.type_name()), (&[values.len()][..], dtype));
    let expected: Vec<f64> = values.iter().map(widened).collect();
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    for (got, expected) in tensor.to_f64().into_iter().zip(&expected) {
        assert!(same(got, *expected), "{dtype}: {got}, expected {expected}");
    }
    for (got, expected) in tensor.to_f32().into_iter().zip(&expected) {
        assert!(same(got.into(), (*expected as f32).into()), "{dtype}: {got} of {expected}");
    }
}

fn tensor(body: &[u8]) -> Tensor<'_> {
    Tensor::from_node(rmp_serde::from_slice::<Node>(body).unwrap(), "obs").unwrap()
}
