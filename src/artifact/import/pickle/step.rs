//! What each opcode does to the machine, but for those that name classes and functions.

use super::{literal, machine::Machine, node::Node, opcode as op};
use crate::artifact::import::error::{ImportError, Result};

/// The newest protocol there is.
const MAX_PROTOCOL: u8 = 5;

impl Machine<'_> {
    /// Does what one opcode says, STOP excepted.
    pub fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::PROTO => self.protocol(),
            op::FRAME => self.input.u64().and_then(|length| self.input.check_frame(length)),
            op::MARK => self.mark(),
            op::POP => self.discard(),
            op::POP_MARK => self.pop_to_mark().map(|_| ()),
            op::DUP => self.duplicate(),
            op::GET => self.input.line().and_then(literal::index_line).and_then(|i| self.get(i)),
            op::BINGET => self.input.u8().and_then(|index| self.get(index.into())),
            op::LONG_BINGET => self.input.u32().and_then(|index| self.get(index)),
            op::PUT => self.input.line().and_then(literal::index_line).and_then(|i| self.put(i)),
            op::BINPUT => self.input.u8().and_then(|index| self.put(index.into())),
            op::LONG_BINPUT => self.input.u32().and_then(|index| self.put(index)),
            op::MEMOIZE => self.memoize(),
            other => self.step_number(other),
        }
    }

    fn protocol(&mut self) -> Result<()> {
        match self.input.u8()? {
            0..=MAX_PROTOCOL => Ok(()),
            other => Err(ImportError::new(format!(
                "protocol {other}, expected one up to {MAX_PROTOCOL}"
            ))),
        }
    }

    fn step_number(&mut self, opcode: u8) -> Result<()> {
        let node = match opcode {
            op::NONE => Node::None,
            op::NEWTRUE => Node::Bool(true),
            op::NEWFALSE => Node::Bool(false),
            op::INT => literal::int_line(self.input.line()?)?,
            op::BININT => Node::Int(self.input.i32()?.into()),
            op::BININT1 => Node::Int(self.input.u8()?.into()),
            op::BININT2 => Node::Int(self.input.u16()?.into()),
            op::LONG => literal::long_line(self.input.line()?)?,
            op::LONG1 => {
                let length = self.input.u8()?;
                literal::long(self.input.take(length.into())?)
            }
            op::LONG4 => {
                let length = self.signed_length()?;
                literal::long(self.input.take_text(length)?)
            }
            op::FLOAT => Node::Float(literal::float_line(self.input.line()?)?),
            op::BINFLOAT => Node::Float(self.input.f64()?),
            other => return self.step_text(other),
        };
        self.push(node)
    }

    fn step_text(&mut self, opcode: u8) -> Result<()> {
        let node = match opcode {
            op::UNICODE => Node::Text(literal::unicode_line(self.input.line()?)?.into()),
            op::SHORT_BINUNICODE => self.input.u8().and_then(|length| self.text(length.into()))?,
            op::BINUNICODE => self.input.u32().and_then(|length| self.text(length.into()))?,
            op::BINUNICODE8 => self.input.u64().and_then(|length| self.text(length))?,
            op::STRING => Node::ByteText(literal::string_line(self.input.line()?)?.into()),
            op::SHORT_BINSTRING => {
                let length = self.input.u8()?;
                Node::ByteText(self.input.take_text(length.into())?.into())
            }
            op::BINSTRING => {
                let length = self.signed_length()?;
                Node::ByteText(self.input.take_text(length)?.into())
            }
            op::SHORT_BINBYTES => self.input.u8().and_then(|length| self.bytes(length.into()))?,
            op::BINBYTES => self.input.u32().and_then(|length| self.bytes(length.into()))?,
            op::BINBYTES8 | op::BYTEARRAY8 => {
                self.input.u64().and_then(|length| self.bytes(length))?
            }
            op::NEXT_BUFFER => Node::OutOfBand,
            // The buffer stays what it is: nobody writes to it here.
            op::READONLY_BUFFER => return self.top().map(|_| ()),
            other => return self.step_collection(other),
        };
        self.push(node)
    }

    fn text(&mut self, length: u64) -> Result<Node> {
        literal::utf8(self.input.take_text(length)?).map(|text| Node::Text(text.into()))
    }

    fn bytes(&mut self, length: u64) -> Result<Node> {
        self.input.take_text(length).map(|bytes| Node::Bytes(bytes.into()))
    }

    fn signed_length(&mut self) -> Result<u64> {
        let length = self.input.i32()?;
        u64::try_from(length).map_err(|_| ImportError::new(format!("a length of {length}")))
    }

    fn step_collection(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::EMPTY_LIST => self.push(Node::List(vec![])),
            op::EMPTY_TUPLE => self.push(Node::Tuple(vec![])),
            op::EMPTY_DICT => self.push(Node::Dict(vec![])),
            op::EMPTY_SET => self.push(Node::Set(vec![])),
            op::LIST => self.pop_to_mark().and_then(|items| self.push(Node::List(items))),
            op::TUPLE => self.pop_to_mark().and_then(|items| self.push(Node::Tuple(items))),
            op::FROZENSET => self.pop_to_mark().and_then(|items| self.push(Node::Set(items))),
            op::DICT => self.dict(),
            op::TUPLE1 => self.tuple(1),
            op::TUPLE2 => self.tuple(2),
            op::TUPLE3 => self.tuple(3),
            op::APPEND => {
                let item = self.pop()?;
                self.top().and_then(|list| self.arena.append(list, &[item]))
            }
            op::APPENDS | op::ADDITEMS => {
                let items = self.pop_to_mark()?;
                self.top().and_then(|list| self.arena.append(list, &items))
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.top().and_then(|dict| self.arena.set(dict, &[key, value]))
            }
            op::SETITEMS => {
                let flat = self.pop_to_mark()?;
                self.top().and_then(|dict| self.arena.set(dict, &flat))
            }
            other => self.step_object(other),
        }
    }

    fn tuple(&mut self, length: usize) -> Result<()> {
        let mut items = (0..length).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        self.push(Node::Tuple(items))
    }

    fn dict(&mut self) -> Result<()> {
        let flat = self.pop_to_mark()?;
        self.push(Node::Dict(vec![]))?;
        self.top().and_then(|dict| self.arena.set(dict, &flat))
    }
}
