//! What comes with a request's rows besides observations: what a recurrent policy remembers of them,
//! where episodes start, and which actions are allowed.

use std::borrow::Cow;

use super::{
    error::{Code, WireError},
    node::{Array, Node},
    request::{Request, wrong_type},
    rows::Rows,
    state::StateForm,
    tensor::Tensor,
};

impl Request<'_> {
    /// What a recurrent policy remembers of `rows` rows: the state that came, or zeros, and zeros in
    /// rows whose episode starts. `None` for a policy without memory, which has nothing to reset, as
    /// in Stable-Baselines3; a wrong length is still a mistake worth telling.
    ///
    /// # Errors
    /// `unsupported` for a state that the policy has no use for, those of [`StateForm::read`], and
    /// `malformed` or `invalid_shape` for `episode_start`.
    pub fn memory(
        &self,
        form: Option<StateForm>,
        rows: usize,
    ) -> Result<Option<Vec<f32>>, WireError> {
        let starts = self.episode_starts(rows)?;
        let Some(form) = form else {
            return match self.state() {
                Some(_) => Err(without("state", "this policy is not recurrent")),
                None => Ok(None),
            };
        };
        let mut values = match self.state() {
            Some(node) => form.read(&read_bytes(node)?, rows)?,
            None => vec![0.0; rows * form.size],
        };
        for (row, _) in starts.iter().enumerate().filter(|(_, starts)| **starts) {
            values[row * form.size..(row + 1) * form.size].fill(0.0);
        }
        Ok(Some(values))
    }

    fn state(&self) -> Option<&Node<'_>> {
        self.alongside.as_ref()?.state.as_ref()
    }

    /// The action mask, `size` bytes of 0 or 1 for each row, if one came.
    ///
    /// # Errors
    /// `unsupported` for a policy that takes none (`size` is `None`), `invalid_shape`,
    /// `invalid_value` (neither 0 nor 1), and those of [`Tensor::from_node`].
    pub fn mask(
        &mut self,
        size: Option<usize>,
        rows: &Rows<&[u8]>,
    ) -> Result<Option<Vec<u8>>, WireError> {
        let mask = self.alongside.as_mut().and_then(|alongside| alongside.mask.take());
        let Some(node) = mask else { return Ok(None) };
        let size = size.ok_or_else(|| without("mask", "this policy takes no action masks"))?;
        let tensor = Tensor::from_node(node, "mask")?;
        let expected = if rows.single { vec![size] } else { vec![rows.count, size] };
        if tensor.shape[..] != expected {
            return Err(WireError::new(Code::InvalidShape, "the mask has another shape")
                .field("mask")
                .expected(format!("{expected:?}"))
                .got(format!("{:?}", tensor.shape)));
        }
        let values = tensor.to_f64();
        match values.iter().position(|x| *x != 0.0 && *x != 1.0) {
            Some(at) => Err(WireError::new(Code::InvalidValue, "a mask says yes or no")
                .field(match rows.single {
                    true => format!("mask[{at}]"),
                    false => format!("mask[{}][{}]", at / size, at % size),
                })
                .expected("0 or 1")
                .got(values[at].to_string())),
            None => Ok(Some(values.iter().map(|x| u8::from(*x == 1.0)).collect())),
        }
    }

    /// One for each of `rows` rows; none at all if nothing was said.
    fn episode_starts(&self, rows: usize) -> Result<Vec<bool>, WireError> {
        let starts: Vec<f64> =
            match self.alongside.as_ref().and_then(|alongside| alongside.episode_start.as_ref()) {
                None => return Ok(vec![]),
                Some(Node::Bytes(bytes)) => bytes.iter().map(|byte| f64::from(*byte)).collect(),
                Some(Node::Array(Array { shape, values, .. })) if shape.len() == 1 => {
                    values.clone()
                }
                Some(Node::Bool(start)) => vec![f64::from(u8::from(*start))],
                other => {
                    return Err(wrong_type("episode_start", "bytes 0/1 or a list of bools", other));
                }
            };
        if let Some(at) = starts.iter().position(|start| *start != 0.0 && *start != 1.0) {
            return Err(WireError::new(Code::InvalidValue, "an episode starts or does not")
                .field(format!("episode_start[{at}]"))
                .expected("0 or 1")
                .got(starts[at].to_string()));
        }
        if starts.len() == rows {
            return Ok(starts.iter().map(|start| *start == 1.0).collect());
        }
        Err(WireError::new(Code::InvalidShape, "episode_start has another number of rows")
            .field("episode_start")
            .expected(format!("{rows} (as many as rows of obs)"))
            .got(starts.len().to_string()))
    }
}

