//! numpy's own pickles, of every protocol.

use candle_core::DType;

use super::*;
use crate::artifact::import::{
    Value,
    numpy::{Array, array, element, integer, number, tensor},
};

fn entry<'a>(pickle: &'a Pickle, name: &str) -> Value<'a> {
    pickle.root().get(name).unwrap()
}

fn numbers(pickle: &Pickle, name: &str) -> Array {
    array(entry(pickle, name)).unwrap().unwrap()
}

#[test]
fn arrays_of_every_protocol_are_read() {
    let cases: [(&str, &[usize], &[f64]); 8] = [
        ("c", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("fortran", &[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
        ("big", &[2], &[1.0, 2.0]),
        ("bool", &[2], &[1.0, 0.0]),
        ("empty", &[0, 2], &[]),
        ("u2", &[1], &[65535.0]),
        ("i1", &[1], &[-3.0]),
        ("half", &[1], &[1.5]),
    ];
    for protocol in 0..=5 {
        let pickle = pickle(&format!("arrays.p{protocol}.pkl"));
        for (name, shape, values) in cases {
            let got = numbers(&pickle, name);
            assert_eq!((got.shape.as_slice(), got.values.as_slice()), (shape, values), "{name}");
        }
        assert_eq!(number(entry(&pickle, "scalar")), Some(0.5));
        assert_eq!(integer(entry(&pickle, "integer")), Some(7));
        assert_eq!(integer(entry(&pickle, "scalar")), None);
    }
}

#[test]
fn weights_keep_their_precision() {
    let pickle = pickle("arrays.p5.pkl");
    let dtype = |name| tensor(entry(&pickle, name)).unwrap().unwrap().dtype();
    let dtypes = ["c", "fortran", "half", "bool", "u2"].map(dtype);
    assert_eq!(dtypes, [DType::F32, DType::F64, DType::F16, DType::U8, DType::I64]);
    let fortran = tensor(entry(&pickle, "fortran")).unwrap().unwrap();
    let rows = fortran.to_vec2::<f64>().unwrap();
    assert_eq!(rows, [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]);
}

#[test]
fn what_is_no_array_is_none() {
    let pickle = Pickle::read(b"cos\nsystem\n(tR.").unwrap();
    assert_eq!(array(pickle.root()).unwrap(), None);
    assert_eq!(element(pickle.root()).unwrap(), None);
}

/// An array with these arguments of `_frombuffer`.
fn from_buffer(arguments: &str) -> Pickle {
    let bytes = format!("cnumpy.core.numeric\n_frombuffer\n({arguments}tR.");
    Pickle::read(bytes.as_bytes()).unwrap()
}

#[test]
fn arrays_that_contradict_themselves_are_errors() {
    let f4 = "cnumpy\ndtype\n(Vf4\nI00\nI01\ntR";
    let cases = [
        (format!("C\x04abcd{f4}(I1000000000\ntVC\n"), "limit"),
        (format!("C\x04abcd{f4}(I2\ntVC\n"), "1 elements for the shape [2]"),
        (format!("C\x04abcd{f4}(I-1\ntVC\n"), "a size"),
        (format!("C\x03abc{f4}(I1\ntVC\n"), "3 bytes"),
        (format!("C\x04abcd{f4}(I1\ntVZ\n"), "order"),
        (format!("N{f4}(I1\ntVC\n"), "got None"),
        (format!("C\x04abcd{f4}(I0\nL9223372036854775807L\ntVC\n"), "limit"),
        ("C\x04abcdcnumpy\ndtype\n(VO8\ntR(I1\ntVC\n".into(), "O8"),
        ("C\x04abcdcos\nsystem\n(I1\ntVC\n".into(), "os.system"),
    ];
    for (arguments, word) in cases {
        let pickle = from_buffer(&arguments);
        assert_says(array(pickle.root()), &[word]);
        assert_says(tensor(pickle.root()), &[word]);
    }
}
