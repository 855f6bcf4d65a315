use super::*;
use crate::artifact::import::error::ImportError;

#[test]
fn nesting_ends_soon_whatever_it_is_made_of() {
    let deep = |piece: &[u8], end: &[u8]| [piece.repeat(1_000_000), end.to_vec()].concat();
    assert_refused(&deep(b"(", b"."), "more than 1024 collections at once");
    assert_refused(&[&b"]"[..], &deep(b"\x85", b".")].concat(), "nested more than 1024 deep");
    assert_refused(&[&b"N"[..], &deep(b"Q", b".")].concat(), "nested more than");
    assert_refused(&[&b"N"[..], &deep(b")R", b".")].concat(), "nested more than");
    assert_refused(&deep(b"]", b"."), "on the stack");
    let lists = [b"]".repeat(2000), b"a".repeat(1999), b".".to_vec()].concat();
    assert_refused(&lists, "nested more than");
}

#[test]
fn numbers_of_things_have_limits() {
    let many = |piece: &[u8], count: usize| [piece.repeat(count), b".".to_vec()].concat();
    assert_refused(&many(b"N0", MAX_NODES + 1), "more than 1048576 values");
    assert_refused(&[&b"N"[..], &many(b"2", MAX_STACK)].concat(), "values on the stack");
    assert_refused(&[&b"N"[..], &many(b"\x94", MAX_MEMO + 1)].concat(), "values memoised");
    let arguments = [&b"ca\nB\n("[..], &b"N".repeat(MAX_ARGUMENTS + 1), b"tR."].concat();
    assert_refused(&arguments, "a call with 257 arguments");
}

#[test]
fn claimed_lengths_are_held_against_the_file() {
    let claims: [&[u8]; 10] = [
        b"\x8b\xff\xff\xff\x7f",
        b"\x8b\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8d\0\0\0\0\0\0\0\x10",
        b"\x96\0\0\0\0\0\x01\0\0",
        b"X\xff\xff\xff\xff",
        b"B\xff\xff\xff\x07",
        b"T\xff\xff\xff\xff",
        b"\x8a\xff",
        b"\x95\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    for claim in claims {
        assert!(Pickle::read(&[claim, b"abc."].concat()).is_err(), "{}", claim.escape_ascii());
    }
    assert_refused(b"C\x05abc", "expected 5 more bytes, the file ends after 3");
}

#[test]
fn nonsense_is_told_with_its_place() {
    let cases: [(&[u8], &str); 22] = [
        (b"", "at byte 0"),
        (b"N", "at byte 1"),
        (b".", "nothing on the stack"),
        (b"N(.", "nothing on the stack"),
        (b"N\x06.", "0x06 is no opcode"),
        (b"\x80\x06N.", "protocol 6"),
        (b"t.", "no mark"),
        (b"h\0.", "nothing memoised as 0"),
        (b"NNa.", "no list"),
        (b"NNNs.", "no dict"),
        (b"}(Nu.", "a key without a value"),
        (b"NNb.", "no object"),
        (b"ca\nB\n)R}b}b.", "a second state"),
        (b"NNR.", "no tuple"),
        (b"NN\x93.", "a name that is no text"),
        (b"(o.", "without a class"),
        (b"Ix\n.", "no number"),
        (b"Fx\n.", "no number"),
        (b"I1", "a line without an end"),
        (b"Sx\n.", "quotes"),
        (b"V\\uzzzz\n.", "an escape"),
        (b"C\x01\xffX\x01\0\0\0\xff.", "at byte 3: a text that is not UTF-8"),
    ];
    for (bytes, words) in cases {
        assert_refused(bytes, words);
    }
}

#[test]
fn an_error_repeats_little_and_steers_no_terminal() {
    let long = format!("ca\n{}\x1b\n.", "B".repeat(10_000));
    let pickle = read(long.as_bytes());
    assert!(pickle.root().describe().chars().count() < 80);
    let error = ImportError::expected("a list", read(b"ca\x1b[2J\nB\n.").root());
    assert!(!error.to_string().contains('\x1b'), "{error}");
}
