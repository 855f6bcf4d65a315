//! `carla-rl artifacts import` and `check`, on files as other programs write them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use carla_rl::{
    artifact::Artifact,
    policy::{
        Actions, Input, Mode, Policy,
        device::{Device, Precision},
        spec::{Head, Postprocess},
    },
    wire::{Request, Wants},
};
use serde_json::{Value, json};

use crate::{structure::root, tiny};

/// Names that a policy's file has, by the program that saved it.
const SOURCES: [&str; 4] = ["model.zip", "policy.pth", "model.cleanrl_model", "module_state.pkl"];

#[test]
fn every_policy_gives_its_trainers_outputs_alone_and_in_batches() {
    let scratch = tempfile::tempdir().unwrap();
    let cases = cases();
    assert!(cases.len() > 55, "the cases are where this test looks for them: {}", cases.len());
    let failed: Vec<_> =
        cases.iter().filter_map(|case| complaint(case, scratch.path()).err()).collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

#[test]
fn the_example_from_the_highway_gives_what_it_gave_when_it_was_trained() {
    let checked = check(
        &root().join("artifacts/highway-ppo/0.1.0"),
        &root().join("tests/data/highway/reference.safetensors"),
    );
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn another_policys_reference_is_outside_of_the_tolerance_and_exit_code_1() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = import(&case("ppo_box"), scratch.path()).unwrap();
    let checked = check(&folder, &case("a2c_box").join("reference.safetensors"));
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(text(&checked.stdout).contains("no: "), "{}", text(&checked.stdout));
    assert!(text(&checked.stderr).contains("action[0] is"), "{}", text(&checked.stderr));
}

#[test]
fn a_reference_that_does_not_fit_the_policy_is_exit_code_78() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = import(&case("ppo_box"), scratch.path()).unwrap();
    for (reference, said) in [
        (case("ppo_dict").join("reference.safetensors"), "the tensor obs is missing"),
        (case("sac").join("reference.safetensors"), "another shape"),
        (case("ppo_box").join("model.zip"), "not a safetensors file"),
        (scratch.path().join("nowhere"), "No such file"),
    ] {
        let checked = check(&folder, &reference);
        assert_eq!(checked.status.code(), Some(78), "{checked:?}");
        assert!(text(&checked.stderr).contains(said), "{said}: {}", text(&checked.stderr));
    }
}

/// An artifact of the service, and what the service returned for 64 observations.
#[test]
fn the_original_services_artifact_gives_the_services_actions() {
    let (scratch, data) = (tempfile::tempdir().unwrap(), root().join("tests/data/carlarl"));
    let folder = imported("carla-ppo", &data.join("v0.1.0"), &[], scratch.path()).unwrap();
    let artifact = Artifact::open(&folder).unwrap();
    let reference: Value =
        serde_json::from_slice(&fs::read(data.join("reference.json")).unwrap()).unwrap();
    let body = json!({"observations": reference["observations"], "deterministic": true});
    let body = body.to_string();
    let card = &artifact.card;
    let features = card.observation_features.as_deref();
    let mut request = Request::read(body.as_bytes()).unwrap();
    let rows = request.rows(&card.policy.observation_space, features, 64).unwrap();
    let mut policy = artifact.verify(Device::Cpu, Precision::F32).unwrap().policy;
    let modes = vec![Mode::Deterministic; rows.count];
    let mut output = carla_rl::policy::Output::default();
    policy
        .forward(&Input::new(rows.values.to_observations(), modes, Wants::default()), &mut output)
        .unwrap();
    let Actions::F32(actions) = output.action else { panic!("not a box") };
    let expected = reference["actions"].as_array().unwrap().iter();
    let expected: Vec<f64> =
        expected.flat_map(|row| row.as_array().unwrap()).map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(actions.len(), expected.len());
    for (got, expected) in actions.iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() <= 1e-5, "{got} {expected}");
    }
}

