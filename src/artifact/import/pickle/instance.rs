//! Calls that nobody makes, and the objects that they stand for.

use super::{
    Value,
    node::{Made, Node},
};
use crate::artifact::import::error::{ImportError, Result};

/// What a pickle would have had called, with what, and what the result would have been given.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    pub callable: Value<'a>,
    pub arguments: Vec<Value<'a>>,
    /// Keyword arguments, a dict.
    pub keywords: Option<Value<'a>>,
    pub state: Option<Value<'a>>,
}

impl<'a> Value<'a> {
    /// What REDUCE, NEWOBJ, NEWOBJ_EX, OBJ or INST would have made.
    pub fn call(self) -> Option<Call<'a>> {
        let Node::Object(object) = self.node() else { return None };
        let Node::Tuple(arguments) = self.other(object.arguments).node() else { return None };
        Some(Call {
            callable: self.other(object.callable),
            arguments: self.others(arguments),
            keywords: object.keywords.map(|id| self.other(id)),
            state: object.state.map(|id| self.other(id)),
        })
    }

    /// The name of what a call calls, be it a function or a class.
    pub fn function(self) -> Option<(&'a str, &'a str)> {
        match self.node() {
            Node::Object(object) => self.other(object.callable).global(),
            _ => None,
        }
    }

    /// The class of an object. Before protocol 2 a function stands between the two.
    pub fn class(self) -> Option<(&'a str, &'a str)> {
        match self.function()? {
            ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__" | "__newobj_ex__") => {
                self.call()?.arguments.first()?.global()
            }
            class => Some(class),
        }
    }

    /// An attribute of an object, from its state: a dict, or a dict and one of slots.
    pub fn attribute(self, name: &str) -> Option<Value<'a>> {
        let state = self.call()?.state?;
        match state.node() {
            Node::Tuple(parts) => self.others(parts).into_iter().find_map(|part| part.get(name)),
            _ => state.get(name),
        }
    }

    /// The same, where it has to be there.
    ///
    /// # Errors
    /// It is not.
    pub fn require(self, name: &str) -> Result<Value<'a>> {
        self.attribute(name).ok_or_else(|| {
            ImportError::new(format!("the attribute {name} is missing in {}", self.describe()))
        })
    }

    /// Whether the pickle has it made as an instance of a class, not by calling a function.
    pub(super) fn is_instance(self) -> bool {
        let by_class = matches!(self.node(), Node::Object(object) if object.made == Made::Instance);
        by_class || self.class() != self.function()
    }
}
