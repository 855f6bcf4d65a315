//! W3C Trace Context: which trace a request belongs to (W3C Recommendation "Trace Context", 2021,
//! and its level 2, 2024).
//!
//! A requester sends it in the header `traceparent`:
//! `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`.

use std::{
    fmt::{self, Display},
    str::FromStr,
};

/// Where a request stands: its trace, and the requester's span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Not all zero.
    pub trace_id: [u8; 16],
    /// Not all zero.
    pub span_id: [u8; 8],
    pub flags: u8,
}

/// The text is no `traceparent`. Whoever gets one does as if there were none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedTraceparent;

const SAMPLED: u8 = 0b01;
/// The trace id was drawn at random: the only other flag that versions 00 to fe define.
const RANDOM: u8 = 0b10;
/// Characters of version 00, which later versions may go on from.
const LENGTH: usize = 55;

impl TraceContext {
    /// Flags of a trace that begins here: sampled, and its id drawn at random.
    pub const NEW: u8 = SAMPLED | RANDOM;

    pub fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The trace's id as text, by which it is found.
    pub fn trace(&self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.trace_id))
    }
}

impl FromStr for TraceContext {
    type Err = MalformedTraceparent;

    fn from_str(text: &str) -> Result<Self, MalformedTraceparent> {
        let bytes = text.as_bytes();
        let (known, rest) = bytes.split_at_checked(LENGTH).ok_or(MalformedTraceparent)?;
        let [version] = hex(&known[..2])?;
        let may_end_so = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => matches!(rest.first(), None | Some(b'-')),
        };
        if !may_end_so || [2, 35, 52].iter().any(|at| known[*at] != b'-') {
            return Err(MalformedTraceparent);
        }
        let (trace_id, span_id) = (hex(&known[3..35])?, hex(&known[36..52])?);
        let [flags] = hex(&known[53..])?;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return Err(MalformedTraceparent);
        }
        Ok(Self { trace_id, span_id, flags: flags & (SAMPLED | RANDOM) })
    }
}

/// `2 * N` digits in lower case.
fn hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], MalformedTraceparent> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(MalformedTraceparent),
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

/// As version 00, whichever it came in.
impl Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (self.trace(), u64::from_be_bytes(self.span_id));
        write!(f, "00-{trace}-{span:016x}-{:02x}", self.flags)
    }
}

impl Display for MalformedTraceparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "expected version-trace-parent-flags in lower-case hex, as W3C Trace Context has it",
        )
    }
}

impl std::error::Error for MalformedTraceparent {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    fn read(text: &str) -> Result<TraceContext, MalformedTraceparent> {
        text.parse()
    }

    #[test]
    fn a_header_is_read_and_written_back() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let context = read(&text).unwrap();
        assert_eq!((context.trace_id[0], context.span_id[7], context.flags), (0x0a, 0x31, 1));
        assert_eq!((context.to_string(), context.trace()), (text, TRACE.to_owned()));
    }

    #[test]
    fn of_the_flags_only_the_lowest_says_sampled() {
        for (flags, sampled) in
            [("00", false), ("01", true), ("02", false), ("03", true), ("fe", false)]
        {
            assert_eq!(read(&format!("00-{TRACE}-{SPAN}-{flags}")).unwrap().sampled(), sampled);
        }
    }

    #[test]
    fn flags_that_nobody_defined_are_not_passed_on() {
        let context = read(&format!("00-{TRACE}-{SPAN}-ff")).unwrap();
        assert!(context.to_string().ends_with("-03"), "{context}");
    }

    #[test]
    fn version_00_ends_where_it_ends_and_later_ones_may_go_on() {
        for (version, rest, is_read) in [
            ("00", "", true),
            ("00", "-", false),
            ("00", "-what", false),
            ("01", "", true),
            ("cc", "-what.the-future.holds", true),
            ("fe", "-", true),
            ("01", "x", false),
            ("ff", "", false),
        ] {
            let text = format!("{version}-{TRACE}-{SPAN}-01{rest}");
            assert_eq!(read(&text).is_ok(), is_read, "{text}");
        }
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        let zero_trace = "0".repeat(32);
        let zero_span = "0".repeat(16);
        for text in [
            String::new(),
            "00".into(),
            format!("00-{zero_trace}-{SPAN}-01"),
            format!("00-{TRACE}-{zero_span}-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0G"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-001"),
            format!("00-{TRACE}-{}é-01", &SPAN[..14]),
        ] {
            assert_eq!(read(&text), Err(MalformedTraceparent), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_again(
            trace in 1..=u128::MAX, span in 1..=u64::MAX, flags in 0..4u8,
        ) {
            let context =
                TraceContext { trace_id: trace.to_be_bytes(), span_id: span.to_be_bytes(), flags };
            prop_assert_eq!(context.to_string().parse(), Ok(context));
        }

        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_is_a_prefix_of_it(text in "[0-9a-fA-F-]{50,60}|.*") {
            if let Ok(context) = read(&text) {
                prop_assert_eq!(&context.to_string()[3..52], &text[3..52]);
            }
        }

        #[test]
        fn one_wrong_character_anywhere_is_refused(at in 0..LENGTH) {
            let mut text = format!("00-{TRACE}-{SPAN}-01");
            text.replace_range(at..at + 1, "G");
            prop_assert_eq!(read(&text), Err(MalformedTraceparent));
        }
    }
}
