//! How a request ended.

use crate::wire::Code;

/// Every request that a worker takes ends in exactly one of these ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An action was handed to the NATS client.
    Ok,
    /// An error was.
    Error(Code),
    /// There was nobody to answer.
    NoReplySubject,
    /// The NATS client did not take the reply.
    PublishFailed,
}

impl Outcome {
    /// How many there are.
    pub const COUNT: usize = Code::ALL.len() + 3;

    pub fn all() -> impl Iterator<Item = Self> {
        let errors = Code::ALL.into_iter().map(Outcome::Error);
        [Outcome::Ok]
            .into_iter()
            .chain(errors)
            .chain([Outcome::NoReplySubject, Outcome::PublishFailed])
    }

    /// Its place among all.
    pub fn index(self) -> usize {
        match self {
            Outcome::Ok => 0,
            Outcome::Error(code) => 1 + code as usize,
            Outcome::NoReplySubject => Self::COUNT - 2,
            Outcome::PublishFailed => Self::COUNT - 1,
        }
    }

    /// The metrics' label.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Error(code) => code.name(),
            Outcome::NoReplySubject => "no_reply_subject",
            Outcome::PublishFailed => "publish_failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_place() {
        let places: Vec<_> = Outcome::all().map(Outcome::index).collect();
        assert_eq!(places, (0..Outcome::COUNT).collect::<Vec<_>>());
    }
}
