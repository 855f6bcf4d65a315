//! The opcodes that name classes and functions and have objects made of them. In Python these are
//! the ones that run code.

use super::{
    literal,
    machine::Machine,
    node::{Made, Node},
    opcode as op,
};
use crate::artifact::import::error::{ImportError, Result};

impl Machine<'_> {
    /// Does what one of these opcodes says; the last that are tried.
    ///
    /// # Errors
    /// It is no opcode at all, or its values are not on the stack.
    pub fn step_object(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::GLOBAL => self.global_lines(),
            op::STACK_GLOBAL => {
                let (name, module) = (self.pop()?, self.pop()?);
                self.push_global(module, name)
            }
            op::REDUCE => self.made_of_two(Made::Called),
            op::NEWOBJ => self.made_of_two(Made::Instance),
            op::NEWOBJ_EX => {
                let (keywords, arguments, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.push_object_with_keywords(class, arguments, keywords)
            }
            op::OBJ => self.obj(),
            op::INST => self.inst(),
            op::BUILD => {
                let state = self.pop()?;
                self.top().and_then(|object| self.arena.build(object, state))
            }
            op::PERSID => {
                let id = literal::utf8(self.input.line()?)?.into();
                let id = self.arena.add(Node::Text(id))?;
                self.push(Node::Persistent(id))
            }
            op::BINPERSID => self.pop().and_then(|id| self.push(Node::Persistent(id))),
            op::EXT1 => self.input.u8().and_then(|code| self.push(Node::Extension(code.into()))),
            op::EXT2 => self.input.u16().and_then(|code| self.push(Node::Extension(code.into()))),
            op::EXT4 => self.input.u32().and_then(|code| self.push(Node::Extension(code))),
            other => Err(ImportError::new(format!("the byte {other:#04x} is no opcode"))),
        }
    }

    /// A module and a name in it, a line each.
    fn global_lines(&mut self) -> Result<()> {
        let module = literal::utf8(self.input.line()?)?.into();
        let name = literal::utf8(self.input.line()?)?.into();
        let module = self.arena.add(Node::Text(module))?;
        let name = self.arena.add(Node::Text(name))?;
        self.push_global(module, name)
    }

    fn made_of_two(&mut self, made: Made) -> Result<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        self.push_object(made, callable, arguments)
    }

    /// The class lies below its arguments.
    fn obj(&mut self) -> Result<()> {
        let mut parts = self.pop_to_mark()?.into_iter();
        let class = parts.next().ok_or_else(|| ImportError::new("an object without a class"))?;
        let arguments = self.arena.add(Node::Tuple(parts.collect()))?;
        self.push_object(Made::Instance, class, arguments)
    }

    /// The class stands in the opcode, its arguments are on the stack.
    fn inst(&mut self) -> Result<()> {
        let arguments = self.pop_to_mark()?;
        self.global_lines()?;
        let class = self.pop()?;
        let arguments = self.arena.add(Node::Tuple(arguments))?;
        self.push_object(Made::Instance, class, arguments)
    }
}