#[test]
fn what_was_found_is_told_and_where_people_go_wrong_is_warned_of() {
    let scratch = tempfile::tempdir().unwrap();
    let case = case("ppo_vecnormalize");
    let source = case.join("model.zip");
    let printed = carla_rl(&[
        "import".as_ref(),
        source.as_os_str(),
        "--name=p".as_ref(),
        "--version=0.1.0".as_ref(),
        "--out".as_ref(),
        scratch.path().as_os_str(),
    ]);
    assert!(printed.status.success(), "{printed:?}");
    let printed = text(&printed.stdout).to_owned();
    for said in ["PPO (stable_baselines3 2.9", "box f4 [5]", "policy 64-64", "tanh", "warning: "] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
    assert!(printed.contains("vec_normalize.pkl"), "{printed}");
}

#[test]
fn a_last_observation_outside_of_the_space_is_warned_of() {
    // base64.b64encode(pickle.dumps(np.array([[9, 0, 0, 0, 0, 0]], dtype="float32"), protocol=4))
    const OUTSIDE: &str = "gASVowAAAAAAAACMFm51bXB5Ll9jb3JlLm11bHRpYXJyYXmUjAxfcmVjb25zdHJ1Y3SUk5SMBW51bXB5lIwHbmRhcnJheZSTlEsAhZRDAWKUh5RSlChLAUsBSwaGlGgDjAVkdHlwZZSTlIwCZjSUiYiHlFKUKEsDjAE8lE5OTkr/////Sv////9LAHSUYolDGAAAEEEAAAAAAAAAAAAAAAAAAAAAAAAAAJR0lGIu";
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("model.zip");
    let last = json!({":type:": "<class 'numpy.ndarray'>", ":serialized:": OUTSIDE});
    rewrite_data(&case("ppo_box").join("model.zip"), &source, "_last_obs", &last);
    for (source, warned) in [(&case("ppo_box").join("model.zip"), false), (&source, true)] {
        let printed = carla_rl(&[
            "import".as_ref(),
            source.as_os_str(),
            "--name=p".as_ref(),
            if warned { "--version=0.2.0" } else { "--version=0.1.0" }.as_ref(),
            "--out".as_ref(),
            scratch.path().as_os_str(),
        ]);
        let said = text(&printed.stdout).contains("trained with VecNormalize");
        assert_eq!(said, warned, "{printed:?}");
    }
}

#[test]
fn a_state_dict_alone_is_told_which_field_is_missing_and_what_a_spec_looks_like() {
    let scratch = tempfile::tempdir().unwrap();
    let source = case("cleanrl_ppo_continuous").join("model.cleanrl_model");
    let told = imported("p", &source, &[], scratch.path()).unwrap_err();
    for said in ["observation_space", "--spec", "activation: tanh"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    let spec = scratch.path().join("spec.yaml");
    fs::write(&spec, "observation_space: {type: box, dtype: f4, shape: [8], low: -1, high: 1}\n")
        .unwrap();
    let flags = ["--spec".to_owned(), spec.display().to_string()];
    let told = imported("p", &source, &flags, scratch.path()).unwrap_err();
    assert!(told.contains("action_space"), "{told}");
    fs::write(&spec, "observation_spaces: {}\n").unwrap();
    let told = imported("p", &source, &flags, scratch.path()).unwrap_err();
    assert!(told.contains("observation_spaces") && told.contains("looks like this"), "{told}");
}

#[test]
fn a_state_dict_with_its_spaces_and_head_gives_what_the_whole_checkpoint_gives() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, spec) in [
        (
            "ppo_gsde_squash",
            "observation_space: {type: box, dtype: f4, shape: [5], low: -1, high: 1}\n\
             action_space: {type: box, dtype: f4, shape: [2], low: [-3, 0], high: [3, 5]}\n\
             activation: tanh\nhead: {type: gsde, squash: true}\n",
        ),
        (
            "maskable_ppo",
            "observation_space: {type: box, dtype: f4, shape: [4], low: -1, high: 1}\n\
             action_space: {type: discrete, n: 6}\n\
             activation: tanh\nhead: {type: categorical, masked: true}\n",
        ),
    ] {
        let weights = scratch.path().join("policy.pth");
        fs::write(&weights, member(&case(name).join("model.zip"), "policy.pth")).unwrap();
        let file = scratch.path().join("spec.yaml");
        fs::write(&file, spec).unwrap();
        let flags = ["--spec".to_owned(), file.display().to_string()];
        let folder = imported(name, &weights, &flags, scratch.path()).unwrap();
        let checked = check(&folder, &case(name).join("reference.safetensors"));
        assert!(checked.status.success(), "{name}: {}", text(&checked.stderr));
    }
}

