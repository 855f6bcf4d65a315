//! Numbers and texts as pickles spell them out.

use super::node::Node;
use crate::artifact::import::error::{ImportError, Result};

/// Little-endian, two's complement, of any length.
pub fn long(bytes: &[u8]) -> Node {
    let fill = if bytes.last().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let Some((head, tail)) = bytes.split_at_checked(8) else {
        let mut word = [fill; 8];
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        return Node::Int(i64::from_le_bytes(word));
    };
    let word = <[u8; 8]>::try_from(head).map_or(0, i64::from_le_bytes);
    // An integer of 64 bits may be written longer than it is.
    match tail.iter().all(|byte| *byte == fill) && (word < 0) == (fill != 0) {
        true => Node::Int(word),
        false => Node::LongInt(bytes.len()),
    }
}

/// A line of INT, where `00` and `01` are bools.
///
/// # Errors
/// No number.
pub fn int_line(line: &[u8]) -> Result<Node> {
    match line {
        b"00" => Ok(Node::Bool(false)),
        b"01" => Ok(Node::Bool(true)),
        digits => decimal(digits),
    }
}

/// A line of LONG, which ends with an `L`.
///
/// # Errors
/// No number.
pub fn long_line(line: &[u8]) -> Result<Node> {
    decimal(line.strip_suffix(b"L").unwrap_or(line))
}

fn decimal(digits: &[u8]) -> Result<Node> {
    let text = ascii(digits)?;
    if let Ok(number) = text.parse() {
        return Ok(Node::Int(number));
    }
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    match !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(Node::LongInt(digits.len())),
        false => Err(ImportError::new("no number where an integer is expected")),
    }
}

/// # Errors
/// No number.
pub fn float_line(line: &[u8]) -> Result<f64> {
    ascii(line)?.parse().map_err(|_| ImportError::new("no number where a float is expected"))
}

/// # Errors
/// No number of a memo's entry.
pub fn index_line(line: &[u8]) -> Result<u32> {
    ascii(line)?.parse().map_err(|_| ImportError::new("no number where a memo's entry is expected"))
}

fn ascii(line: &[u8]) -> Result<&str> {
    utf8(line).map(str::trim)
}

/// # Errors
/// The bytes are no UTF-8.
pub fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| ImportError::new("a text that is not UTF-8"))
}

/// A line of UNICODE: Latin-1, with `\uXXXX` and `\UXXXXXXXX` for the other characters.
///
/// # Errors
/// An escape of no character.
pub fn unicode_line(line: &[u8]) -> Result<String> {
    let mut text = String::new();
    let mut rest = line;
    while let Some((byte, after)) = rest.split_first() {
        rest = match (byte, after.first()) {
            (b'\\', Some(b'u')) => escaped(after, 4, &mut text)?,
            (b'\\', Some(b'U')) => escaped(after, 8, &mut text)?,
            _ => {
                text.push(char::from(*byte));
                after
            }
        };
    }
    Ok(text)
}

/// Reads the digits after the letter of an escape; gives what follows them.
fn escaped<'b>(after: &'b [u8], digits: usize, text: &mut String) -> Result<&'b [u8]> {
    let wrong = || ImportError::new("an escape that is no character");
    let (hex, rest) = after.get(1..).unwrap_or(&[]).split_at_checked(digits).ok_or_else(wrong)?;
    let code = u32::from_str_radix(utf8(hex)?, 16).map_err(|_| wrong())?;
    text.push(char::from_u32(code).ok_or_else(wrong)?);
    Ok(rest)
}

/// A line of STRING: quoted, with the escapes of a Python literal.
///
/// # Errors
/// Not quoted, or an escape that is none.
pub fn string_line(line: &[u8]) -> Result<Vec<u8>> {
    let inner = match line.trim_ascii() {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => return Err(ImportError::new("a string without quotes")),
    };
    let mut bytes = Vec::new();
    let mut rest = inner;
    while let Some((byte, after)) = rest.split_first() {
        rest = match byte {
            b'\\' => string_escape(after, &mut bytes)?,
            _ => {
                bytes.push(*byte);
                after
            }
        };
    }
    Ok(bytes)
}

fn string_escape<'b>(after: &'b [u8], bytes: &mut Vec<u8>) -> Result<&'b [u8]> {
    let wrong = || ImportError::new("an escape that is no byte");
    let (letter, rest) = after.split_first().ok_or_else(wrong)?;
    match letter {
        b'x' => {
            let (hex, rest) = rest.split_at_checked(2).ok_or_else(wrong)?;
            bytes.push(u8::from_str_radix(utf8(hex)?, 16).map_err(|_| wrong())?);
            return Ok(rest);
        }
        b'0'..=b'7' => return octal(after, bytes),
        b'n' => bytes.push(b'\n'),
        b't' => bytes.push(b'\t'),
        b'r' => bytes.push(b'\r'),
        b'a' => bytes.push(7),
        b'b' => bytes.push(8),
        b'v' => bytes.push(11),
        b'f' => bytes.push(12),
        b'\\' | b'\'' | b'"' => bytes.push(*letter),
        other => bytes.extend([b'\\', *other]),
    }
    Ok(rest)
}

/// One to three digits.
fn octal<'b>(digits: &'b [u8], bytes: &mut Vec<u8>) -> Result<&'b [u8]> {
    let is_octal = |byte: &&u8| (b'0'..=b'7').contains(*byte);
    let length = digits.iter().take(3).take_while(is_octal).count();
    let (digits, rest) = digits.split_at_checked(length).unwrap_or((&[], digits));
    let code = u32::from_str_radix(utf8(digits)?, 8).map_err(ImportError::new)?;
    // Python takes the low eight bits, too.
    bytes.push((code & 0xff) as u8);
    Ok(rest)
}
