use candle_core::{DType, Tensor};

use super::*;
use crate::artifact::import::tests::{assert_says, fixture, zips::zipped};

fn tensors(name: &str) -> Vec<(String, Tensor)> {
    let file = TorchFile::open(&fixture(name)).unwrap();
    file.state_dict(file.root()).unwrap()
}

fn values(tensors: &[(String, Tensor)], name: &str) -> Vec<f64> {
    let (_, tensor) = tensors.iter().find(|(known, _)| known == name).unwrap();
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn views_come_out_as_they_look() {
    let tensors = tensors("tensors.pth");
    let counted = |numbers: &[u8]| numbers.iter().map(|n| f64::from(*n)).collect::<Vec<_>>();
    assert_eq!(values(&tensors, "f32"), counted(&[0, 1, 2, 3, 4, 5]));
    assert_eq!(values(&tensors, "view"), counted(&[4, 5, 6, 7, 8, 9]));
    assert_eq!(values(&tensors, "transposed")[..5], counted(&[0, 6, 12, 18, 1]));
    assert_eq!(values(&tensors, "permuted")[..7], counted(&[0, 4, 8, 12, 16, 20, 1]));
    assert_eq!(values(&tensors, "expanded"), [7.0; 6]);
    assert_eq!(values(&tensors, "empty"), [0.0; 0]);
    assert_eq!(values(&tensors, "scalar"), [5.0]);
    assert_eq!(values(&tensors, "parameter"), [1.0, 2.0]);
}

#[test]
fn every_type_of_storage_is_read() {
    let tensors = tensors("tensors.pth");
    let cases = [
        ("f64", DType::F64),
        ("f16", DType::F16),
        ("bf16", DType::BF16),
        ("u8", DType::I64),
        ("i8", DType::I64),
        ("i16", DType::I64),
        ("i32", DType::I64),
        ("i64", DType::I64),
    ];
    for (name, dtype) in cases {
        let (_, tensor) = tensors.iter().find(|(known, _)| known == name).unwrap();
        assert_eq!((tensor.dtype(), values(&tensors, name)), (dtype, vec![1.0, 2.0, 3.0]));
    }
    assert_eq!(values(&tensors, "bool"), [1.0, 0.0]);
    assert_eq!(values(&tensors, "negative"), [-1.0, -2.0]);
    assert_eq!(values(&tensors, "u16"), [1.0, 65535.0]);
}

#[test]
fn a_state_dict_keeps_its_order() {
    let tensors = tensors("network.pth");
    let names: Vec<_> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
}

/// A file whose pickle is this, with one storage of four floats.
fn file(pickle: &str) -> TorchFile {
    let storage = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let pickle = format!("{pickle}.").into_bytes();
    TorchFile::open(&zipped(&[("a/data.pkl", pickle), ("a/data/0", storage)])).unwrap()
}

const STORAGE: &str = "(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ";

/// A view on the storage.
fn view(offset: &str, shape: &str, strides: &str) -> String {
    let tail = "I00\nN";
    format!("ctorch._utils\n_rebuild_tensor_v2\n({STORAGE}{offset}({shape}t({strides}t{tail}tR")
}

fn read(pickle: &str) -> Result<Option<Tensor>> {
    let file = file(pickle);
    file.tensor(file.root())
}

#[test]
fn no_tensor_reaches_outside_of_its_storage() {
    let cases = [
        (view("I0\n", "I5\n", "I1\n"), "outside"),
        (view("I1\n", "I4\n", "I1\n"), "outside"),
        (view("I0\n", "I2\n", "I4\n"), "outside"),
        (view("I0\n", "I1000000000\n", "I0\n"), "limit"),
        (view("I0\n", "I1000000000\n", "I1\n"), "limit"),
        (view("I0\n", "I4000000000\nI4000000000\nI4000000000\n", "I0\nI0\nI0\n"), "limit"),
        (view("I0\n", "I2\n", "I-1\n"), "a stride, got the integer -1"),
        (view("I-1\n", "I2\n", "I1\n"), "an offset"),
        (view("I0\n", "I2\n", "I1\nI1\n"), "2 strides for 1 axes"),
        (view("I0\n", "I2\n", "L99999999999999999999999L\n"), "a stride"),
    ];
    for (pickle, word) in cases {
        assert_says(read(&pickle), &[word]);
    }
    let sound = read(&view("I1\n", "I2\n", "I2\n")).unwrap().unwrap();
    assert_eq!(sound.to_vec1::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn views_that_unfold_to_too_much_together_end() {
    let file = file(&view("I0\n", "I67108864\n", "I0\n"));
    file.elements.set(MAX_ELEMENTS - MAX_TENSOR_ELEMENTS + 1);
    assert_says(file.tensor(file.root()), &["all tensors together"]);
}

#[test]
fn a_storage_is_what_it_says() {
    let with = |storage: &str| view("I0\n", "I1\n", "I1\n").replace(STORAGE, storage);
    let cases = [
        (with("(Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI5\ntQ"), "has 16 bytes"),
        (with("(Vstorage\nctorch\nFloatStorage\nV../0\nVcpu\nI4\ntQ"), "is missing"),
        (with("(Vstorage\nctorch\nComplexFloatStorage\nV0\nVcpu\nI4\ntQ"), "ComplexFloatStorage"),
        (with("(Vstorage\ncos\nsystem\nV0\nVcpu\nI4\ntQ"), "os.system"),
        (with("(Vmodule\nctorch\nFloatStorage\nV0\nVcpu\nI4\ntQ"), "expected a storage"),
        (with("N"), "expected a storage, got None"),
    ];
    for (pickle, word) in cases {
        assert_says(read(&pickle), &[word]);
    }
}

#[test]
fn an_entry_that_is_no_tensor_is_named() {
    let tensor = view("I0\n", "I1\n", "I1\n");
    let cases = [
        ("Va\nI1\n".to_string(), "the entry a: expected a tensor, got the integer 1"),
        ("Va\ncos\nsystem\n(tR".to_string(), "the entry a: expected a tensor, got a call of os"),
        (format!("I1\n{tensor}"), "the name of a tensor, got the integer 1"),
        (format!("Va\n{tensor}Va\n{tensor}"), "two entries a"),
    ];
    for (entries, words) in cases {
        let file = file(&format!("}}({entries}u"));
        assert_says(file.state_dict(file.root()), &[words]);
    }
    let file = file(&format!("}}(V_metadata\nNVa\n{tensor}u"));
    assert_eq!(file.state_dict(file.root()).unwrap().len(), 1);
    assert_says(file.state_dict(file.root().get("_metadata").unwrap()), &["got None"]);
}

#[test]
fn other_formats_are_recognised() {
    let cases: [(&[u8], &str); 7] = [
        (b"", "empty"),
        (b"\x80\x04N.", "bare pickle"),
        (b"\x82\xa6params\x80", "flax"),
        (b"\xde\x00\x10", "flax"),
        (b"\x40\0\0\0\0\0\0\0{\"a\"", "safetensors"),
        (b"#!/bin/sh", "23 21 2f 62"),
        (b"PK\x03\x04", "not a zip archive"),
    ];
    for (bytes, word) in cases {
        assert_says(TorchFile::open(bytes), &[word]);
    }
    assert_says(TorchFile::open(&fixture("legacy.pth")), &["before 1.6", "torch.save"]);
}

#[test]
fn archives_of_others_are_told() {
    let none = || b"N.".to_vec();
    let cases = [
        (zipped(&[("data", vec![]), ("policy.pth", vec![])]), "among data, policy.pth"),
        (zipped(&[("a/data.pkl", none()), ("b/data.pkl", none())]), "a/data.pkl and b/data.pkl"),
        (zipped(&[("a/data.pkl", none()), ("a/byteorder", b"big".to_vec())]), "byte order"),
        (zipped(&[("a/data.pkl", b"R.".to_vec())]), "a/data.pkl: the pickle, at byte 0"),
    ];
    for (bytes, words) in cases {
        assert_says(TorchFile::open(&bytes), &[words]);
    }
}