/// Bytes, or the list of numbers that JSON has for them.
fn read_bytes<'b>(node: &'b Node<'_>) -> Result<Cow<'b, [u8]>, WireError> {
    let is_byte = |x: &f64| (0.0..=255.0).contains(x) && x.fract() == 0.0;
    match node {
        Node::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
        Node::Array(Array { shape, values, .. })
            if shape.len() == 1 && values.iter().all(is_byte) =>
        {
            Ok(Cow::Owned(values.iter().map(|x| *x as u8).collect()))
        }
        other => Err(WireError::new(Code::Malformed, "wrong type")
            .field("state")
            .expected("bytes")
            .got(other.kind())),
    }
}

fn without(field: &str, message: &str) -> WireError {
    WireError::new(Code::Unsupported, message).field(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Numbers, Rejection};

    fn read(json: &str) -> Result<Request<'_>, Box<Rejection>> {
        Request::read(json.as_bytes())
    }

    const FORM: StateForm = StateForm { weights: 1, size: 2 };

    #[test]
    fn an_episodes_start_forgets_its_row_and_no_other() {
        let state = format!("{:?}", FORM.write(&[1.0, 2.0, 3.0, 4.0]));
        let memory = |fields: &str| {
            let text = format!("{{\"obs\": [[1], [2]]{fields}}}");
            read(&text).unwrap().memory(Some(FORM), 2).unwrap().unwrap()
        };
        assert_eq!(memory(""), [0.0; 4]);
        assert_eq!(memory(&format!(", \"state\": {state}")), [1.0, 2.0, 3.0, 4.0]);
        let starts = format!(", \"state\": {state}, \"episode_start\": [true, false]");
        assert_eq!(memory(&starts), [0.0, 0.0, 3.0, 4.0]);
    }

    #[test]
    fn a_policy_without_memory_refuses_a_state_and_takes_an_episodes_start() {
        let refused = read(r#"{"obs": [1], "state": [1]}"#).unwrap().memory(None, 1).unwrap_err();
        assert_eq!((refused.code, refused.field.as_deref()), (Code::Unsupported, Some("state")));
        let started = read(r#"{"obs": [1], "episode_start": [true]}"#).unwrap();
        assert_eq!(started.memory(None, 1), Ok(None));
        assert_eq!(started.memory(None, 2).unwrap_err().code, Code::InvalidShape);
        let neither = read(r#"{"obs": [1], "episode_start": [2]}"#).unwrap();
        assert_eq!(neither.memory(None, 1).unwrap_err().code, Code::InvalidValue);
    }

    #[test]
    fn a_mask_is_0_or_1_for_each_action_of_each_row() {
        let rows = |count, single| Rows { values: Numbers::F32(&[][..]), count, single };
        let mask = |text: &str, size, rows: Rows<&[u8]>| {
            read(&format!("{{\"obs\": [1], \"mask\": {text}}}")).unwrap().mask(size, &rows)
        };
        assert_eq!(mask("[1, 0, 1]", Some(3), rows(1, true)), Ok(Some(vec![1, 0, 1])));
        assert_eq!(mask("[[true, false]]", Some(2), rows(1, false)), Ok(Some(vec![1, 0])));
        for (text, size, rows, code) in [
            ("[1, 0]", Some(3), rows(1, true), Code::InvalidShape),
            ("[1, 0, 1]", Some(3), rows(1, false), Code::InvalidShape),
            ("[1, 2]", Some(2), rows(1, true), Code::InvalidValue),
            ("[1, 0]", None, rows(1, true), Code::Unsupported),
        ] {
            assert_eq!(mask(text, size, rows).unwrap_err().code, code, "{text}");
        }
    }
}
