//! Files that nobody meant well.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::artifact::import::{Archive, TorchFile, torchscript};

const PICKLES: [&str; 6] = [
    "values.p0.pkl",
    "values.p5.pkl",
    "arrays.p2.pkl",
    "spaces.p4.pkl",
    "spaces.p5.pkl",
    "vec_normalize.pkl",
];
const ARCHIVES: [&str; 3] = ["tensors.pth", "network.pth", "network.pt"];

#[test]
fn a_pickle_cut_short_anywhere_is_an_error() {
    for name in PICKLES {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            assert!(look_at_all(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
        look_at_all(&bytes).unwrap();
    }
}

#[test]
fn an_archive_cut_short_anywhere_is_an_error() {
    for name in ARCHIVES {
        let bytes = fixture(name);
        for length in 0..bytes.len() {
            assert!(TorchFile::open(&bytes[..length]).is_err(), "{name} cut to {length}");
        }
    }
}

#[test]
fn a_call_of_a_dangerous_function_stays_a_call() {
    let pickle = Pickle::read(b"cos\nsystem\n(S'echo pwned'\ntR.").unwrap();
    let call = pickle.root().call().unwrap();
    assert_eq!(call.callable.global(), Some(("os", "system")));
    assert_eq!(call.arguments[0].as_str(), Some("echo pwned"));
    assert_says(crate::artifact::import::spaces::read(pickle.root()), &["a call of os.system"]);
}

fn open_all(bytes: &[u8]) {
    if let Ok(file) = TorchFile::open(bytes) {
        let _ = file.state_dict(file.root()).map(|tensors| tensors.len());
        let _ = torchscript::modules(&file).map(|modules| modules.len());
    }
}

fn changed(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (at, to) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *to;
    }
    bytes
}

/// The members of an archive of ours with other bytes in one, the checksums right.
fn with_changed_pickle(bytes: &[u8], changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut archive = Archive::open(bytes).unwrap();
    let names: Vec<_> = archive.names().map(str::to_owned).collect();
    let members = names.iter().map(|name| {
        let bytes = archive.read(name).unwrap();
        let is_pickle = name.ends_with("data.pkl");
        (name.as_str(), if is_pickle { changed(bytes, changes) } else { bytes })
    });
    zips::zipped(&members.collect::<Vec<_>>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = look_at_all(&bytes);
        open_all(&bytes);
    }

    /// Mostly opcodes, so that the machine gets somewhere.
    #[test]
    fn random_opcodes_do_no_harm(bytes in "[()\\]}\\.NKRbtulseaq0-2\\x01\u{0}]{0,60}") {
        let _ = look_at_all(bytes.as_bytes());
    }

    #[test]
    fn changed_pickles_do_no_harm(
        which in prop::sample::select(&PICKLES[..]),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let _ = look_at_all(&changed(fixture(which), &changes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn changed_archives_do_no_harm(
        which in prop::sample::select(&ARCHIVES[..]),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        open_all(&changed(fixture(which), &changes));
        open_all(&with_changed_pickle(&fixture(which), &changes));
    }
}