#[test]
fn what_a_spec_says_of_a_state_dict_is_what_the_card_says() {
    let scratch = tempfile::tempdir().unwrap();
    let weights = scratch.path().join("policy.safetensors");
    let names = ["out.weight", "out.bias"];
    let tensors = [tiny::wave(10, &[2, 4]), tiny::wave(50, &[2])];
    let named: Vec<_> = names.iter().zip(&tensors).collect();
    safetensors::serialize_to_file(named, None, &weights).unwrap();
    let spec = scratch.path().join("spec.yaml");
    fs::write(
        &spec,
        "algorithm: BC\nactivation: relu\nscale_images: false\npostprocess: rescale\n\
         observation_space: {type: box, dtype: u1, shape: [1, 2, 2], low: 0, high: 255}\n\
         action_space: {type: box, dtype: f4, shape: [2], low: -3, high: 3}\n\
         layers: {policy: [out]}\nhead: {type: deterministic, squash: true}\n",
    )
    .unwrap();
    let flags = ["--spec".to_owned(), spec.display().to_string()];
    let folder = imported("p", &weights, &flags, scratch.path()).unwrap();
    let card = Artifact::open(&folder).unwrap().card;
    assert_eq!(card.algorithm, "BC");
    assert!(!card.policy.network.features.scale_images);
    assert_eq!(card.policy.postprocess, Postprocess::Rescale);
    assert_eq!(card.policy.head, Head::Deterministic { squash: true });
}

/// A call of `touch` in each place where a pickle is read.
#[test]
fn a_pickle_that_would_run_a_command_runs_none_and_is_refused() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let scratch = tempfile::tempdir().unwrap();
    let marker = scratch.path().join("was-here");
    let call =
        [&b"cos\nsystem\n(S'touch "[..], marker.to_str().unwrap().as_bytes(), b"'\ntR."].concat();
    let statistics = scratch.path().join("vec_normalize.pkl");
    fs::write(&statistics, &call).unwrap();
    let flags = ["--vec-normalize".to_owned(), statistics.display().to_string()];
    let source = case("ppo_vecnormalize").join("model.zip");
    let told = imported("p", &source, &flags, scratch.path()).unwrap_err();
    assert!(told.contains("a call of os.system"), "{told}");
    for (key, has) in [
        ("observation_space", "a call of os.system"),
        ("policy_class", "a call of os.system"),
        ("policy_kwargs", "a call of os.system"),
    ] {
        let source = scratch.path().join("model.zip");
        let pickled = json!({":type:": "x", ":serialized:": BASE64_STANDARD.encode(&call)});
        rewrite_data(&case("ppo_box").join("model.zip"), &source, key, &pickled);
        let told = imported("p", &source, &[], scratch.path()).unwrap_err();
        assert!(told.contains(key) && told.contains(has), "{told}");
    }
    assert!(!marker.exists(), "a pickle was executed");
}

#[test]
fn a_file_cut_short_anywhere_is_an_error_and_leaves_no_artifact() {
    let scratch = tempfile::tempdir().unwrap();
    for name in
        ["ppo_gsde_notfull/model.zip", "bare_maskable/policy.pth", "rllib_box/module_state.pkl"]
    {
        let whole = fs::read(root().join("tests/data/policies").join(name)).unwrap();
        for part in 0..24 {
            let source = scratch.path().join("cut");
            fs::write(&source, &whole[..whole.len() * part / 24]).unwrap();
            let out = scratch.path().join("out");
            let told = imported("p", &source, &[], &out).unwrap_err();
            assert!(!told.contains("panic") && !out.exists(), "{name} {part}: {told}");
        }
    }
}

