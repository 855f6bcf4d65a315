//! One value of a pickle, as its readers see it.

use std::borrow::Cow;

use super::{
    Pickle,
    node::{Id, Node},
};

/// A handle on a node. Every accessor gives `None` where the value is of another kind.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    pickle: &'a Pickle,
    id: Id,
}

impl<'a> Value<'a> {
    pub(super) fn new(pickle: &'a Pickle, id: Id) -> Self {
        Self { pickle, id }
    }

    pub(super) fn node(self) -> &'a Node {
        self.pickle.arena.node(self.id)
    }

    pub(super) fn other(self, id: Id) -> Self {
        Self { id, ..self }
    }

    pub(super) fn others(self, ids: &[Id]) -> Vec<Self> {
        ids.iter().map(|id| self.other(*id)).collect()
    }

    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of 64 bits. Longer ones are nothing that a checkpoint counts.
    pub fn as_i64(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_usize(self) -> Option<usize> {
        usize::try_from(self.as_i64()?).ok()
    }

    /// Integers, too: `clip_obs=10` is written as one.
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    pub fn as_str(self) -> Option<&'a str> {
        match self.node() {
            Node::Text(text) => Some(text),
            Node::ByteText(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// `bytes` and `bytearray`, also as the older protocols write them: as a call that encodes a
    /// text of Latin-1.
    pub fn as_bytes(self) -> Option<Cow<'a, [u8]>> {
        self.written_bytes().or_else(|| match self.function()? {
            ("builtins" | "__builtin__", "bytes" | "bytearray") => self.converted_bytes(),
            _ => None,
        })
    }

    fn written_bytes(self) -> Option<Cow<'a, [u8]>> {
        match self.node() {
            Node::Bytes(bytes) | Node::ByteText(bytes) => Some(Cow::Borrowed(bytes)),
            _ if self.function()? == ("_codecs", "encode") => self.encoded_text(),
            _ => None,
        }
    }

    fn converted_bytes(self) -> Option<Cow<'a, [u8]>> {
        match self.call()?.arguments.as_slice() {
            [] => Some(Cow::Borrowed(&[])),
            [bytes] => bytes.written_bytes(),
            _ => self.encoded_text(),
        }
    }

    /// The bytes of a call with a text and the name of Latin-1.
    fn encoded_text(self) -> Option<Cow<'a, [u8]>> {
        let arguments = self.call()?.arguments;
        let [text, encoding] = arguments.as_slice() else { return None };
        let bytes = text.as_str()?.chars().map(|c| u8::try_from(u32::from(c)).ok());
        match encoding.as_str()? {
            "latin1" | "latin-1" => Some(Cow::Owned(bytes.collect::<Option<_>>()?)),
            _ => None,
        }
    }

    /// Of a list, tuple or set, and of an object that got elements, such as a deque.
    pub fn elements(self) -> Option<Vec<Self>> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => Some(self.others(items)),
            Node::Object(object) if !object.items.is_empty() => Some(self.others(&object.items)),
            // Sets before protocol 4.
            Node::Object(_) => match (self.function()?, self.call()?.arguments.as_slice()) {
                (("builtins" | "__builtin__", "set" | "frozenset"), [items]) => items.listed(),
                _ => None,
            },
            _ => None,
        }
    }

    fn listed(self) -> Option<Vec<Self>> {
        match self.node() {
            Node::List(items) | Node::Tuple(items) => Some(self.others(items)),
            _ => None,
        }
    }

    /// Of a dict or `OrderedDict`, and of an object that got entries, in the order in which they
    /// came. A key may come twice in a file that no pickler wrote.
    pub fn entries(self) -> Option<Vec<(Self, Self)>> {
        match self.node() {
            Node::Dict(entries) => Some(self.pairs(entries)),
            Node::Object(object) => {
                let is_dict = self.function() == Some(("collections", "OrderedDict"));
                let mut entries = if is_dict { self.initial_entries()? } else { vec![] };
                entries.extend(self.pairs(&object.entries));
                (is_dict || !entries.is_empty()).then_some(entries)
            }
            _ => None,
        }
    }

    fn pairs(self, entries: &[(Id, Id)]) -> Vec<(Self, Self)> {
        entries.iter().map(|(key, value)| (self.other(*key), self.other(*value))).collect()
    }

    /// Python 2 calls `OrderedDict` with a list of its entries.
    fn initial_entries(self) -> Option<Vec<(Self, Self)>> {
        match self.call()?.arguments.as_slice() {
            [] => Some(vec![]),
            [entries] => entries.listed()?.into_iter().map(Self::pair).collect(),
            _ => None,
        }
    }

    fn pair(self) -> Option<(Self, Self)> {
        match self.listed()?.as_slice() {
            [key, value] => Some((*key, *value)),
            _ => None,
        }
    }

    /// The entry of a text key; of keys that come twice, the later one, as in Python.
    pub fn get(self, key: &str) -> Option<Self> {
        let is_named = |name: Self| name.as_str() == Some(key);
        match self.node() {
            // Without a list of all of them, since this is how every attribute is found.
            Node::Dict(entries) => {
                let found = entries.iter().rev().find(|(name, _)| is_named(self.other(*name)));
                found.map(|(_, value)| self.other(*value))
            }
            _ => self.entries()?.into_iter().rev().find(|(name, _)| is_named(*name)).map(|e| e.1),
        }
    }

    /// Module and name of a class or function.
    pub fn global(self) -> Option<(&'a str, &'a str)> {
        match self.node() {
            Node::Global { module, name } => {
                Some((self.other(*module).as_str()?, self.other(*name).as_str()?))
            }
            _ => None,
        }
    }

    /// What the pickle calls something that lies outside of it.
    pub fn persistent(self) -> Option<Self> {
        match self.node() {
            Node::Persistent(id) => Some(self.other(*id)),
            _ => None,
        }
    }
}
