use super::*;
use crate::{
    policy::spec::{Head, Lstm, Normalize, Postprocess, ValueMemory},
    wire::{DType, Space, space::Bound},
};

#[test]
fn a_card_that_is_no_card_is_refused() {
    for text in ["", "just text", "a: [1", "- 1\n- 2\n", "name: tiny\n", "\u{0}", "name: &a [*a]"] {
        let scratch = Scratch::tiny();
        fs::write(scratch.file(CARD_FILE), text).unwrap();
        scratch.assert_refused(CARD_FILE, &["not a model card"]);
    }
    let scratch = Scratch::tiny();
    fs::write(scratch.file(CARD_FILE), [0xff, 0xfe]).unwrap();
    scratch.assert_refused(CARD_FILE, &["not UTF-8"]);
    fs::write(scratch.file(CARD_FILE), vec![b'#'; (1 << 20) + 1]).unwrap();
    scratch.assert_refused(CARD_FILE, &["larger than 1048576 bytes"]);
}

#[test]
fn a_key_that_nobody_knows_is_named_with_its_line() {
    for (from, to, key) in [
        ("name: ", "colour: red\nname: ", "colour"),
        ("  network:\n", "  netwrok: 1\n  network:\n", "netwrok"),
        ("  normalize:\n", "  normalize:\n    sigma: 1\n", "sigma"),
    ] {
        let scratch = Scratch::tiny();
        scratch.edit_card_text(from, to);
        scratch.assert_refused(CARD_FILE, &[key, "line"]);
    }
}

#[test]
fn a_missing_or_mistyped_key_is_named() {
    for (from, to, part) in [
        ("schema: 1\n", "", "schema"),
        ("schema: 1\n", "schema: one\n", "schema"),
        ("version: \"0.1.0\"", "version: 0.1", "version"),
        ("activation: tanh", "activation: swish", "swish"),
        ("type: diagonal_gaussian", "type: gaussian_mixture", "gaussian_mixture"),
        ("dtype: f4", "dtype: float32", "float32"),
    ] {
        let scratch = Scratch::tiny();
        scratch.edit_card_text(from, to);
        scratch.assert_refused(CARD_FILE, &["not a model card", part]);
    }
}

#[test]
fn what_a_card_says_must_fit_together() {
    type Edit = fn(&mut Card);
    let cases: [(Edit, &[&str]); 16] = [
        (|c| c.schema = 2, &["schema is 2", "reads 1"]),
        (|c| c.name = "two words".into(), &["\"two words\"", "letters, digits, - and _"]),
        (|c| c.name = "tiny.v1".into(), &["\"tiny.v1\""]),
        (|c| c.name = String::new(), &["name is \"\""]),
        (|c| drop(c.files.remove(GOLDEN_FILE)), &["no digest for golden.safetensors"]),
        (|c| drop(c.files.remove(WEIGHTS_FILE)), &["no digest for model.safetensors"]),
        (
            |c| c.observation_features = strings(&["speed"; 7]),
            &["observation_features", "7 features", "6 elements"],
        ),
        (|c| c.observation_features = strings(&["speed"; 5]), &["5 features", "6 elements"]),
        (|c| c.observation_features = strings(&["sensors"; 2]), &["2 of them sensors"]),
        (|c| c.action_names = strings(&["steer"]), &["1 actions", "box", "3 elements"]),
        (|c| c.policy.network.policy.push(0), &["policy.network", "width 0"]),
        (|c| normalize(c, -1.0, 10.0), &["policy.normalize", "-1"]),
        (|c| normalize(c, 1e-8, f64::NAN), &["policy.normalize", "NaN"]),
        (
            |c| c.policy.head = Head::Categorical { masked: false },
            &["policy.head", "box", "categorical"],
        ),
        (|c| bound(c, 1.0, -1.0), &["policy.action_space", "low[0]", "high[0]"]),
        (
            |c| {
                bound(c, f64::NEG_INFINITY, 1.0);
                c.policy.postprocess = Postprocess::Rescale;
            },
            &["policy.postprocess", "finite bounds", "element 0"],
        ),
    ];
    for (edit, parts) in cases {
        let scratch = Scratch::tiny();
        scratch.edit_card(edit);
        scratch.assert_refused(CARD_FILE, parts);
    }
}

