//! What a forward pass gives.

use std::ops::Range;

use crate::wire::Wants;

/// What one forward pass gives, row-major. Optional fields are there if they were wanted and the
/// policy has them ([`PolicySpec::wants`](super::PolicySpec::wants)).
///
/// To be used for one pass after the other: its memory is kept, that of fields which a pass leaves
/// out too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Output {
    /// In environment units.
    pub action: Actions,
    /// Before clipping or rescaling.
    pub raw_action: Actions,
    pub value: Option<Vec<f32>>,
    /// Natural logarithm of the density or probability of `raw_action`.
    pub log_prob: Option<Vec<f32>>,
    pub probs: Option<Vec<f32>>,
    pub q_values: Option<Vec<f32>>,
    /// Of a recurrent policy, what each row remembers from now on.
    pub state: Option<Vec<f32>>,
    /// Whether all numbers of a row are finite. The others must not leave the worker.
    pub sound: Vec<bool>,
    spare: Spare,
}

/// Actions of a box or of bits (f32), or of choices (i64).
#[derive(Clone, Debug, PartialEq)]
pub enum Actions {
    F32(Vec<f32>),
    I64(Vec<i64>),
}

/// Memory of optional fields that are not there now; no part of what an output says.
#[derive(Clone, Debug, Default)]
struct Spare(Vec<Vec<f32>>);

impl Output {
    /// Rows `rows` alone.
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let all = self.sound.len();
        let slice = |values: &Vec<f32>| values[scaled(&rows, values.len() / all)].to_vec();
        Self {
            action: self.action.rows(&rows, all),
            raw_action: self.raw_action.rows(&rows, all),
            value: self.value.as_ref().map(slice),
            log_prob: self.log_prob.as_ref().map(slice),
            probs: self.probs.as_ref().map(slice),
            q_values: self.q_values.as_ref().map(slice),
            state: self.state.as_ref().map(slice),
            sound: self.sound[rows.clone()].to_vec(),
            spare: Spare::default(),
        }
    }

    /// Puts the rows of `other`, from the same policy and with the same wants, behind these.
    pub fn append(&mut self, other: Self) {
        self.extend(&other);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.action.extend(&other.action);
        self.raw_action.extend(&other.raw_action);
        extend_optional(&mut self.value, &other.value);
        extend_optional(&mut self.log_prob, &other.log_prob);
        extend_optional(&mut self.probs, &other.probs);
        extend_optional(&mut self.q_values, &other.q_values);
        extend_optional(&mut self.state, &other.state);
        self.sound.extend_from_slice(&other.sound);
    }

    /// Without a row, and with the optional fields that are asked for.
    pub(super) fn renew(&mut self, wants: Wants, state: bool) {
        self.action.clear();
        self.raw_action.clear();
        self.sound.clear();
        for (field, wanted) in [
            (&mut self.value, wants.value),
            (&mut self.log_prob, wants.log_prob),
            (&mut self.probs, wants.probs),
            (&mut self.q_values, wants.q_values),
            (&mut self.state, state),
        ] {
            self.spare.renew(field, wanted);
        }
    }

    /// Of the last `rows` rows those stay sound whose numbers are finite.
    pub(super) fn check(&mut self, rows: usize, values: &[f32]) {
        let first = self.sound.len() - rows;
        check(&mut self.sound[first..], values);
    }

    /// The same for their actions.
    pub(super) fn check_actions(&mut self, rows: usize) {
        let (first, all) = (self.sound.len() - rows, self.sound.len());
        for actions in [&self.action, &self.raw_action] {
            if let Actions::F32(values) = actions {
                let last = &values[scaled(&(first..all), values.len() / all)];
                check(&mut self.sound[first..], last);
            }
        }
    }
}

