//! One value of a request's body, before anybody asks what it means.
//!
//! Lists of numbers are the one hot case, so they are kept flat, whatever their nesting.

use std::borrow::Cow;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Lists and maps of anything but numbers stay small: named observations are the longest.
const MAX_ITEMS: usize = 4096;

#[derive(Clone, Debug, PartialEq)]
pub enum Node<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    /// Only what does not fit an `i64`.
    UInt(u64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// Numbers or bools, nested evenly.
    Array(Array),
    /// Any other list, uneven ones of numbers among them.
    List(Vec<Node<'a>>),
    Map(Map<'a>),
}

/// The entries of a map, in the order in which they came.
pub type Map<'a> = Vec<(Key<'a>, Node<'a>)>;

/// A nested list of numbers, flattened in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    pub kind: Kind,
}

/// The widest kind of number in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Bool,
    Int,
    Float,
}

/// A map's key. Some clients write text as bytes, and three tensor forms tell themselves by that.
#[derive(Clone, Debug, PartialEq)]
pub enum Key<'a> {
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Other,
}

impl Node<'_> {
    /// What to call it in an error.
    pub fn kind(&self) -> String {
        match self {
            Node::Nil => "nil".into(),
            Node::Bool(value) => format!("the bool {value}"),
            Node::Int(value) => format!("the integer {value}"),
            Node::UInt(value) => format!("the integer {value}"),
            Node::Float(value) => format!("the number {value}"),
            Node::Text(_) => "text".into(),
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::Array(array) => format!("a list of numbers of shape {:?}", array.shape),
            Node::List(items) => format!("a list of {} items", items.len()),
            Node::Map(_) => "a map".into(),
        }
    }

    /// The number or bool as a list of its own, of shape `[]`.
    fn as_number(&self) -> Option<(f64, Kind)> {
        match self {
            Node::Bool(value) => Some((f64::from(u8::from(*value)), Kind::Bool)),
            Node::Int(value) => Some((*value as f64, Kind::Int)),
            Node::UInt(value) => Some((*value as f64, Kind::Int)),
            Node::Float(value) => Some((*value, Kind::Float)),
            _ => None,
        }
    }

    /// A number, bool or evenly nested list of them.
    pub fn into_array(self) -> Result<Array, Self> {
        match (self.as_number(), self) {
            (Some((value, kind)), _) => Ok(Array { shape: vec![], values: vec![value], kind }),
            (None, Node::Array(array)) => Ok(array),
            (None, other) => Err(other),
        }
    }
}

impl<'a> Key<'a> {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Key::Text(text) => text.as_bytes(),
            Key::Bytes(bytes) => bytes,
            Key::Other => b"",
        }
    }
}

