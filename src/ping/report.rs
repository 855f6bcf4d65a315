//! What came of the requests.

use std::time::Duration;

use serde::Serialize;

use super::{Answer, Trouble};
use crate::wire::Spec;

/// All of it, for scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub subject: String,
    pub model: String,
    pub model_version: String,
    /// To the broker and back, without any worker.
    pub broker_ms: Option<Times>,
    pub sent: usize,
    /// With an action.
    pub answered: usize,
    pub errors: usize,
    /// Of those that were answered; absent if none was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<Times>,
    /// In the order of the requests.
    pub replies: Vec<Outcome>,
}

/// One request: what the reply said, or `{"error": {code, message}}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    Answer(Answer),
    Trouble { error: Trouble },
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Times {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Report {
    pub fn new(
        subject: &str,
        spec: &Spec,
        broker_ms: Option<Times>,
        replies: Vec<Outcome>,
    ) -> Self {
        let round_trips: Vec<_> = replies
            .iter()
            .filter_map(|outcome| match outcome {
                Outcome::Answer(answer) => Some(answer.round_trip_ms),
                Outcome::Trouble { .. } => None,
            })
            .collect();
        Self {
            subject: subject.to_owned(),
            model: spec.model.clone(),
            model_version: spec.model_version.clone(),
            broker_ms,
            sent: replies.len(),
            answered: round_trips.len(),
            errors: replies.len() - round_trips.len(),
            round_trip_ms: Times::of(round_trips),
            replies,
        }
    }

    /// The last line, for people.
    pub fn line(&self) -> String {
        let Self { sent, answered, errors, .. } = self;
        let times = self.round_trip_ms.map_or(String::new(), |times| format!("; {times}"));
        format!("{sent} sent, {answered} answered, {errors} errors{times}")
    }
}

impl From<Result<Answer, Trouble>> for Outcome {
    fn from(result: Result<Answer, Trouble>) -> Self {
        match result {
            Ok(answer) => Outcome::Answer(answer),
            Err(error) => Outcome::Trouble { error },
        }
    }
}

/// One line, for people.
impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Trouble { error: Trouble { code, message } } => write!(f, "{code}: {message}"),
            Outcome::Answer(answer) => {
                let Answer { worker, round_trip_ms, queue_us, compute_us, batch_rows, .. } = answer;
                write!(
                    f,
                    "{worker}  {round_trip_ms:.3} ms  queue {queue_us} µs  compute {compute_us} µs  batch {batch_rows}  version {}",
                    answer.model_version
                )
            }
        }
    }
}

impl Times {
    /// `None` of nothing.
    pub fn of(mut milliseconds: Vec<f64>) -> Option<Self> {
        milliseconds.sort_by(f64::total_cmp);
        let (first, last) = (*milliseconds.first()?, *milliseconds.last()?);
        let (low, high) = ((milliseconds.len() - 1) / 2, milliseconds.len() / 2);
        let median = (milliseconds[low] + milliseconds[high]) / 2.0;
        Some(Self { min: first, median, max: last })
    }

    pub fn of_durations(durations: &[Duration]) -> Option<Self> {
        Self::of(durations.iter().map(|duration| duration.as_secs_f64() * 1e3).collect())
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { min, median, max } = self;
        write!(f, "min {min:.3}, median {median:.3}, max {max:.3} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Times::of(vec![]), None);
        let of = |times: &[f64]| Times::of(times.to_vec()).unwrap();
        assert_eq!(of(&[3.0]), Times { min: 3.0, median: 3.0, max: 3.0 });
        assert_eq!(of(&[9.0, 1.0, 2.0]), Times { min: 1.0, median: 2.0, max: 9.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]).median, 3.0);
    }
}
