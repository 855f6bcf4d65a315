//! Just enough of the protobuf wire format to look into an exported message, independently of the
//! code that wrote it.

/// Fields in their order: number and value.
#[derive(Clone, Debug)]
pub struct Message<'a>(Vec<(u64, Value<'a>)>);

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

impl<'a> Message<'a> {
    pub fn read(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)),
                1 => Value::Number(fixed(&mut bytes, 8)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    Value::Bytes(bytes.split_off(..length).unwrap())
                }
                5 => Value::Number(fixed(&mut bytes, 4)),
                wire_type => panic!("wire type {wire_type}"),
            };
            fields.push((key >> 3, value));
        }
        Self(fields)
    }

    /// 0 if it is left out, as proto3 has it.
    pub fn number(&self, field: u64) -> u64 {
        match self.values(field).next() {
            Some(Value::Number(number)) => number,
            None => 0,
            Some(Value::Bytes(_)) => panic!("field {field} is no number"),
        }
    }

    /// Empty if it is left out.
    pub fn bytes(&self, field: u64) -> &'a [u8] {
        match self.values(field).next() {
            Some(Value::Bytes(bytes)) => bytes,
            None => &[],
            Some(Value::Number(_)) => panic!("field {field} is a number"),
        }
    }

    pub fn message(&self, field: u64) -> Message<'a> {
        Message::read(self.bytes(field))
    }

    pub fn messages(&self, field: u64) -> impl Iterator<Item = Message<'a>> {
        self.values(field).map(|value| match value {
            Value::Bytes(bytes) => Message::read(bytes),
            Value::Number(_) => panic!("a number"),
        })
    }

    /// The value of an attribute, as text; attributes are in field 1 of a resource, 9 of a span.
    pub fn attribute(&self, field: u64, key: &str) -> String {
        let mut found = self.messages(field).filter(|attribute| text(attribute.bytes(1)) == key);
        let value = found.next().unwrap_or_else(|| panic!("no {key}")).message(2);
        match value.0[..] {
            [(1, Value::Bytes(bytes))] => text(bytes).to_owned(),
            [(3, Value::Number(integer))] => integer.to_string(),
            [(4, Value::Number(bits))] => f64::from_bits(bits).to_string(),
            _ => panic!("{key} is {value:?}"),
        }
    }

    fn values(&self, field: u64) -> impl Iterator<Item = Value<'a>> {
        self.0.iter().filter(move |(number, _)| *number == field).map(|(_, value)| *value)
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first().unwrap();
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number;
        }
    }
    panic!("an endless number");
}

fn fixed(bytes: &mut &[u8], length: usize) -> u64 {
    let digits = bytes.split_off(..length).unwrap();
    digits.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