#[test]
fn spaces_that_no_head_can_serve_are_refused() {
    let unsupported = [
        Space::MultiDiscrete { nvec: vec![2, 3] },
        Space::MultiBinary { shape: vec![4] },
        Space::Discrete { n: 4, start: 0 },
        boxed(DType::I8, vec![3]),
    ];
    for space in unsupported {
        let name = space.name();
        let scratch = Scratch::tiny();
        scratch.edit_card(|card| {
            card.policy.action_space = space;
            card.action_names = None;
        });
        scratch.assert_refused(CARD_FILE, &["policy.head", name]);
    }
}

#[test]
fn names_that_hide_a_memory_or_name_no_box_are_refused() {
    let scratch = Scratch::tiny();
    scratch.edit_card(|card| {
        let lstm = Lstm { size: 4, layers: 1, value: ValueMemory::Own };
        card.policy.network.lstm = Some(lstm);
    });
    scratch.assert_refused(CARD_FILE, &["observation_features", "recurrent"]);
    let scratch = Scratch::tiny();
    scratch.edit_card(|card| {
        card.policy.observation_space = Space::MultiBinary { shape: vec![6] };
    });
    scratch.assert_refused(CARD_FILE, &["observation_features", "multi_binary"]);
}

#[test]
fn dicts_without_spaces_within_dicts_and_with_a_name_twice_are_refused() {
    let part = || boxed(DType::F4, vec![3]);
    let inner = Space::Dict { spaces: vec![("at".into(), part())] };
    for (spaces, said) in [
        (vec![], "without spaces"),
        (vec![("inner".to_string(), inner)], "policy.observation_space.inner"),
        (vec![("at".to_string(), part()), ("at".to_string(), part())], "at is there twice"),
    ] {
        let scratch = Scratch::tiny();
        scratch.edit_card(|card| card.policy.observation_space = Space::Dict { spaces });
        scratch.assert_refused(CARD_FILE, &["policy.observation_space", said]);
    }
}

#[test]
fn spaces_of_odd_sizes_are_refused_and_do_not_overflow() {
    for (n, said) in [(0, "n is 0"), (1 << 40, "1 to 65535")] {
        let scratch = Scratch::tiny();
        scratch.edit_card(|card| {
            card.action_names = None;
            card.policy.head = Head::Categorical { masked: false };
            card.policy.action_space = Space::Discrete { n, start: 0 };
        });
        scratch.assert_refused(CARD_FILE, &["policy.action_space", said]);
    }
    for shape in [vec![0], vec![1 << 40, 1 << 40], vec![1 << 40]] {
        let scratch = Scratch::tiny();
        scratch.edit_card(|card| card.policy.observation_space = boxed(DType::F4, shape));
        scratch.assert_refused(CARD_FILE, &["policy.observation_space"]);
    }
    let scratch = Scratch::tiny();
    scratch.edit_card(|card| {
        let Space::Box { low, .. } = &mut card.policy.action_space else { panic!("no box") };
        *low = Bound::Each(vec![0.0; 2]);
    });
    scratch.assert_refused(CARD_FILE, &["policy.action_space: low", "3 of them"]);
}

fn strings(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(ToString::to_string).collect())
}

fn normalize(card: &mut Card, epsilon: f64, clip: f64) {
    card.policy.normalize = Some(Normalize { epsilon, clip, keys: None, clip_inputs: false });
}

fn bound(card: &mut Card, to_low: f64, to_high: f64) {
    let Space::Box { low, high, .. } = &mut card.policy.action_space else { panic!("no box") };
    (*low, *high) = (Bound::Uniform(to_low), Bound::Uniform(to_high));
}

fn boxed(dtype: DType, shape: Vec<usize>) -> Space {
    Space::Box { dtype, shape, low: Bound::Uniform(0.0), high: Bound::Uniform(1.0) }
}
