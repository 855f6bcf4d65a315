use super::*;
use crate::wire::Observations;

#[test]
fn what_is_created_opens_and_verifies_with_the_same_card() {
    for draft in [tiny::draft(), tiny::discrete_draft()] {
        let root = tempfile::tempdir().unwrap();
        let drafted = draft.card.clone();
        let created = create_artifact(root.path(), draft).unwrap();
        assert_eq!(created.folder, root.path().join(&drafted.name).join("0.1.0"));
        let opened = Artifact::open(&created.folder).unwrap();
        assert_eq!(opened.card, Card { files: opened.card.files.clone(), ..drafted });
        assert_eq!(opened.weights(), digest(&fs::read(file(&opened, WEIGHTS_FILE)).unwrap())[..8]);
        let verified = opened.verify(Device::Cpu, Precision::F32).unwrap();
        assert_eq!((verified.deviation.rows, verified.deviation.worst), (8, 0.0));
    }
}

#[test]
fn every_precision_passes_its_own_golden_check() {
    let scratch = Scratch::tiny();
    for precision in [Precision::F16, Precision::BF16] {
        let artifact = Artifact::open(&scratch.folder).unwrap();
        let deviation = artifact.verify(Device::Cpu, precision).unwrap().deviation;
        assert!(deviation.worst > 0.0, "{precision} computed in f32");
    }
}

#[test]
fn the_same_draft_gives_the_same_bytes() {
    let (one, other) = (Scratch::tiny(), Scratch::tiny());
    for file in [CARD_FILE, WEIGHTS_FILE, GOLDEN_FILE] {
        assert_eq!(fs::read(one.file(file)).unwrap(), fs::read(other.file(file)).unwrap());
    }
}

#[test]
fn the_card_keeps_what_people_write_in_it() {
    let root = tempfile::tempdir().unwrap();
    let odd = ["2026", "true", "null", "1e5", "a: b # c", "two\nlines\n", " - ", "", "é\u{1f697}"];
    let mut draft = tiny::discrete_draft();
    draft.card.provenance =
        odd.iter().map(|text| (format!("the {text}"), text.to_string())).collect();
    draft.card.description = odd.join("\n");
    draft.card.algorithm = "no".into();
    let drafted = draft.card.clone();
    let card = create_artifact(root.path(), draft).unwrap().card;
    assert_eq!(card, Card { files: card.files.clone(), ..drafted });
}

#[test]
fn a_version_is_never_overwritten() {
    let scratch = Scratch::tiny();
    let before = fs::read(scratch.file(WEIGHTS_FILE)).unwrap();
    let mut draft = tiny::draft();
    let bias = draft.tensors["action.bias"].affine(1.0, 0.5).unwrap();
    draft.tensors.insert("action.bias".into(), bias);
    let refusal = refused(scratch.root.path(), draft);
    assert!(refusal.contains("never overwritten"), "{refusal}");
    assert_eq!(fs::read(scratch.file(WEIGHTS_FILE)).unwrap(), before);
}

#[test]
fn a_draft_that_is_no_policy_leaves_nothing_behind() {
    let root = tempfile::tempdir().unwrap();
    let mut missing = tiny::draft();
    missing.tensors.remove("log_std");
    assert!(refused(root.path(), missing).contains("log_std"));
    let mut outside = tiny::draft();
    outside.card.name = "../tiny".into();
    assert!(refused(root.path(), outside).contains("letters, digits"));
    let mut uneven = tiny::draft();
    uneven.observations = Observations::F32(vec![0.5; 7]);
    refused(root.path(), uneven);
    let mut empty = tiny::draft();
    empty.observations = Observations::F32(vec![]);
    refused(root.path(), empty);
    // Finite weights, but no finite output: only the golden check finds it.
    let mut overflowing = tiny::draft();
    let huge = (overflowing.tensors["action.weight"].ones_like().unwrap() * 3e38).unwrap();
    overflowing.tensors.insert("action.weight".into(), huge);
    assert!(refused(root.path(), overflowing).contains("not finite"));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}

#[test]
fn what_an_interrupted_writer_left_is_written_anew() {
    let root = tempfile::tempdir().unwrap();
    let partial = root.path().join("tiny/0.1.0.partial");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("stray"), "x").unwrap();
    let artifact = create_artifact(root.path(), tiny::draft()).unwrap();
    assert!(!partial.exists() && !file(&artifact, "stray").exists());
    assert_eq!(verify(&artifact.folder), Ok(()));
}

fn refused(root: &Path, draft: crate::artifact::Draft) -> String {
    match create_artifact(root, draft) {
        Ok(artifact) => panic!("{} was created", artifact.folder.display()),
        Err(error) => error.to_string(),
    }
}

fn file(artifact: &Artifact, name: &str) -> PathBuf {
    artifact.folder.join(name)
}

/// YAML 1.1 takes `n` for `false`, and its writers quote the key or don't.
#[test]
fn the_number_of_discrete_actions_may_be_written_with_quotes_or_without() {
    let root = tempfile::tempdir().unwrap();
    let folder = create_artifact(root.path(), tiny::discrete_draft()).unwrap().folder;
    let file = folder.join(CARD_FILE);
    let card = fs::read_to_string(&file).unwrap().replace("\"n\":", "n:");
    assert_eq!(card.matches("    n: 3").count(), 1, "{card}");
    for key in ["n", "\"n\""] {
        fs::write(&file, card.replace("    n: 3", &format!("    {key}: 3"))).unwrap();
        assert_eq!(verify(&folder), Ok(()), "{key}");
    }
}
