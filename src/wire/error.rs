//! Typed errors: what a client gets instead of an action.

use serde::{Deserialize, Serialize};

use super::Scalar;

/// Why a request got no action. The names are the wire's, [`Code::number`] goes into the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    Malformed,
    InvalidShape,
    InvalidDtype,
    InvalidValue,
    Unsupported,
    TooLarge,
    UnknownVersion,
    Overloaded,
    Expired,
    Superseded,
    Draining,
    Internal,
}

impl Code {
    pub const ALL: [Code; 12] = [
        Code::Malformed,
        Code::InvalidShape,
        Code::InvalidDtype,
        Code::InvalidValue,
        Code::Unsupported,
        Code::TooLarge,
        Code::UnknownVersion,
        Code::Overloaded,
        Code::Expired,
        Code::Superseded,
        Code::Draining,
        Code::Internal,
    ];

    /// As on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Code::Malformed => "malformed",
            Code::InvalidShape => "invalid_shape",
            Code::InvalidDtype => "invalid_dtype",
            Code::InvalidValue => "invalid_value",
            Code::Unsupported => "unsupported",
            Code::TooLarge => "too_large",
            Code::UnknownVersion => "unknown_version",
            Code::Overloaded => "overloaded",
            Code::Expired => "expired",
            Code::Superseded => "superseded",
            Code::Draining => "draining",
            Code::Internal => "internal",
        }
    }

    /// The number for the `Nats-Service-Error-Code` header, after HTTP's status codes.
    pub fn number(self) -> u16 {
        match self {
            Code::Malformed => 400,
            Code::InvalidShape | Code::InvalidDtype | Code::InvalidValue => 422,
            Code::Unsupported => 422,
            Code::TooLarge => 413,
            Code::UnknownVersion => 404,
            Code::Overloaded => 429,
            Code::Expired => 408,
            Code::Superseded => 409,
            Code::Draining => 503,
            Code::Internal => 500,
        }
    }
}

/// One failure, told to the person who sent the request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WireError {
    pub code: Code,
    pub message: String,
    /// Where in the request, like `obs` or `observations[3].speed`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub got: Option<String>,
    /// When it is worth trying again, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl WireError {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message, field: None, expected: None, got: None, retry_after_ms: None }
    }

    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub fn got(mut self, got: impl Into<String>) -> Self {
        self.got = Some(got.into());
        self
    }

    pub fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(field) = &self.field {
            write!(f, " (in {field})")?;
        }
        if let Some(expected) = &self.expected {
            write!(f, ", expected {expected}")?;
        }
        if let Some(got) = &self.got {
            write!(f, ", got {got}")?;
        }
        Ok(())
    }
}

impl std::error::Error for WireError {}

/// The body of an error reply.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    pub error: &'a WireError,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'a Scalar>,
}
