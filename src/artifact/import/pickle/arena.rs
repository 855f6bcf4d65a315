//! Where the nodes lie, and the few ways in which they change after they were made.

use super::{
    MAX_DEPTH, MAX_NODES, MAX_TEXT,
    node::{Id, Node, Object},
};
use crate::artifact::import::error::{ImportError, Result};

/// Nodes with how deep each nests, as far as that was known when it got its parts.
#[derive(Debug, Default)]
pub struct Arena {
    nodes: Vec<Node>,
    depths: Vec<u16>,
}

impl Arena {
    /// No number of a node leads outside, since nothing but [`Arena::add`] gives them out.
    pub fn node(&self, id: Id) -> &Node {
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    /// # Errors
    /// Too many nodes, too deep, or a text that is too long.
    pub fn add(&mut self, node: Node) -> Result<Id> {
        if self.nodes.len() >= MAX_NODES {
            return Err(ImportError::new(format!("more than {MAX_NODES} values")));
        }
        check_length(&node)?;
        let depth = self.depth_over(&parts(&node))?;
        let id = u32::try_from(self.nodes.len()).map_err(ImportError::new)?;
        self.nodes.push(node);
        self.depths.push(depth);
        Ok(Id(id))
    }

    /// # Errors
    /// `to` is nothing that holds elements.
    pub fn append(&mut self, to: Id, items: &[Id]) -> Result<()> {
        self.deepen(to, items)?;
        match self.nodes.get_mut(to.0 as usize) {
            Some(Node::List(list) | Node::Set(list)) => list.extend_from_slice(items),
            Some(Node::Object(object)) => object.items.extend_from_slice(items),
            _ => return Err(ImportError::new("elements for what is no list, set or object")),
        }
        Ok(())
    }

    /// Keys and values by turns.
    ///
    /// # Errors
    /// `to` is nothing that holds entries, or the last key has no value.
    pub fn set(&mut self, to: Id, flat: &[Id]) -> Result<()> {
        self.deepen(to, flat)?;
        let (pairs, rest) = flat.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ImportError::new("a key without a value"));
        }
        let pairs = pairs.iter().map(|[key, value]| (*key, *value));
        match self.nodes.get_mut(to.0 as usize) {
            Some(Node::Dict(entries)) => entries.extend(pairs),
            Some(Node::Object(object)) => object.entries.extend(pairs),
            _ => return Err(ImportError::new("entries for what is no dict or object")),
        }
        Ok(())
    }

    /// # Errors
    /// `to` is no object, or has a state already: no pickler writes two.
    pub fn build(&mut self, to: Id, state: Id) -> Result<()> {
        self.deepen(to, &[state])?;
        match self.nodes.get_mut(to.0 as usize) {
            Some(Node::Object(object)) if object.state.is_none() => object.state = Some(state),
            Some(Node::Object(_)) => return Err(ImportError::new("a second state for an object")),
            _ => return Err(ImportError::new("a state for what is no object")),
        }
        Ok(())
    }

    fn deepen(&mut self, to: Id, parts: &[Id]) -> Result<()> {
        let depth = self.depth_over(parts)?;
        if let Some(known) = self.depths.get_mut(to.0 as usize) {
            *known = depth.max(*known);
        }
        Ok(())
    }

    fn depth_over(&self, parts: &[Id]) -> Result<u16> {
        let depths = parts.iter().filter_map(|part| self.depths.get(part.0 as usize));
        let depth = depths.max().map_or(0, |deepest| deepest.saturating_add(1));
        match depth <= MAX_DEPTH {
            true => Ok(depth),
            false => Err(ImportError::new(format!("nested more than {MAX_DEPTH} deep"))),
        }
    }
}

fn parts(node: &Node) -> Vec<Id> {
    match node {
        Node::List(items) | Node::Tuple(items) | Node::Set(items) => items.clone(),
        Node::Dict(entries) => entries.iter().flat_map(|(key, value)| [*key, *value]).collect(),
        Node::Object(object) => object_parts(object),
        Node::Persistent(id) => vec![*id],
        _ => vec![],
    }
}

fn object_parts(object: &Object) -> Vec<Id> {
    [object.callable, object.arguments].into_iter().chain(object.keywords).collect()
}

fn check_length(node: &Node) -> Result<()> {
    let length = match node {
        Node::Text(text) => text.len(),
        Node::Bytes(bytes) | Node::ByteText(bytes) => bytes.len(),
        _ => 0,
    };
    match length <= MAX_TEXT {
        true => Ok(()),
        false => Err(ImportError::new(format!("a text of more than {MAX_TEXT} bytes"))),
    }
}
