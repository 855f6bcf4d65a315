//! Requests as clients build them, and as nobody should.

mod forms;
mod hostile;

use serde::{Serialize, Serializer};

use super::{
    DType, Encoding, Rejection, Request, Rows, Space, Tensor, WireError, node::Node, space::Bound,
};

/// What a client may put into a body.
#[derive(Clone, Debug)]
enum Item {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'static str),
    Bytes(Vec<u8>),
    List(Vec<Item>),
    Map(Vec<(Item, Item)>),
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Item::Bool(value) => serializer.serialize_bool(*value),
            Item::Int(value) => serializer.serialize_i64(*value),
            Item::Float(value) => serializer.serialize_f64(*value),
            Item::Text(text) => serializer.serialize_str(text),
            Item::Bytes(bytes) => serializer.serialize_bytes(bytes),
            Item::List(items) => serializer.collect_seq(items),
            Item::Map(entries) => serializer.collect_map(entries.iter().map(|(k, v)| (k, v))),
        }
    }
}

/// With keys that are text.
fn map(entries: impl IntoIterator<Item = (&'static str, Item)>) -> Item {
    Item::Map(entries.into_iter().map(|(key, value)| (Item::Text(key), value)).collect())
}

/// With keys that are bytes, as Python's msgpack writes `b"nd"`.
fn map_of_bytes(entries: impl IntoIterator<Item = (&'static str, Item)>) -> Item {
    let bytes = |key: &str| Item::Bytes(key.as_bytes().to_vec());
    Item::Map(entries.into_iter().map(|(key, value)| (bytes(key), value)).collect())
}

fn native(dtype: &'static str, shape: &[usize], data: Vec<u8>) -> Item {
    let (dtype, data) = (Item::Text(dtype), Item::Bytes(data));
    map([("dtype", dtype), ("shape", sizes(shape)), ("data", data)])
}

fn sizes(shape: &[usize]) -> Item {
    Item::List(shape.iter().map(|size| Item::Int(*size as i64)).collect())
}

/// A nested list.
fn nested(shape: &[usize], values: &[f32]) -> Item {
    let Some((length, inner)) = shape.split_first() else {
        return Item::Float(f64::from(values[0]));
    };
    Item::List(values.chunks(values.len() / length).map(|part| nested(inner, part)).collect())
}

fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn body(encoding: Encoding, item: &Item) -> Vec<u8> {
    encoding.write(item).unwrap()
}

fn space(dtype: DType, shape: &[usize]) -> Space {
    let (low, high) = (Bound::Uniform(-1.0), Bound::Uniform(1.0));
    Space::Box { dtype, shape: shape.to_vec(), low, high }
}

const MAX_ROWS: usize = 8;

fn read_rows<'a>(
    body: &'a [u8],
    space: &Space,
    features: Option<&[String]>,
) -> Result<Rows<&'a [u8]>, Box<Rejection>> {
    let mut request = Request::read(body)?;
    let id = request.id.clone();
    request.rows(space, features, MAX_ROWS).map_err(|error| Box::new(Rejection { error, id }))
}