impl Actions {
    /// Rows `rows` of `all` alone.
    pub fn rows(&self, rows: &Range<usize>, all: usize) -> Self {
        match self {
            Actions::F32(values) => Actions::F32(values[scaled(rows, values.len() / all)].to_vec()),
            Actions::I64(values) => Actions::I64(values[scaled(rows, values.len() / all)].to_vec()),
        }
    }

    /// Those of a box or of bits; those of choices, which another policy left, go.
    pub(super) fn floats_mut(&mut self) -> &mut Vec<f32> {
        if let Actions::I64(_) = self {
            *self = Actions::F32(Vec::new());
        }
        match self {
            Actions::F32(values) => values,
            Actions::I64(_) => unreachable!("they were just replaced"),
        }
    }

    /// Those of choices; others go.
    pub(super) fn choices_mut(&mut self) -> &mut Vec<i64> {
        if let Actions::F32(_) = self {
            *self = Actions::I64(Vec::new());
        }
        match self {
            Actions::I64(values) => values,
            Actions::F32(_) => unreachable!("they were just replaced"),
        }
    }

    fn clear(&mut self) {
        match self {
            Actions::F32(values) => values.clear(),
            Actions::I64(values) => values.clear(),
        }
    }

    fn extend(&mut self, other: &Self) {
        match other {
            Actions::F32(from) => self.floats_mut().extend_from_slice(from),
            Actions::I64(from) => self.choices_mut().extend_from_slice(from),
        }
    }
}

impl Default for Actions {
    fn default() -> Self {
        Actions::F32(Vec::new())
    }
}

impl Spare {
    fn renew(&mut self, field: &mut Option<Vec<f32>>, wanted: bool) {
        if let Some(mut values) = field.take() {
            values.clear();
            self.0.push(values);
        }
        if wanted {
            *field = Some(self.0.pop().unwrap_or_default());
        }
    }
}

impl PartialEq for Spare {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

fn scaled(rows: &Range<usize>, size: usize) -> Range<usize> {
    rows.start * size..rows.end * size
}

/// A later batch may leave out what no request of it wanted; then nobody wants it here either.
fn extend_optional(to: &mut Option<Vec<f32>>, from: &Option<Vec<f32>>) {
    match (to.as_mut(), from) {
        (Some(to), Some(from)) => to.extend_from_slice(from),
        _ => *to = None,
    }
}

/// A row with a number that is none is not sound. Without an end at the first, the compiler makes
/// vectors of it.
fn check(sound: &mut [bool], values: &[f32]) {
    let columns = values.len() / sound.len();
    if columns > 0 {
        for (sound, row) in sound.iter_mut().zip(values.chunks_exact(columns)) {
            *sound &= row.iter().fold(true, |all, x| all & x.is_finite());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(log_prob: bool) -> Wants {
        Wants { log_prob, ..Wants::default() }
    }

    #[test]
    fn a_field_that_a_pass_leaves_out_keeps_its_memory_for_the_next_one() {
        let mut output = Output::default();
        output.renew(wants(true), false);
        output.log_prob.as_mut().unwrap().extend([1.0; 40]);
        let at = output.log_prob.as_ref().unwrap().as_ptr();
        output.renew(wants(false), false);
        assert_eq!(output, Output::default(), "nothing is there");
        output.renew(wants(true), false);
        let again = output.log_prob.as_ref().unwrap();
        assert_eq!((again.len(), again.as_ptr()), (0, at));
    }

    #[test]
    fn a_row_is_sound_only_if_all_of_its_numbers_are_finite() {
        let mut output = Output { sound: vec![true; 4], ..Output::default() };
        output.check(3, &[1.0, f32::NAN, 2.0, 3.0, f32::INFINITY, 4.0]);
        assert_eq!(output.sound, [true, false, true, false]);
        output.action = Actions::F32(vec![f32::NAN, 0.0, 0.0, 1.0]);
        output.check_actions(3);
        assert_eq!(output.sound, [true, false, true, false], "of the last rows");
    }
}
