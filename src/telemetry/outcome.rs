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
    pub fn all() -> impl Iterator<Item = Self> {
        let errors = Code::ALL.into_iter().map(Outcome::Error);
        [Outcome::Ok]
            .into_iter()
            .chain(errors)
            .chain([Outcome::NoReplySubject, Outcome::PublishFailed])
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
