//! What a recurrent policy remembers of a simulator, as clients carry it from reply to request.
//!
//! Opaque to them, all little-endian: the bytes `CRS` and a version, the weights that it belongs to
//! (u32, the first 8 hex digits of their SHA-256), rows (u32), numbers in a row (u32), a CRC-32 of the
//! numbers, and these (f32). The sum finds states that were cut and put together from rows, which a
//! policy would take for others.

use super::error::{Code, WireError};

const MAGIC: [u8; 3] = *b"CRS";
const VERSION: u8 = 1;
const HEADER: usize = 20;

/// Whose state it is. States of other weights mean nothing to a policy, whatever their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateForm {
    /// The first 32 bits of the weights' SHA-256.
    pub weights: u32,
    /// Numbers that are remembered of one row.
    pub size: usize,
}

impl StateForm {
    /// The state of as many rows as there are numbers for.
    pub fn write(self, values: &[f32]) -> Vec<u8> {
        let rows = values.len() / self.size.max(1);
        let mut bytes = Vec::with_capacity(HEADER + 4 * values.len());
        bytes.extend(MAGIC);
        bytes.push(VERSION);
        for number in [self.weights, rows as u32, self.size as u32, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let sum = crc32fast::hash(&bytes[HEADER..]);
        bytes[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The numbers of `rows` rows.
    ///
    /// # Errors
    /// `malformed` (no state of this version, or cut short), `invalid_value` (of other weights, or
    /// not finite), `invalid_shape` (of another number of rows).
    pub fn read(self, bytes: &[u8], rows: usize) -> Result<Vec<f32>, WireError> {
        let malformed = || {
            WireError::new(Code::Malformed, "this is no state of a reply")
                .field("state")
                .expected("the bytes of the last reply's state, as they came")
                .got(format!("{} bytes", bytes.len()))
        };
        let (header, values) = bytes.split_at_checked(HEADER).ok_or_else(malformed)?;
        if header[..3] != MAGIC || header[3] != VERSION {
            return Err(malformed());
        }
        let (numbers, _) = header[4..].as_chunks::<4>();
        let [weights, got, size, sum] = [0, 1, 2, 3].map(|at| u32::from_le_bytes(numbers[at]));
        if weights != self.weights {
            return Err(WireError::new(Code::InvalidValue, "this state is of other weights")
                .field("state")
                .expected(format!("a state of {:08x}, or none to begin anew", self.weights))
                .got(format!("{weights:08x}")));
        }
        if got as usize != rows {
            return Err(WireError::new(Code::InvalidShape, "state has another number of rows")
                .field("state")
                .expected(format!("{rows} (as many as rows of obs)"))
                .got(got.to_string()));
        }
        let whole = size as usize == self.size && values.len() == 4 * rows * self.size;
        if !whole || crc32fast::hash(values) != sum {
            return Err(malformed());
        }
        let (values, _) = values.as_chunks::<4>();
        let values: Vec<f32> = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(WireError::new(Code::InvalidValue, "the state is not finite")
                .field("state")
                .expected("the bytes of the last reply's state, as they came")
                .got(format!("{} at {at}", values[at]))),
            None => Ok(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: StateForm = StateForm { weights: 0x9d19_14cf, size: 2 };

    fn code(bytes: &[u8], rows: usize) -> Code {
        FORM.read(bytes, rows).unwrap_err().code
    }

    #[test]
    fn a_state_comes_back_as_it_went() {
        let values = [0.5, -1.0, 1e-30, 3.0];
        assert_eq!(FORM.read(&FORM.write(&values), 2).unwrap(), values);
    }

    #[test]
    fn what_is_no_state_of_these_rows_and_weights_is_refused() {
        let state = FORM.write(&[0.0; 4]);
        assert_eq!(code(&state, 1), Code::InvalidShape);
        let other = StateForm { weights: 7, ..FORM };
        assert_eq!(code(&other.write(&[0.0; 4]), 2), Code::InvalidValue);
        let wider = StateForm { size: 4, ..FORM };
        assert_eq!(code(&wider.write(&[0.0; 8]), 2), Code::Malformed);
        assert_eq!(code(&FORM.write(&[0.0, f32::NAN]), 1), Code::InvalidValue);
        for length in 0..state.len() {
            assert_eq!(code(&state[..length], 2), Code::Malformed, "{length} bytes");
        }
        assert_eq!(code(&[state.clone(), vec![0]].concat(), 2), Code::Malformed);
        for at in (0..4).chain(16..state.len()) {
            let mut changed = state.clone();
            changed[at] ^= 1;
            assert_eq!(code(&changed, 2), Code::Malformed, "byte {at}");
        }
    }
}
