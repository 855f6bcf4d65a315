//! What is asked of a pool, again and again.

use bytes::Bytes;

use super::answer::Expected;
use crate::{
    ping::observation::Synthetic,
    wire::{Spec, subjects},
};

#[derive(Clone, Debug)]
pub struct Question {
    pub subject: String,
    pub body: Bytes,
    pub expected: Expected,
}

impl Question {
    /// So many rows for the pool that serves `spec` under `prefix`.
    ///
    /// # Errors
    /// A sentence: the pool does not take so many, or no observation can be made up.
    pub fn to_pool(prefix: &str, spec: &Spec, rows: usize) -> Result<Self, String> {
        if rows > spec.max_rows {
            let most = spec.max_rows;
            return Err(format!("--rows is {rows}, a request to this worker may hold {most}"));
        }
        let observation = Synthetic::of(spec)?;
        // As a simulator with one vehicle asks: without an axis for rows.
        let observation = if rows == 1 { observation } else { observation.rows(rows) };
        let body: Bytes = observation.request().map_err(|error| error.to_string())?.into();
        if body.len() > spec.max_bytes {
            let (size, most) = (body.len(), spec.max_bytes);
            return Err(format!("--rows: {rows} rows are {size} bytes, a request may have {most}"));
        }
        let expected = Expected::Action(shape(spec, rows));
        Ok(Self { subject: subjects::infer(prefix, &spec.model), body, expected })
    }

    /// The same bytes, which are to come back.
    pub fn to_echo(&self, subject: String) -> Self {
        let expected = Expected::Same(self.body.clone());
        Self { subject, body: self.body.clone(), expected }
    }
}

/// Of the actions.
fn shape(spec: &Spec, rows: usize) -> Vec<usize> {
    let one = spec.action_space.shape();
    if rows == 1 { one } else { [&[rows], &one[..]].concat() }
}
