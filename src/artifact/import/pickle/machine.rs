//! The stack, the marks and the memo of the pickle machine.

use std::collections::HashMap;

use super::{
    Arena, Input, MAX_ARGUMENTS, MAX_MARKS, MAX_MEMO, MAX_STACK,
    node::{Id, Made, Node, Object},
    opcode,
};
use crate::artifact::import::error::{ImportError, Result};

pub struct Machine<'b> {
    pub input: Input<'b>,
    pub arena: Arena,
    stack: Vec<Id>,
    /// How high the stack was at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'b> Machine<'b> {
    pub fn new(input: Input<'b>) -> Self {
        Self { input, arena: Arena::default(), stack: vec![], marks: vec![], memo: HashMap::new() }
    }

    /// Runs to the STOP; gives the value on top.
    pub fn run(&mut self) -> Result<Id> {
        loop {
            let at = self.input.position();
            let place = |error: ImportError| error.within(format!("the pickle, at byte {at}"));
            match self.input.u8().map_err(place)? {
                opcode::STOP => return self.pop().map_err(place),
                opcode => self.step(opcode).map_err(place)?,
            }
        }
    }

    /// The nodes.
    pub fn finish(self) -> Arena {
        self.arena
    }

    /// Makes a node and puts it on the stack.
    pub fn push(&mut self, node: Node) -> Result<()> {
        let id = self.arena.add(node)?;
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<()> {
        if self.stack.len() >= MAX_STACK {
            return Err(ImportError::new(format!("more than {MAX_STACK} values on the stack")));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Takes the top value, but none from below the last mark.
    pub fn pop(&mut self) -> Result<Id> {
        match self.stack.len() > self.floor() {
            true => self.stack.pop().ok_or_else(empty),
            false => Err(empty()),
        }
    }

    pub fn top(&self) -> Result<Id> {
        match self.stack.len() > self.floor() {
            true => self.stack.last().copied().ok_or_else(empty),
            false => Err(empty()),
        }
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub fn mark(&mut self) -> Result<()> {
        if self.marks.len() >= MAX_MARKS {
            return Err(ImportError::new(format!("more than {MAX_MARKS} collections at once")));
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// Takes the values above the last mark, and the mark.
    pub fn pop_to_mark(&mut self) -> Result<Vec<Id>> {
        let mark = self.marks.pop().ok_or_else(|| ImportError::new("no mark on the stack"))?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    /// POP: Python's pickler also drops a mark with it.
    pub fn discard(&mut self) -> Result<()> {
        match self.marks.last() {
            Some(mark) if *mark == self.stack.len() => self.pop_to_mark().map(|_| ()),
            _ => self.pop().map(|_| ()),
        }
    }

    pub fn duplicate(&mut self) -> Result<()> {
        self.top().and_then(|top| self.push_id(top))
    }

    pub fn get(&mut self, index: u32) -> Result<()> {
        let id = self.memo.get(&index).copied();
        self.push_id(id.ok_or_else(|| ImportError::new(format!("nothing memoised as {index}")))?)
    }

    /// The memo holds a reference: what is filled later is seen filled.
    pub fn put(&mut self, index: u32) -> Result<()> {
        if self.memo.len() >= MAX_MEMO {
            return Err(ImportError::new(format!("more than {MAX_MEMO} values memoised")));
        }
        let top = self.top()?;
        self.memo.insert(index, top);
        Ok(())
    }

    pub fn memoize(&mut self) -> Result<()> {
        let index = u32::try_from(self.memo.len()).map_err(ImportError::new)?;
        self.put(index)
    }

    /// Puts on the stack what calling `callable` would make.
    pub fn push_object(&mut self, made: Made, callable: Id, arguments: Id) -> Result<()> {
        self.check_arguments(arguments)?;
        self.push(Node::Object(Box::new(Object::new(made, callable, arguments))))
    }

    pub fn push_object_with_keywords(
        &mut self,
        callable: Id,
        arguments: Id,
        keywords: Id,
    ) -> Result<()> {
        self.check_arguments(arguments)?;
        let object = Object::new(Made::Instance, callable, arguments);
        self.push(Node::Object(Box::new(Object { keywords: Some(keywords), ..object })))
    }

    fn check_arguments(&self, arguments: Id) -> Result<()> {
        match self.arena.node(arguments) {
            Node::Tuple(items) if items.len() <= MAX_ARGUMENTS => Ok(()),
            Node::Tuple(items) => Err(ImportError::new(format!(
                "a call with {} arguments, the limit is {MAX_ARGUMENTS}",
                items.len()
            ))),
            _ => Err(ImportError::new("arguments that are no tuple")),
        }
    }

    /// A name whose parts are texts on the stack.
    pub fn push_global(&mut self, module: Id, name: Id) -> Result<()> {
        let is_text = |id| matches!(self.arena.node(id), Node::Text(_) | Node::ByteText(_));
        match is_text(module) && is_text(name) {
            true => self.push(Node::Global { module, name }),
            false => Err(ImportError::new("a name that is no text")),
        }
    }
}

fn empty() -> ImportError {
    ImportError::new("nothing on the stack")
}
