//! MessagePack or JSON: told apart by the first byte, answered in kind.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, IgnoredAny},
};

use super::{
    error::{Code, WireError},
    node::{Known, Map},
};

/// Deeper nesting than any tensor or named observation needs.
const MAX_DEPTH: usize = 16;
/// Characters of an error message.
const MAX_MESSAGE: usize = 200;

/// The form of a request's body, and so of its reply's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    MessagePack,
    Json,
}

impl Encoding {
    /// A body that starts with `{` is JSON. (In MessagePack that byte is the number 123, no map.)
    pub fn of(body: &[u8]) -> Self {
        if body.first() == Some(&b'{') { Encoding::Json } else { Encoding::MessagePack }
    }

    /// Reads one map and nothing behind it. Only the values of `known` keys are kept.
    ///
    /// # Errors
    /// `malformed`: no map, cut short, trailing bytes, nested too deep.
    pub fn read<'a>(self, body: &'a [u8], known: &[&str]) -> Result<Map<'a>, WireError> {
        match self {
            Encoding::MessagePack => read_message_pack(body, known),
            Encoding::Json => read_json(body, known),
        }
    }

    /// # Errors
    /// `internal`, which nothing that this crate sends can cause: all keys are strings.
    pub fn write<T: Serialize>(self, value: &T) -> Result<Vec<u8>, WireError> {
        match self {
            Encoding::MessagePack => rmp_serde::to_vec_named(value).map_err(unwritable),
            Encoding::Json => serde_json::to_vec(value).map_err(unwritable),
        }
    }

    /// Writes behind what is in the buffer, and takes that part out of it.
    ///
    /// # Errors
    /// As [`Encoding::write`].
    pub fn write_in<T: Serialize>(
        self,
        value: &T,
        buffer: &mut BytesMut,
    ) -> Result<Bytes, WireError> {
        let mut writer = buffer.writer();
        match self {
            Encoding::MessagePack => {
                rmp_serde::encode::write_named(&mut writer, value).map_err(unwritable)?;
            }
            Encoding::Json => serde_json::to_writer(writer, value).map_err(unwritable)?,
        }
        Ok(buffer.split().freeze())
    }
}

fn read_message_pack<'a>(body: &'a [u8], known: &[&str]) -> Result<Map<'a>, WireError> {
    if body.is_empty() {
        return Err(malformed("the body is empty").expected("a MessagePack map or a JSON object"));
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(body);
    reader.set_max_depth(MAX_DEPTH);
    let map = Known(known)
        .deserialize(&mut reader)
        .map_err(|error| malformed(format!("not a MessagePack map: {error}")))?;
    if at_the_end(&mut reader) { Ok(map) } else { Err(malformed("bytes behind the body's map")) }
}

/// The reader does not tell where it stands, but a further read fails at its very first byte if,
/// and only if, nothing is left.
fn at_the_end<'de, D>(reader: D) -> bool
where
    D: serde::Deserializer<'de, Error = rmp_serde::decode::Error>,
{
    use rmp_serde::decode::Error::InvalidMarkerRead;
    matches!(IgnoredAny::deserialize(reader), Err(InvalidMarkerRead(error))
        if error.kind() == std::io::ErrorKind::UnexpectedEof)
}

fn read_json<'a>(body: &'a [u8], known: &[&str]) -> Result<Map<'a>, WireError> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let map = Known(known).deserialize(&mut reader).and_then(|map| reader.end().map(|()| map));
    map.map_err(|error| malformed(format!("not JSON: {error}")))
}

/// A parser may repeat what it could not read, however long.
fn malformed(message: impl Into<String>) -> WireError {
    let message: String = message.into().chars().take(MAX_MESSAGE).collect();
    WireError::new(Code::Malformed, message)
}

fn unwritable(error: impl std::fmt::Display) -> WireError {
    WireError::new(Code::Internal, format!("the reply could not be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["obs", "x"];

    #[test]
    fn what_is_not_known_may_be_anything() {
        // {"z": a timestamp, "obs": 7, 3: nil, "y": 70000 texts}
        let mut body = vec![0x84, 0xa1, b'z', 0xd6, 0xff, 0, 0, 0, 0, 0xa3, b'o', b'b', b's', 7];
        body.extend([0x03, 0xc0, 0xa1, b'y', 0xdd, 0, 1, 0x11, 0x70]);
        body.extend([0xa1, b'a'].repeat(70_000));
        let map = Encoding::MessagePack.read(&body, KNOWN).unwrap();
        assert_eq!(map.len(), 1);
        assert_eq!(map[0].0.bytes(), b"obs");
    }

    #[test]
    fn a_brace_means_json_and_anything_else_message_pack() {
        assert_eq!(Encoding::of(b"{\"obs\":[0]}"), Encoding::Json);
        assert_eq!(Encoding::of(&[0x81, 0xa1, b'x', 0x01]), Encoding::MessagePack);
        assert_eq!(Encoding::of(b""), Encoding::MessagePack);
    }

    #[test]
    fn bytes_behind_the_map_are_malformed() {
        for tail in [&[0xc0][..], &[0xc4], &[0xdf, 0, 0], b"xyz"] {
            let mut body = vec![0x81, 0xa1, b'x', 0x01];
            body.extend_from_slice(tail);
            let error = Encoding::MessagePack.read(&body, KNOWN).unwrap_err();
            assert_eq!(error.message, "bytes behind the body's map", "tail {tail:?}");
        }
        assert_eq!(Encoding::Json.read(b"{} {}", KNOWN).unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn only_a_map_is_a_body() {
        for body in [&[0x92, 1, 2][..], &[0x07], &[0xa1, b'x'], &[0xc0], &[]] {
            assert_eq!(Encoding::MessagePack.read(body, KNOWN).unwrap_err().code, Code::Malformed);
        }
    }

    #[test]
    fn nesting_has_a_limit_in_both_encodings() {
        let mut deep = vec![0x81, 0xa3, b'o', b'b', b's'];
        deep.extend([0x91; 5000]);
        deep.push(0x01);
        assert_eq!(Encoding::MessagePack.read(&deep, KNOWN).unwrap_err().code, Code::Malformed);
        let json = format!("{{\"obs\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        assert_eq!(Encoding::Json.read(json.as_bytes(), KNOWN).unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn a_length_that_the_body_does_not_have_is_malformed() {
        // A list and a byte string that claim four thousand million elements.
        for claim in [&[0xdd, 0xff, 0xff, 0xff, 0xff, 1][..], &[0xc6, 0xff, 0xff, 0xff, 0xff, 1]] {
            let mut body = vec![0x81, 0xa3, b'o', b'b', b's'];
            body.extend_from_slice(claim);
            assert_eq!(Encoding::MessagePack.read(&body, KNOWN).unwrap_err().code, Code::Malformed);
        }
    }
}
