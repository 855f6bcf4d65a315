//! What to call a value in an error.

use super::{Value, node::Node};

/// Characters of a text or name that an error repeats.
const SHOWN: usize = 60;

impl Value<'_> {
    /// Like `the integer 5`, `a dict of 3 entries`, `a call of os.system`.
    pub fn describe(self) -> String {
        match self.node() {
            Node::None => "None".into(),
            Node::Bool(true) => "True".into(),
            Node::Bool(false) => "False".into(),
            Node::Int(value) => format!("the integer {value}"),
            Node::LongInt(length) => format!("an integer of {length} digits or bytes"),
            Node::Float(value) => format!("the number {value}"),
            Node::Text(text) => format!("the text {:?}", shortened(text)),
            Node::Bytes(bytes) | Node::ByteText(bytes) => counted("", bytes.len(), "byte"),
            Node::List(items) => counted("a list of ", items.len(), "element"),
            Node::Tuple(items) => counted("a tuple of ", items.len(), "element"),
            Node::Set(items) => counted("a set of ", items.len(), "element"),
            Node::Dict(entries) => counted("a dict of ", entries.len(), "entry"),
            Node::Global { .. } => format!("the name {}", self.name()),
            Node::Object(_) => self.describe_object(),
            Node::Persistent(_) => "a reference to something outside of the pickle".into(),
            Node::Extension(code) => format!("the registered extension {code}"),
            Node::OutOfBand => "a buffer outside of the pickle".into(),
        }
    }

    fn describe_object(self) -> String {
        let Some((module, name)) = self.class() else {
            return "a call of what is no plain name".into();
        };
        let name = shortened(&format!("{module}.{name}"));
        match self.is_instance() {
            true => format!("an object of {name}"),
            false => format!("a call of {name}"),
        }
    }

    /// Module and name, of what has one.
    fn name(self) -> String {
        let (module, name) = self.global().unwrap_or_default();
        shortened(&format!("{module}.{name}"))
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn counted(before: &str, count: usize, unit: &str) -> String {
    let many = match unit.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{unit}s"),
    };
    format!("{before}{count} {}", if count == 1 { unit } else { &many })
}
