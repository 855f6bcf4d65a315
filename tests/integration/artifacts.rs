//! `carla-rl artifacts`, as a person at a terminal meets it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::tiny;
use carla_rl::artifact::{WEIGHTS_FILE, create};

#[test]
fn a_sound_artifact_verifies_and_a_changed_one_is_refused_as_configuration() {
    let root = tempfile::tempdir().unwrap();
    let folder = create(root.path(), tiny::draft()).unwrap().folder;
    let sound = verify(&folder);
    assert!(sound.status.success(), "{sound:?}");
    assert!(text(&sound.stdout).contains("tiny 0.1.0"), "{sound:?}");
    let weights = folder.join(WEIGHTS_FILE);
    let mut bytes = fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&weights, bytes).unwrap();
    let changed = verify(&folder);
    assert_eq!(changed.status.code(), Some(78), "{changed:?}");
    assert!(text(&changed.stderr).contains(&weights.display().to_string()), "{changed:?}");
}

#[test]
fn a_store_is_listed_by_name() {
    let root = tempfile::tempdir().unwrap();
    for draft in [tiny::draft(), tiny::discrete_draft()] {
        create(root.path(), draft).unwrap();
    }
    let listed = artifacts(&["list", "--json", "--artifacts", &root.path().display().to_string()]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let names: Vec<_> = listed.as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["tiny", "tiny-discrete"]);
}

fn verify(folder: &Path) -> Output {
    artifacts(&["verify", &folder.display().to_string()])
}

fn artifacts(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carla-rl"));
    command.arg("artifacts").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
