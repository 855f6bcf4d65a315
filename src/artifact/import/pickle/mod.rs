//! Pickles of protocols 0 to 5, as inert data.
//!
//! In Python a pickle may name any function and have it called. Here a name stays a name, a call
//! stays a call that nobody makes, and who wants a value out of them has to know the callable.
//!
//! All nodes lie in one [`Arena`] and refer to each other by number, as Python's objects do by
//! reference: a list that is memoised and filled afterwards is seen filled, a list may hold itself,
//! and however deep a pickle nests, neither reading nor dropping it recurses.

mod arena;
mod describe;
mod input;
mod instance;
mod literal;
mod machine;
mod node;
mod object;
mod opcode;
mod step;
#[cfg(test)]
mod tests;
mod value;

use arena::Arena;
use input::Input;
use machine::Machine;
use node::Id;
pub use value::Value;

use super::error::Result;

/// Nodes of one pickle: a checkpoint with a thousand tensors has some fifteen thousand.
pub const MAX_NODES: usize = 1 << 20;
/// Values on the machine's stack. Pickles hand over a list's elements by the thousand.
pub const MAX_STACK: usize = 1 << 18;
/// Collections begun and not yet finished.
pub const MAX_MARKS: usize = 1 << 10;
/// Python's own limit on nesting is about as high.
pub const MAX_DEPTH: u16 = 1 << 10;
/// Of one call. A list is looked at once, but many calls may share their arguments.
pub const MAX_ARGUMENTS: usize = 1 << 8;
pub const MAX_MEMO: usize = 1 << 20;
/// Bytes of one text. Up to protocol 2 an array's bytes are written as text.
pub const MAX_TEXT: usize = 1 << 27;

/// A pickle that was read to its STOP.
#[derive(Debug)]
pub struct Pickle {
    arena: Arena,
    root: Id,
}

impl Pickle {
    /// Reads one pickle from the beginning of `bytes`; what follows it is left alone.
    ///
    /// # Errors
    /// Where it stops making sense: cut short, an unknown opcode, beyond a limit.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut machine = Machine::new(Input::new(bytes));
        let root = machine.run()?;
        Ok(Self { arena: machine.finish(), root })
    }

    /// The value that the pickle is of.
    pub fn root(&self) -> Value<'_> {
        self.value(self.root)
    }

    fn value(&self, id: Id) -> Value<'_> {
        Value::new(self, id)
    }
}
