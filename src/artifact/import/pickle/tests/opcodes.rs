use super::*;

/// Each pickle with what its root looks like.
#[track_caller]
fn assert_shown(cases: &[(&[u8], &str)]) {
    for (bytes, expected) in cases {
        assert_eq!(shown(read(bytes).root()), *expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn numbers() {
    assert_shown(&[
        (b"N.", "None"),
        (b"\x88.", "True"),
        (b"\x89.", "False"),
        (b"I01\n.", "True"),
        (b"I00\n.", "False"),
        (b"I-5\n.", "the integer -5"),
        (b"J\xfe\xff\xff\xff.", "the integer -2"),
        (b"K\xff.", "the integer 255"),
        (b"M\x01\x02.", "the integer 513"),
        (b"L5L\n.", "the integer 5"),
        (b"L5\n.", "the integer 5"),
        (b"L99999999999999999999L\n.", "an integer of 20 digits or bytes"),
        (b"\x8a\0.", "the integer 0"),
        (b"\x8a\x01\xff.", "the integer -1"),
        (b"\x8a\x02\xff\0.", "the integer 255"),
        (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0.", "an integer of 9 digits or bytes"),
        (b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\xff.", "the integer -1"),
        (b"\x8b\x02\0\0\0\x01\x01.", "the integer 257"),
        (b"F0.5\n.", "the number 0.5"),
        (b"F-inf\n.", "the number -inf"),
        (b"G\x3f\xe0\0\0\0\0\0\0.", "the number 0.5"),
    ]);
}

#[test]
fn texts() {
    assert_shown(&[
        (b"V\\u20ac\\U0001f697\xe9\\n\n.", "the text \"\u{20ac}\u{1f697}\u{e9}\\\\n\""),
        (b"X\x02\0\0\0\xc3\xa9.", "the text \"\u{e9}\""),
        (b"\x8c\x01a.", "the text \"a\""),
        (b"\x8d\x01\0\0\0\0\0\0\0a.", "the text \"a\""),
        (b"S'a\\x41\\n\\'\\101'\n.", "b\"aA\\n'A\""),
        (b"S\"a\"\n.", "b\"a\""),
        (b"T\x01\0\0\0a.", "b\"a\""),
        (b"U\x01a.", "b\"a\""),
        (b"B\x01\0\0\0a.", "b\"a\""),
        (b"C\x01a.", "b\"a\""),
        (b"\x8e\x01\0\0\0\0\0\0\0a.", "b\"a\""),
        (b"\x96\x01\0\0\0\0\0\0\0a.", "b\"a\""),
        (b"c_codecs\nencode\n(V\xe9a\nVlatin1\ntR.", "b\"\u{fffd}a\""),
        (b"c__builtin__\nbytearray\n(C\x01atR.", "b\"a\""),
        (b"c__builtin__\nbytes\n)R.", "b\"\""),
    ]);
}

#[test]
fn collections() {
    assert_shown(&[
        (b"].", "[]"),
        (b"(N\x88l.", "[None, True]"),
        (b"]Na.", "[None]"),
        (b"](N\x88e.", "[None, True]"),
        (b").", "()"),
        (b"(N\x88t.", "(None, True)"),
        (b"N\x85.", "(None)"),
        (b"N\x88\x86.", "(None, True)"),
        (b"N\x88\x89\x87.", "(None, True, False)"),
        (b"}.", "{}"),
        (b"(N\x88d.", "{None: True}"),
        (b"}N\x88s.", "{None: True}"),
        (b"}(\x88N\x89Nu.", "{True: None, False: None}"),
        (b"\x8f(N\x90.", "<None>"),
        (b"(N\x91.", "<None>"),
        (b"c__builtin__\nset\n((NltR.", "<None>"),
        (b"ccollections\nOrderedDict\n)R(N\x88\x89Nu.", "{None: True, False: None}"),
        (b"ccollections\nOrderedDict\n((N\x88\x86ltR.", "{None: True}"),
        (b"ccollections\ndeque\n)R(N\x88e.", "<None, True>"),
    ]);
}

#[test]
fn objects_are_made_in_six_ways_and_stay_inert() {
    assert_shown(&[
        (b"ca\nB\n.", "the name a.B"),
        (b"\x8c\x01a\x8c\x01B\x93.", "the name a.B"),
        (b"ca\nB\n)R.", "a call of a.B"),
        (b"ca\nB\n)\x81.", "an object of a.B"),
        (b"ca\nB\n)}\x92.", "an object of a.B"),
        (b"(ca\nB\nNo.", "an object of a.B"),
        (b"(Nia\nB\n.", "an object of a.B"),
        (b"ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR.", "an object of a.B"),
        (b"N)R.", "a call of what is no plain name"),
        (b"PSomewhere\n.", "a reference to something outside of the pickle"),
        (b"NQ.", "a reference to something outside of the pickle"),
        (b"\x82\x05.", "the registered extension 5"),
        (b"\x83\x05\0.", "the registered extension 5"),
        (b"\x84\x05\0\0\0.", "the registered extension 5"),
        (b"\x97\x98.", "a buffer outside of the pickle"),
    ]);
}

#[test]
fn objects_keep_their_arguments_and_state() {
    for bytes in [&b"(ca\nB\nI7\no}Vx\nI1\nsb."[..], b"ca\nB\nI7\n\x85R}Vx\nI1\nsb."] {
        let pickle = read(bytes);
        let call = pickle.root().call().unwrap();
        assert_eq!(call.callable.global(), Some(("a", "B")));
        assert_eq!(call.arguments[0].as_i64(), Some(7));
        assert_eq!(pickle.root().attribute("x").unwrap().as_i64(), Some(1));
    }
    let with_slots = read(b"(ca\nB\noN}Vx\nI1\ns\x86b.");
    assert_eq!(with_slots.root().attribute("x").unwrap().as_i64(), Some(1));
    assert_says(with_slots.root().require("y"), &["attribute y", "an object of a.B"]);
    let keywords = read(b"ca\nB\n)}Vx\nI1\ns\x92.");
    let keywords = keywords.root().call().unwrap().keywords.unwrap();
    assert_eq!(keywords.get("x").unwrap().as_i64(), Some(1));
    let persistent = read(b"PHere\n.");
    assert_eq!(persistent.root().persistent().unwrap().as_str(), Some("Here"));
}

#[test]
fn the_stack_and_the_memo() {
    assert_shown(&[
        (b"\x80\x05N.", "None"),
        (b"\x80\x04\x95\x02\0\0\0\0\0\0\0N.", "None"),
        (b"N\x880.", "None"),
        (b"N(0.", "None"),
        (b"N(\x88\x881.", "None"),
        (b"N2\x86.", "(None, None)"),
        (b"Np5\n0g5\n.", "None"),
        (b"Nq\x050h\x05.", "None"),
        (b"Nr\x05\0\0\x010j\x05\0\0\x01.", "None"),
        (b"N\x940h\0.", "None"),
    ]);
}

#[test]
fn the_memo_holds_references() {
    // The list is memoised, put twice into another, and filled afterwards.
    let filled = read(b"]q\x00(lq\x01h\0ah\0a0h\0Na0h\x01.");
    assert_eq!(shown(filled.root()), "[[None], [None]]");
    let built = read(b"ca\nB\n)\x81q\0}b0h\0.");
    assert!(built.root().call().unwrap().state.is_some());
    let in_itself = read(b"]q\0h\0a.");
    let inner = in_itself.root().elements().unwrap()[0];
    assert_eq!(inner.elements().unwrap().len(), 1);
}

#[test]
fn what_follows_the_stop_is_left_alone() {
    assert!(read(b"N.more").root().is_none());
}

#[test]
fn of_keys_that_come_twice_the_later_counts() {
    let pickle = read(b"}(Va\nI1\nVa\nI2\nu.");
    assert_eq!(pickle.root().get("a").unwrap().as_i64(), Some(2));
    assert_eq!(pickle.root().entries().unwrap().len(), 2);
}
