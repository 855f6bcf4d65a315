//! The `id` of a request: any scalar, echoed as it came.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::node::Node;

#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Bytes of an `id` that can be echoed even where a reply has no room.
const SHORT: usize = 64;

impl Scalar {
    pub fn is_short(&self) -> bool {
        match self {
            Scalar::Text(text) => text.len() <= SHORT,
            Scalar::Bytes(bytes) => bytes.len() <= SHORT,
            _ => true,
        }
    }

    /// `None` for a list, a map or nil.
    pub fn from_node(node: &Node<'_>) -> Option<Self> {
        Some(match node {
            Node::Bool(value) => Scalar::Bool(*value),
            Node::Int(value) => Scalar::Int(*value),
            Node::UInt(value) => Scalar::UInt(*value),
            Node::Float(value) => Scalar::Float(*value),
            Node::Text(value) => Scalar::Text(value.to_string()),
            Node::Bytes(value) => Scalar::Bytes(value.to_vec()),
            _ => return None,
        })
    }
}

impl Serialize for Scalar {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Scalar::Bool(value) => serializer.serialize_bool(*value),
            Scalar::Int(value) => serializer.serialize_i64(*value),
            Scalar::UInt(value) => serializer.serialize_u64(*value),
            Scalar::Float(value) => serializer.serialize_f64(*value),
            Scalar::Text(value) => serializer.serialize_str(value),
            Scalar::Bytes(value) => serializer.serialize_bytes(value),
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        Scalar::from_node(&node).ok_or_else(|| serde::de::Error::custom("expected a scalar"))
    }
}
