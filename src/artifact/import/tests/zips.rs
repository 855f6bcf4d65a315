//! Archives built to be refused.

use std::io::{Cursor, Write};

use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::artifact::import::archive::{Archive, Limits};

/// An archive of these members, packed.
pub fn zipped(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(vec![]));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in members {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

const SMALL: Limits = Limits { members: 4, member_bytes: 1000, total_bytes: 1500 };

#[test]
fn members_are_read_by_name_and_archives_in_archives() {
    let inner = zipped(&[("archive/data.pkl", b"N.".to_vec())]);
    let outer = zipped(&[("policy.pth", inner), ("data", b"{}".to_vec())]);
    let mut outer = Archive::open(&outer).unwrap();
    assert_eq!(outer.names().collect::<Vec<_>>(), ["policy.pth", "data"]);
    let inner = outer.read("policy.pth").unwrap();
    assert_eq!(Archive::open(&inner).unwrap().read("archive/data.pkl").unwrap(), b"N.");
    assert_says(outer.read("weights"), &["the member weights"]);
}

#[test]
fn a_bomb_ends_with_the_name_of_its_member() {
    let bomb = zipped(&[("data", vec![0; 1001])]);
    let mut archive = Archive::with_limits(&bomb, SMALL).unwrap();
    assert_says(archive.read("data"), &["the member data", "1000"]);
}

#[test]
fn a_bomb_that_lies_about_its_size_ends_too() {
    let mut bomb = zipped(&[("data", vec![0; 100_000])]);
    let size = 100_000_u32.to_le_bytes();
    while let Some(at) = bomb.windows(4).position(|bytes| bytes == size) {
        bomb[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    let mut archive = Archive::with_limits(&bomb, SMALL).unwrap();
    assert_says(archive.read("data"), &["the member data"]);
}

#[test]
fn all_members_together_have_a_limit() {
    let bomb = zipped(&[("one", vec![0; 900]), ("two", vec![0; 900])]);
    let mut archive = Archive::with_limits(&bomb, SMALL).unwrap();
    archive.read("one").unwrap();
    assert_says(archive.read("two"), &["the member two", "1500"]);
}

#[test]
fn members_are_counted_before_they_are_listed() {
    let names = ["a", "b", "c", "d", "e"];
    let members: Vec<_> = names.iter().map(|name| (*name, vec![])).collect();
    assert_says(Archive::with_limits(&zipped(&members), SMALL).map(|_| ()), &["more than 4"]);
}

#[test]
fn a_member_that_would_leave_the_archive_is_named() {
    for name in ["../x", "a/../../x", "/etc/passwd", "..\\x", "C:\\x"] {
        let bytes = zipped(&[(name, vec![])]);
        let shown = format!("{name:?}");
        assert_says(Archive::open(&bytes).map(|_| ()), &["would leave", &shown]);
    }
}

#[test]
fn a_damaged_member_is_named() {
    let mut bytes = zipped(&[("data", b"something to be damaged".to_vec())]);
    bytes[40] ^= 0x10;
    assert_says(Archive::open(&bytes).unwrap().read("data"), &["the member data"]);
}

#[test]
fn what_is_no_archive_is_told() {
    for bytes in [&b""[..], b"PK", b"not an archive"] {
        assert_says(Archive::open(bytes).map(|_| ()), &["not a zip archive"]);
    }
}
