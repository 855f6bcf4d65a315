//! The numbers of a request: read, or still where its message has them.

use std::ops::Range;

use bytes::Bytes;

use super::observations::Observations;

/// Numbers that have been checked. Those that come as a batch keeps them stay in the message, and go
/// from there right into their batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers<B> {
    Read(Observations),
    /// Little-endian.
    F32(B),
    U8(B),
}

impl<B: AsRef<[u8]>> Numbers<B> {
    pub fn len(&self) -> usize {
        match self {
            Numbers::Read(values) => values.len(),
            Numbers::F32(bytes) => bytes.as_ref().len() / 4,
            Numbers::U8(bytes) => bytes.as_ref().len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends elements `range` to a batch's.
    pub fn append_to(&self, batch: &mut Observations, range: Range<usize>) {
        match (self, batch) {
            (Numbers::Read(values), batch) => batch.extend(values, range),
            (Numbers::F32(bytes), Observations::F32(batch)) => {
                batch.extend(singles(&bytes.as_ref()[range.start * 4..range.end * 4]));
            }
            (Numbers::U8(bytes), Observations::U8(batch)) => {
                batch.extend_from_slice(&bytes.as_ref()[range]);
            }
            // A batch of another type, which the space these were checked for does not have.
            (numbers, batch) => batch.extend(&numbers.to_observations(), range),
        }
    }

    /// All of them, read.
    pub fn to_observations(&self) -> Observations {
        match self {
            Numbers::Read(values) => values.clone(),
            Numbers::F32(bytes) => Observations::F32(singles(bytes.as_ref()).collect()),
            Numbers::U8(bytes) => Observations::U8(bytes.as_ref().to_vec()),
        }
    }
}

impl Numbers<&[u8]> {
    /// The same, kept with the message, of which they are a part.
    pub fn kept_in(self, message: &Bytes) -> Numbers<Bytes> {
        match self {
            Numbers::Read(values) => Numbers::Read(values),
            Numbers::F32(bytes) => Numbers::F32(message.slice_ref(bytes)),
            Numbers::U8(bytes) => Numbers::U8(message.slice_ref(bytes)),
        }
    }

    /// The first number that is none as far as a network knows.
    pub fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Numbers::Read(values) => values.first_not_finite(),
            Numbers::U8(_) => None,
            Numbers::F32(bytes) => {
                // All at once: looking for the first one in pairs and fours is slower.
                let all = singles(bytes).fold(true, |finite, x| finite & x.is_finite());
                let mut numbers = singles(bytes).enumerate();
                let first = if all { None } else { numbers.find(|(_, x)| !x.is_finite()) };
                first.map(|(at, x)| (at, f64::from(x)))
            }
        }
    }
}

fn singles(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_message_are_those_that_are_read() {
        let values = [1.5f32, -0.0, 3e-41, 7.0];
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let message = Bytes::from([&b"x"[..], &bytes].concat());
        let there = Numbers::F32(&message[1..]).kept_in(&message);
        assert_eq!((there.len(), there.to_observations()), (4, Observations::F32(values.into())));
        let mut batch = Observations::F32(vec![9.0]);
        there.append_to(&mut batch, 1..3);
        assert_eq!(batch, Observations::F32(vec![9.0, -0.0, 3e-41]));
        let mut wide = Observations::F64(vec![]);
        Numbers::U8(&[7u8, 8][..]).append_to(&mut wide, 1..2);
        assert_eq!(wide, Observations::F64(vec![8.0]));
    }

    #[test]
    fn the_first_that_is_not_finite_is_found() {
        for (at, wrong) in [(0, f32::NAN), (5, f32::INFINITY), (6, f32::NEG_INFINITY)] {
            let mut values = [f32::MAX; 7];
            values[at] = wrong;
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            assert_eq!(Numbers::F32(&bytes[..]).first_not_finite().map(|(at, _)| at), Some(at));
        }
        assert_eq!(Numbers::F32(&f32::MAX.to_le_bytes()[..]).first_not_finite(), None);
    }
}