#[test]
fn nothing_is_overwritten_and_a_name_that_is_no_subject_token_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let source = case("ars_linear").join("model.zip");
    imported("p", &source, &[], scratch.path()).unwrap();
    assert!(imported("p", &source, &[], scratch.path()).unwrap_err().contains("never overwritten"));
    let told = imported("a.b", &source, &[], scratch.path()).unwrap_err();
    assert!(told.contains("letters, digits"), "{told}");
}

/// The folders of all cases.
pub fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/data/policies")).unwrap();
    let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Imports a case; the artifact's folder, or what was said instead.
pub fn import(case: &Path, out: &Path) -> Result<PathBuf, String> {
    let source = SOURCES.iter().map(|name| case.join(name)).find(|file| file.is_file()).unwrap();
    let beside = [("--vec-normalize", "vec_normalize.pkl"), ("--spec", "spec.yaml")];
    let beside = beside.map(|(flag, name)| (flag, case.join(name)));
    let given = beside.iter().filter(|(_, file)| file.is_file());
    let flags: Vec<String> =
        given.flat_map(|(flag, file)| [(*flag).to_owned(), file.display().to_string()]).collect();
    imported(case.file_name().unwrap().to_str().unwrap(), &source, &flags, out)
}

fn complaint(case: &Path, out: &Path) -> Result<(), String> {
    let folder = import(case, out)?;
    let checked = check(&folder, &case.join("reference.safetensors"));
    let table = text(&checked.stdout);
    let said = |what: &str| Err(format!("{}: {what}\n{table}", case.display()));
    match (checked.status.code(), table.contains("gave the same bits")) {
        (Some(0), true) => Ok(()),
        (Some(0), false) => said("the bits depend on the batch"),
        _ => said(text(&checked.stderr)),
    }
}

fn imported(name: &str, source: &Path, flags: &[String], out: &Path) -> Result<PathBuf, String> {
    let mut arguments = vec!["import".as_ref(), source.as_os_str()];
    let (name_flag, version) = (format!("--name={name}"), "--version=0.1.0");
    arguments.extend([name_flag.as_ref(), version.as_ref(), "--out".as_ref(), out.as_os_str()]);
    arguments.extend(flags.iter().map(|flag| std::ffi::OsStr::new(flag.as_str())));
    let output = carla_rl(&arguments);
    match output.status.code() {
        Some(0) => Ok(out.join(name).join("0.1.0")),
        Some(78) => Err(text(&output.stderr).to_owned()),
        _ => panic!("{output:?}"),
    }
}

fn check(folder: &Path, reference: &Path) -> Output {
    carla_rl(&["check".as_ref(), folder.as_os_str(), "--reference".as_ref(), reference.as_os_str()])
}

fn carla_rl(arguments: &[&std::ffi::OsStr]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carla-rl"));
    command.arg("artifacts").args(arguments).output().unwrap()
}

fn case(name: &str) -> PathBuf {
    root().join("tests/data/policies").join(name)
}

fn member(archive: &Path, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut archive.by_name(name).unwrap(), &mut bytes).unwrap();
    bytes
}

/// The archive `from` with another value in its JSON, as `to`.
fn rewrite_data(from: &Path, to: &Path, key: &str, value: &Value) {
    use std::io::{Read, Write};
    let mut archive = zip::ZipArchive::new(fs::File::open(from).unwrap()).unwrap();
    let mut writer = zip::ZipWriter::new(fs::File::create(to).unwrap());
    for index in 0..archive.len() {
        let mut member = archive.by_index(index).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let name = member.name().unwrap().into_owned();
        if name == "data" {
            let mut data: Value = serde_json::from_slice(&bytes).unwrap();
            data[key] = value.clone();
            bytes = data.to_string().into_bytes();
        }
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}
