use super::*;

#[test]
fn a_changed_byte_is_found() {
    for file in [WEIGHTS_FILE, GOLDEN_FILE] {
        let scratch = Scratch::tiny();
        let mut bytes = fs::read(scratch.file(file)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(scratch.file(file), bytes).unwrap();
        scratch.assert_refused(file, &["SHA-256", "the card says", "changed or cut short"]);
    }
}

#[test]
fn a_file_cut_short_is_found() {
    for file in [WEIGHTS_FILE, GOLDEN_FILE] {
        let scratch = Scratch::tiny();
        let bytes = fs::read(scratch.file(file)).unwrap();
        fs::write(scratch.file(file), &bytes[..bytes.len() - 1]).unwrap();
        scratch.assert_refused(file, &["cut short"]);
        // Even if the digest was taken of what was left.
        scratch.replace(file, &bytes[..bytes.len() - 1]);
        scratch.assert_refused(file, &[]);
    }
}

#[test]
fn a_missing_file_is_named() {
    for file in [CARD_FILE, WEIGHTS_FILE, GOLDEN_FILE] {
        let scratch = Scratch::tiny();
        fs::remove_file(scratch.file(file)).unwrap();
        scratch.assert_refused(file, &["No such file"]);
    }
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    let scratch = Scratch::tiny();
    fs::remove_file(scratch.file(GOLDEN_FILE)).unwrap();
    fs::create_dir(scratch.file(GOLDEN_FILE)).unwrap();
    scratch.assert_refused(GOLDEN_FILE, &["not a regular file"]);
}

#[test]
fn the_card_names_plain_files_only() {
    for name in ["../secret", "/etc/hostname", "sub/file", "..", ".", ""] {
        let scratch = Scratch::tiny();
        fs::write(scratch.root.path().join("tiny/secret"), "x").unwrap();
        scratch.edit_card(|card| {
            card.files.insert(name.into(), digest(b"x"));
        });
        scratch.assert_refused(CARD_FILE, &[&format!("{name:?}"), "plain file name"]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_may_not_lead_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::tiny();
    let (inside, outside) =
        (scratch.file("data.safetensors"), scratch.root.path().join("elsewhere"));
    fs::rename(scratch.file(WEIGHTS_FILE), &inside).unwrap();
    symlink(&inside, scratch.file(WEIGHTS_FILE)).unwrap();
    assert_eq!(verify(&scratch.folder), Ok(()));
    fs::rename(&inside, &outside).unwrap();
    fs::remove_file(scratch.file(WEIGHTS_FILE)).unwrap();
    symlink(&outside, scratch.file(WEIGHTS_FILE)).unwrap();
    scratch.assert_refused(WEIGHTS_FILE, &["leads out of the folder", "elsewhere"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_and_not_waited_for() {
    let scratch = Scratch::tiny();
    fs::remove_file(scratch.file(WEIGHTS_FILE)).unwrap();
    let made = std::process::Command::new("mkfifo").arg(scratch.file(WEIGHTS_FILE)).status();
    assert!(made.unwrap().success());
    scratch.assert_refused(WEIGHTS_FILE, &["not a regular file"]);
}

#[test]
fn weights_must_be_the_tensors_of_the_cards_network() {
    type Edit = fn(&mut HashMap<String, Tensor>);
    let cases: [(Edit, &[&str]); 7] = [
        (|t| drop(t.remove("policy.1.bias")), &["policy.1.bias", "[8]", "missing"]),
        (|t| drop(t.remove("log_std")), &["log_std", "[3]", "missing"]),
        (|t| put(t, "policy.2.bias", &[0.0]), &["policy.2.bias", "no place"]),
        (|t| put(t, "action.bias", &[0.0; 2]), &["action.bias", "shape [2]", "expected [3]"]),
        (|t| put(t, "action.bias", &[0.0, f32::NAN, 0.0]), &["action.bias", "element 1 is NaN"]),
        (|t| put(t, "log_std", &[0.0, 0.0, f32::INFINITY]), &["log_std", "element 2 is inf"]),
        (|t| put(t, "observation.var", &[-1.0; 6]), &["observation.var", "element 0 is -1"]),
    ];
    for (edit, parts) in cases {
        let scratch = Scratch::tiny();
        scratch.edit_tensors(WEIGHTS_FILE, edit);
        scratch.assert_refused(WEIGHTS_FILE, parts);
        assert_eq!(scratch.refusal().lines().count(), 1, "{}", scratch.refusal());
    }
}

#[test]
fn transposed_weights_are_refused_where_the_shape_tells() {
    let scratch = Scratch::tiny();
    scratch.edit_tensors(WEIGHTS_FILE, |tensors| {
        let transposed = tensors["action.weight"].t().unwrap().contiguous().unwrap();
        tensors.insert("action.weight".into(), transposed);
    });
    scratch.assert_refused(WEIGHTS_FILE, &["action.weight", "[8, 3]", "expected [3, 8]"]);
}

#[test]
fn what_is_no_safetensors_file_is_refused() {
    let claim = |length: u64| length.to_le_bytes().to_vec();
    let empty = [&claim(2)[..], b"{}"].concat();
    let pickle = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}.".to_vec();
    let overlapping =
        br#"{"a":{"dtype":"F32","shape":[4000000000,4000000000],"data_offsets":[0,8]}}"#;
    let overlapping = [&claim(overlapping.len() as u64)[..], overlapping, &[0; 8]].concat();
    let bodies = [
        vec![],
        b"weights".to_vec(),
        pickle,
        empty,
        overlapping,
        [claim(100_000_000), vec![b'{'; 64]].concat(),
        [claim(100_000_001), vec![b'{'; 64]].concat(),
        [claim(u64::MAX), vec![b'{'; 64]].concat(),
    ];
    for file in [WEIGHTS_FILE, GOLDEN_FILE] {
        for body in &bodies {
            let scratch = Scratch::tiny();
            scratch.replace(file, body);
            scratch.assert_refused(file, &[]);
        }
    }
}

#[test]
fn outputs_of_another_network_are_not_golden() {
    let scratch = Scratch::tiny();
    scratch.edit_tensors(WEIGHTS_FILE, |tensors| {
        let weight = (&tensors["policy.0.weight"] * 1.01).unwrap();
        tensors.insert("policy.0.weight".into(), weight);
    });
    scratch.assert_refused(GOLDEN_FILE, &["golden outputs", "head[", "expected", "within 0.0001"]);
}

#[test]
fn a_wrong_value_branch_is_not_golden() {
    let scratch = Scratch::tiny();
    scratch.edit_tensors(WEIGHTS_FILE, |tensors| {
        let weight = (&tensors["value.weight"] * 1.01).unwrap();
        tensors.insert("value.weight".into(), weight);
    });
    scratch.assert_refused(GOLDEN_FILE, &["golden outputs", "value["]);
}

#[test]
fn golden_tensors_must_fit_the_card() {
    type Edit = fn(&mut HashMap<String, Tensor>);
    let cases: [(Edit, &[&str]); 6] = [
        (|t| drop(t.remove("observations")), &["observations has no rows"]),
        (|t| drop(t.remove("value")), &["value", "missing"]),
        (|t| put(t, "value", &[0.0; 7]), &["value has shape [7], expected [8]"]),
        (|t| put(t, "head", &[0.0; 24]), &["head has shape [24], expected [8, 3]"]),
        (|t| put(t, "extra", &[0.0]), &["extra", "no place"]),
        (|t| put(t, "value", &[f32::NAN; 8]), &["value", "not finite"]),
    ];
    for (edit, parts) in cases {
        let scratch = Scratch::tiny();
        scratch.edit_tensors(GOLDEN_FILE, edit);
        scratch.assert_refused(GOLDEN_FILE, parts);
    }
}

#[test]
fn golden_observations_without_rows_prove_nothing() {
    let scratch = Scratch::tiny();
    scratch.edit_tensors(GOLDEN_FILE, |tensors| {
        for (name, shape) in [("observations", &[0, 6][..]), ("head", &[0, 3]), ("value", &[0])] {
            tensors.insert(name.into(), tiny::wave(0, shape));
        }
    });
    scratch.assert_refused(GOLDEN_FILE, &["no rows"]);
}

fn put(tensors: &mut HashMap<String, Tensor>, name: &str, values: &[f32]) {
    let tensor = Tensor::new(values, &candle_core::Device::Cpu).unwrap();
    tensors.insert(name.into(), tensor);
}
