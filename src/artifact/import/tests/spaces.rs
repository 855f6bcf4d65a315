//! Spaces as Gymnasium pickles them, and as Gym did.

use super::*;
use crate::{
    artifact::import::spaces::read,
    wire::{DType, Space, space::Bound},
};

fn box_of(dtype: DType, shape: &[usize], low: Bound, high: Bound) -> Space {
    Space::Box { dtype, shape: shape.to_vec(), low, high }
}

#[test]
fn a_seeded_dict_is_read_in_every_protocol() {
    let each = |bounds: &[f64]| Bound::Each(bounds.to_vec());
    let image = box_of(DType::U1, &[2, 2, 1], Bound::Uniform(0.0), Bound::Uniform(255.0));
    let expected = vec![
        ("speed".into(), box_of(DType::F4, &[2], each(&[-1.0, -2.0]), each(&[1.0, 2.0]))),
        ("image".into(), image),
        ("gear".into(), Space::Discrete { n: 5, start: -1 }),
        ("lights".into(), Space::MultiBinary { shape: vec![3] }),
        ("switches".into(), Space::MultiDiscrete { nvec: vec![3, 2] }),
    ];
    for protocol in 0..=5 {
        let pickle = pickle(&format!("spaces.p{protocol}.pkl"));
        assert_eq!(read(pickle.root()), Ok(Space::Dict { spaces: expected.clone() }));
    }
}

/// An object of a class of gym, with this state.
fn gym(class: &str, state: &str) -> Pickle {
    let bytes = format!("(cgym.spaces.{class}\no}}({state}ub.");
    Pickle::read(bytes.as_bytes()).unwrap()
}

#[test]
fn spaces_of_gym_are_read() {
    let discrete = gym("discrete\nDiscrete", "Vn\nI3\nVdtype\nN");
    assert_eq!(read(discrete.root()), Ok(Space::Discrete { n: 3, start: 0 }));
    let shaped = gym("multi_binary\nMultiBinary", "Vn\n(I2\nI3\nt");
    assert_eq!(read(shaped.root()), Ok(Space::MultiBinary { shape: vec![2, 3] }));
    let listed = gym("multi_discrete\nMultiDiscrete", "Vnvec\n(I2\nI3\nl");
    assert_eq!(read(listed.root()), Ok(Space::MultiDiscrete { nvec: vec![2, 3] }));
}

#[test]
fn an_old_box_has_no_dtype_but_that_of_its_bounds() {
    let array = "cnumpy.core.numeric\n_frombuffer\n(S'\\0\\0\\x80\\x3f'\ncnumpy\ndtype\n(Vf4\ntR(I1\ntVC\ntR";
    let pickle = gym("box\nBox", &format!("Vshape\n(I1\ntVlow\n{array}Vhigh\n{array}"));
    let expected = box_of(DType::F4, &[1], Bound::Uniform(1.0), Bound::Uniform(1.0));
    assert_eq!(read(pickle.root()), Ok(expected));
}

#[test]
fn what_the_wire_has_not_is_told() {
    let u2 = "cnumpy.core.numeric\n_frombuffer\n(S'\\0\\0'\ncnumpy\ndtype\n(Vu2\ntR(I1\ntVC\ntR";
    let cases = [
        (gym("tuple\nTuple", "Vspaces\n)"), "gym.spaces.tuple.Tuple"),
        (gym("text\nText", ""), "gym.spaces.text.Text"),
        (gym("discrete\nDiscrete", "Vn\nI0\n"), "a number of choices, got the integer 0"),
        (gym("discrete\nDiscrete", ""), "the attribute n is missing"),
        (gym("multi_discrete\nMultiDiscrete", "Vnvec\n(I2\nlVstart\n(I1\nl"), "start at 0"),
        (gym("multi_discrete\nMultiDiscrete", "Vnvec\n(I0\nl"), "without choices"),
        (gym("multi_binary\nMultiBinary", "Vn\nI-1\n"), "a size, got the integer -1"),
        (gym("box\nBox", &format!("V_shape\n(I1\ntVlow\n{u2}Vhigh\n{u2}")), "dtype u2"),
        (gym("box\nBox", &format!("V_shape\n(I2\ntVlow\n{u2}Vhigh\n{u2}")), "of shape [2]"),
        (gym("dict\nDict", "Vspaces\n}(Va\ncos\nsystem\n(tRu"), "the space a: "),
    ];
    for (pickle, words) in cases {
        assert_says(read(pickle.root()), &[words]);
    }
}

#[test]
fn a_multi_discrete_of_two_axes_is_refused() {
    let nvec =
        "cnumpy.core.numeric\n_frombuffer\n(S'\\2\\2'\ncnumpy\ndtype\n(Vi1\ntR(I1\nI2\ntVC\ntR";
    let pickle = gym("multi_discrete\nMultiDiscrete", &format!("Vnvec\n{nvec}"));
    assert_says(read(pickle.root()), &["shape [1, 2]", "one axis"]);
}

#[test]
fn a_dict_in_itself_and_a_dict_of_many_end() {
    let cyclic = Pickle::read(b"(cgym.spaces.dict\nDict\noq\0}(Vspaces\n}(Va\nh\0uub.").unwrap();
    assert_says(read(cyclic.root()), &["nested more than"]);
    let leaf = "(cgym.spaces.discrete\nDiscrete\no}(Vn\nI2\nubp0\n0";
    let entries: String = (0..300).map(|index| format!("V{index}\ng0\n")).collect();
    let wide = format!("{leaf}(cgym.spaces.dict\nDict\no}}(Vspaces\n}}({entries}uub.");
    assert_says(read(Pickle::read(wide.as_bytes()).unwrap().root()), &["more than 256 spaces"]);
}
