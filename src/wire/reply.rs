//! What a simulator gets: the action, what it wanted besides, and where the time went.

use bytes::{Bytes, BytesMut};
use serde::Serialize;

use super::{
    Encoding, WireError,
    scalar::Scalar,
    view::{self, TensorView},
    writer::Writer,
};

/// The reply to a request with `obs`. Absent fields are left out.
#[derive(Debug, Serialize)]
pub struct Reply<'a> {
    /// In environment units, f4 for a box and for bits, i8 for choices. Shape: the action space's,
    /// with a leading axis of rows if the request had one.
    pub action: TensorView<'a>,
    /// f4, one for each row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<TensorView<'a>>,
    /// f4, the natural logarithm of the density (box) or probability (else) of `raw_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_prob: Option<TensorView<'a>>,
    /// The action before clipping or rescaling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw_action: Option<TensorView<'a>>,
    /// f4, one for each choice: of all elements of a multi-discrete space in turn, of each bit
    /// that it is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probs: Option<TensorView<'a>>,
    /// f4, one for each action of a discrete space.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q_values: Option<TensorView<'a>>,
    /// Of a recurrent policy: to be sent back with the next request ([`super::state`]).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<view::Bytes<'a>>,
    /// Of a sampled action.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    pub model_version: &'a str,
    /// The first 8 hex digits of the weights' SHA-256.
    pub weights: &'a str,
    pub worker: &'a str,
    /// Rows in the batch that this request was computed in (the last one, if it took several).
    pub batch_rows: usize,
    /// Microseconds from arrival to the start of the forward pass.
    pub queue_us: u64,
    /// Microseconds of the forward pass.
    pub compute_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a Scalar>,
}

impl Reply<'_> {
    /// Writes it behind what is in the buffer, and takes that part out of it.
    ///
    /// # Errors
    /// As [`Encoding::write`].
    pub fn write_in(&self, encoding: Encoding, buffer: &mut BytesMut) -> Result<Bytes, WireError> {
        match (encoding, self.id) {
            (Encoding::MessagePack, None) => {
                self.write(&mut Writer(buffer));
                Ok(buffer.split().freeze())
            }
            _ => encoding.write_in(self, buffer),
        }
    }

    fn write(&self, to: &mut Writer<'_>) {
        let Self { value, log_prob, raw_action, probs, q_values, .. } = self;
        let tensors = [
            ("value", value),
            ("log_prob", log_prob),
            ("raw_action", raw_action),
            ("probs", probs),
            ("q_values", q_values),
        ];
        let optional = tensors.iter().filter(|(_, tensor)| tensor.is_some()).count()
            + usize::from(self.state.is_some())
            + usize::from(self.seed.is_some());
        to.map(7 + optional);
        to.text("action");
        to.tensor(&self.action);
        for (name, tensor) in tensors {
            if let Some(tensor) = tensor {
                to.text(name);
                to.tensor(tensor);
            }
        }
        if let Some(view::Bytes(state)) = self.state {
            to.text("state");
            to.bytes(state);
        }
        if let Some(seed) = self.seed {
            to.text("seed");
            to.number(seed);
        }
        for (name, text) in [
            ("model_version", self.model_version),
            ("weights", self.weights),
            ("worker", self.worker),
        ] {
            to.text(name);
            to.text(text);
        }
        for (name, number) in [
            ("batch_rows", self.batch_rows as u64),
            ("queue_us", self.queue_us),
            ("compute_us", self.compute_us),
        ] {
            to.text(name);
            to.number(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Values;
    use proptest::{collection::vec, prelude::*};

    proptest! {
        /// Of all lengths and numbers at which the form changes.
        #[test]
        fn it_is_written_as_the_general_writer_does(
            values in vec(any::<f32>(), 1..3),
            several in prop::sample::select(vec![0usize, 63, 64, 65, 16_383, 16_384]),
            text in prop::sample::select(vec![0usize, 1, 31, 32, 255, 256, 65_536]),
            numbers in vec(0..64u32, 3),
            optional in vec(any::<bool>(), 7),
            state in prop::sample::select(vec![0usize, 255, 256, 65_535, 65_536]),
        ) {
            let choices = [i64::MIN, -1, 7];
            let (many, text, state) = (vec![0.5; several], "x".repeat(text), vec![7; state]);
            let tensor = |values| TensorView::new(&[1, 3, 300, 70_000][..], values);
            let [queue_us, compute_us, seed] =
                [0, 1, 2].map(|at| (u64::MAX >> numbers[at]).wrapping_add(u64::from(optional[at])));
            let reply = Reply {
                action: TensorView::new(&[values.len()][..], Values::F4(&values)),
                value: optional[0].then(|| tensor(Values::F4(&many))),
                log_prob: optional[1].then(|| TensorView::new(&[][..], Values::F4(&[1.0]))),
                raw_action: optional[2].then(|| tensor(Values::I8(&choices))),
                probs: optional[3].then(|| tensor(Values::F4(&values))),
                q_values: optional[4].then(|| tensor(Values::F4(&values))),
                state: optional[5].then_some(view::Bytes(&state)),
                seed: optional[6].then_some(seed),
                model_version: &text,
                weights: "0123abcd",
                worker: &text,
                batch_rows: numbers[0] as usize * 1000,
                queue_us,
                compute_us,
                id: None,
            };
            let mut buffer = BytesMut::from(&b"before"[..]);
            buffer.clear();
            let written = reply.write_in(Encoding::MessagePack, &mut buffer).unwrap();
            prop_assert_eq!(&written[..], &Encoding::MessagePack.write(&reply).unwrap()[..]);
        }
    }
}