impl<'de> Deserialize<'de> for Node<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("nil, a bool, a number, text, bytes, a list or a map")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Nil)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(i64::try_from(value).map_or(Node::UInt(value), Node::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<Node<'de>, E> {
        Ok(Node::Bytes(Cow::Borrowed(value)))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Node<'de>, E> {
        Ok(Node::Bytes(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node<'de>, A::Error> {
        let mut list = ListBuilder::default();
        while let Some(item) = items.next_element::<Node<'de>>()? {
            list.push(item).map_err(A::Error::custom)?;
        }
        Ok(list.finish())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Key<'de>>()? {
            if map.len() == MAX_ITEMS {
                return Err(A::Error::custom(format!("a map of more than {MAX_ITEMS} keys")));
            }
            map.push((key, entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

/// Reads a map, and of its values only those of these keys: the others may be of any kind and
/// size.
pub struct Known<'k>(pub &'k [&'k str]);

impl<'de> DeserializeSeed<'de> for Known<'_> {
    type Value = Map<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Map<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Known<'_> {
    type Value = Map<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("a map with string keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Map<'de>, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Key<'de>>()? {
            if self.0.iter().any(|known| known.as_bytes() == key.bytes()) {
                map.push((key, entries.next_value()?));
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(map)
    }
}

/// Keeps a list flat for as long as its items are numbers, or lists of one shape.
#[derive(Default)]
struct ListBuilder<'a> {
    flat: Option<Flat>,
    items: Vec<Node<'a>>,
}

struct Flat {
    item_shape: Vec<usize>,
    length: usize,
    values: Vec<f64>,
    kind: Kind,
}

impl<'a> ListBuilder<'a> {
    fn push(&mut self, item: Node<'a>) -> Result<(), String> {
        if !self.items.is_empty() {
            return self.push_item(item);
        }
        match item.into_array() {
            Ok(array) => self.push_array(array),
            Err(other) => {
                self.unflatten();
                self.push_item(other)
            }
        }
    }

    fn push_array(&mut self, array: Array) -> Result<(), String> {
        match &mut self.flat {
            None => {
                let Array { shape, values, kind } = array;
                self.flat = Some(Flat { item_shape: shape, length: 1, values, kind });
                Ok(())
            }
            Some(flat) if flat.item_shape == array.shape => {
                flat.length += 1;
                flat.values.extend_from_slice(&array.values);
                flat.kind = flat.kind.max(array.kind);
                Ok(())
            }
            Some(_) => {
                self.unflatten();
                self.push_item(Node::Array(array))
            }
        }
    }

    fn push_item(&mut self, item: Node<'a>) -> Result<(), String> {
        if self.items.len() == MAX_ITEMS {
            return Err(format!("an uneven or mixed list of more than {MAX_ITEMS} items"));
        }
        self.items.push(item);
        Ok(())
    }

    /// The list turned out uneven or mixed: what was flat becomes its first item, since nothing
    /// that reads such a list looks further than at its being one.
    fn unflatten(&mut self) {
        if let Some(Flat { item_shape, length, values, kind }) = self.flat.take() {
            let mut shape = vec![length];
            shape.extend(item_shape);
            self.items.push(Node::Array(Array { shape, values, kind }));
        }
    }

    fn finish(self) -> Node<'a> {
        match self.flat {
            Some(Flat { item_shape, length, values, kind }) => {
                let mut shape = vec![length];
                shape.extend(item_shape);
                Node::Array(Array { shape, values, kind })
            }
            None if self.items.is_empty() => {
                Node::Array(Array { shape: vec![0], values: vec![], kind: Kind::Float })
            }
            None => Node::List(self.items),
        }
    }
}

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Node::deserialize(deserializer)? {
            Node::Text(text) => Key::Text(text),
            Node::Bytes(bytes) => Key::Bytes(bytes),
            _ => Key::Other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Node<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn nested_numbers_become_one_flat_array() {
        let Node::Array(array) = json("[[1, 2, 3], [4, 5, 6.5]]") else { panic!("no array") };
        assert_eq!(array.shape, [2, 3]);
        assert_eq!(array.values, [1.0, 2.0, 3.0, 4.0, 5.0, 6.5]);
        assert_eq!(array.kind, Kind::Float);
    }

    #[test]
    fn bools_and_integers_keep_their_kind() {
        for (text, kind) in
            [("[true, false]", Kind::Bool), ("[true, 2]", Kind::Int), ("[1, 2]", Kind::Int)]
        {
            assert!(matches!(json(text), Node::Array(array) if array.kind == kind), "{text}");
        }
    }

    #[test]
    fn uneven_and_mixed_lists_are_no_arrays() {
        for text in ["[[1, 2], [3]]", "[1, [2]]", "[1, \"x\"]", "[{\"a\": 1}, 2]", "[null]"] {
            assert!(matches!(json(text), Node::List(_)), "{text}");
        }
    }

    #[test]
    fn empty_lists_have_a_shape() {
        assert!(matches!(json("[]"), Node::Array(array) if array.shape == [0]));
        assert!(matches!(json("[[], []]"), Node::Array(array) if array.shape == [2, 0]));
    }

    #[test]
    fn a_long_list_of_maps_is_refused_before_it_fills_memory() {
        let mut body = vec![0xdd, 0, 0, 0xff, 0xff];
        body.extend(std::iter::repeat_n(0x80, 0xffff));
        let error = rmp_serde::from_slice::<Node>(&body).unwrap_err().to_string();
        assert!(error.contains("more than 4096"), "{error}");
    }
}
