use super::*;
use crate::artifact::store::{EXAMPLE, list, select};

#[test]
fn the_example_is_listed_first_then_names_and_the_highest_version_of_each() {
    let root = tempfile::tempdir().unwrap();
    for (name, version) in [
        ("zebra", "0.1.0"),
        ("ant", "0.9.0"),
        ("ant", "0.10.0"),
        (EXAMPLE, "0.1.0"),
        ("ant", "1.0.0-rc.1"),
    ] {
        add(root.path(), name, version);
    }
    let listed = list(root.path()).unwrap();
    let names: Vec<_> = listed.iter().map(|a| format!("{} {}", a.name, a.version)).collect();
    let example = format!("{EXAMPLE} 0.1.0");
    assert_eq!(names, [&example, "ant 1.0.0-rc.1", "ant 0.10.0", "ant 0.9.0", "zebra 0.1.0"]);
    let artifact = Artifact::open(&listed[1].path).unwrap();
    assert_eq!(listed[1].weights, artifact.weights());
}

#[test]
fn a_selection_means_one_version() {
    let root = store(&["0.9.0", "0.10.0", "1.0.0-rc.1"]);
    for (selection, version) in [
        ("latest", "1.0.0-rc.1"),
        ("latest-stable", "0.10.0"),
        ("0.9.0", "0.9.0"),
        ("v0.9.0", "0.9.0"),
        ("^0.9", "0.9.0"),
        ("<0.10", "0.9.0"),
    ] {
        assert_eq!(chosen(root.path(), selection), Ok(version.into()), "{selection}");
    }
}

#[test]
fn what_is_not_there_is_an_error_that_lists_what_is() {
    let root = store(&["0.9.0", "0.10.0"]);
    for selection in ["0.9.1", "^2", "1.0.0"] {
        let refusal = chosen(root.path(), selection).unwrap_err();
        assert!(refusal.contains("model.version"), "{refusal}");
        assert!(refusal.ends_with("there are: 0.10.0, 0.9.0"), "{refusal}");
    }
    let refusal = select(root.path(), "big", &"latest".parse().unwrap()).unwrap_err().to_string();
    assert!(refusal.contains("\"big\" (model.name), there are: tiny"), "{refusal}");
}

#[test]
fn without_a_stable_version_latest_stable_is_an_error() {
    let root = store(&["0.1.0-rc.1"]);
    let refusal = chosen(root.path(), "latest-stable").unwrap_err();
    assert!(refusal.ends_with("there are: 0.1.0-rc.1"), "{refusal}");
}

#[test]
fn a_root_that_is_not_there_is_an_error_and_an_empty_one_has_no_models() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(list(root.path()), Ok(vec![]));
    assert!(chosen(root.path(), "latest").unwrap_err().ends_with("there are: none"));
    let missing = root.path().join("nowhere");
    let refusal = list(&missing).unwrap_err().to_string();
    assert!(refusal.starts_with(&missing.display().to_string()), "{refusal}");
}

#[test]
fn a_folder_must_be_called_as_its_card_says() {
    for (from, to) in [("tiny/0.1.0", "tiny/0.2.0"), ("tiny", "huge")] {
        let root = store(&["0.1.0"]);
        fs::rename(root.path().join(from), root.path().join(to)).unwrap();
        let model = if to == "huge" { "huge" } else { "tiny" };
        let refusal =
            select(root.path(), model, &"latest".parse().unwrap()).unwrap_err().to_string();
        assert!(refusal.contains("the card is of tiny 0.1.0, its folder says"), "{refusal}");
        assert!(list(root.path()).is_err());
    }
}

#[test]
fn what_is_still_being_written_and_what_is_no_artifact_are_passed_over() {
    let root = store(&["0.1.0"]);
    let model = root.path().join("tiny");
    fs::create_dir(model.join("0.3.0.partial")).unwrap();
    fs::copy(model.join("0.1.0").join(CARD_FILE), model.join("0.3.0.partial").join(CARD_FILE))
        .unwrap();
    fs::create_dir(model.join("notes")).unwrap();
    fs::write(root.path().join("README.md"), "x").unwrap();
    assert_eq!(list(root.path()).unwrap().len(), 1);
    assert_eq!(chosen(root.path(), "latest"), Ok("0.1.0".into()));
}

#[test]
fn a_broken_card_harms_no_other_model() {
    let root = store(&["0.1.0"]);
    let broken = add(root.path(), "broken", "0.1.0").join(CARD_FILE);
    fs::write(&broken, "name: [").unwrap();
    assert_eq!(chosen(root.path(), "latest"), Ok("0.1.0".into()));
    let refusal = list(root.path()).unwrap_err();
    assert_eq!(refusal.path, broken);
}

fn store(versions: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for version in versions {
        add(root.path(), "tiny", version);
    }
    root
}

fn add(root: &Path, name: &str, version: &str) -> PathBuf {
    let mut draft = tiny::draft();
    draft.card.name = name.into();
    draft.card.version = version.parse().unwrap();
    create_artifact(root, draft).unwrap().folder
}

/// The version of `tiny` that a selection means.
fn chosen(root: &Path, selection: &str) -> Result<String, String> {
    let folder = select(root, "tiny", &selection.parse().unwrap());
    let folder = folder.map_err(|error| error.to_string())?;
    Ok(Artifact::open(&folder).unwrap().card.version.to_string())
}
