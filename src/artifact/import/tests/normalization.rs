//! Pickles of `VecNormalize`.

use super::*;
use crate::artifact::import::vec_normalize::{Moments, read};

#[test]
fn a_real_file_is_read() {
    let statistics = read(pickle("vec_normalize.pkl").root()).unwrap();
    assert!(statistics.norm_obs);
    assert_eq!((statistics.clip, statistics.epsilon), (10.0, 1e-8));
    let [Moments { key: None, mean, var }] = statistics.by_key.as_slice() else {
        panic!("{:?}", statistics.by_key)
    };
    assert_eq!((mean.shape.as_slice(), var.values.len()), (&[5][..], 5));
    assert!(var.values.iter().all(|var| *var > 0.0));
}

/// A `VecNormalize` with this state besides the constants.
fn normalize(state: &str) -> Pickle {
    let class = "(cstable_baselines3.common.vec_env.vec_normalize\nVecNormalize\no";
    let constants = "Vclip_obs\nI5\nVepsilon\nF0.001\n";
    Pickle::read(format!("{class}}}({constants}{state}ub.").as_bytes()).unwrap()
}

fn running(mean: &str) -> String {
    let array = |value: &str| {
        let dtype = "cnumpy\ndtype\n(Vi1\ntR";
        format!("cnumpy.core.numeric\n_frombuffer\n(S'{value}'\n{dtype}(I{}\ntVC\ntR", value.len())
    };
    let class = "(cstable_baselines3.common.running_mean_std\nRunningMeanStd\no";
    format!("{class}}}(Vmean\n{}Vvar\n{}ub", array(mean), array("!"))
}

fn keys(state: &str) -> Vec<String> {
    let statistics = read(normalize(state).root()).unwrap();
    statistics.by_key.into_iter().filter_map(|moments| moments.key).collect()
}

#[test]
fn only_the_keys_that_were_normalised_are_kept() {
    let both = format!("Vnorm_obs\nI01\nVobs_rms\n}}(Vb\n{}Va\n{}u", running("!"), running("!"));
    assert_eq!(keys(&both), ["b", "a"]);
    assert_eq!(keys(&format!("{both}Vnorm_obs_keys\nN")), ["b", "a"]);
    assert_eq!(keys(&format!("{both}Vnorm_obs_keys\n(Va\nl")), ["a"]);
}

#[test]
fn without_normalised_observations_there_are_no_statistics() {
    let statistics = read(normalize("Vnorm_obs\nI00\n").root()).unwrap();
    assert!(!statistics.norm_obs && statistics.by_key.is_empty());
    assert_eq!((statistics.clip, statistics.epsilon), (5.0, 0.001));
}

#[test]
fn many_keys_of_one_large_array_end() {
    let one = running("!").replace("'!'", &format!("'{}'", "!".repeat(1 << 20)));
    let one = one.replace("(I1\n", "(I1048576\n");
    let rest: String = (0..5).map(|key| format!("V{key}\ng0\n")).collect();
    let large = format!("Vnorm_obs\nI01\nVobs_rms\n}}(Va\n{one}p0\n{rest}u");
    assert_says(read(normalize(&large).root()), &["statistics of more than"]);
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    assert_says(read(normalize("").root()), &["the attribute norm_obs is missing"]);
    assert_says(read(normalize("Vnorm_obs\nI01\n").root()), &["the attribute obs_rms is missing"]);
    let uneven = format!("Vnorm_obs\nI01\nVobs_rms\n{}", running("!!"));
    assert_says(read(normalize(&uneven).root()), &["obs_rms", "[2]", "[1]"]);
    let other = Pickle::read(b"cos\nsystem\n(tR.").unwrap();
    assert_says(read(other.root()), &["VecNormalize", "a call of os.system"]);
}
