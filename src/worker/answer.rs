//! A message that goes back to a client.

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use super::pending::ReplyTo;
use crate::wire::{
    Code, Encoding, Scalar, WireError,
    error::ErrorBody,
    subjects::{ERROR_CODE_HEADER, ERROR_HEADER, REQUEST_ID_HEADER},
};

#[derive(Debug)]
pub struct Answer {
    pub inbox: Subject,
    pub headers: Option<HeaderMap>,
    pub payload: Bytes,
    /// `None`: an action.
    pub error: Option<Code>,
}

impl Answer {
    /// An encoded reply. Headers cost a fifth of the throughput, so there are none unless the
    /// request asked for an echo.
    pub fn action(to: &ReplyTo, body: Vec<u8>) -> Self {
        let headers = to.request_id.as_ref().map(|id| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID_HEADER, id.clone());
            headers
        });
        Self { inbox: to.inbox.clone(), headers, payload: body.into(), error: None }
    }

    pub fn error(to: &ReplyTo, error: &WireError, id: Option<&Scalar>) -> Self {
        let mut headers = HeaderMap::new();
        // A header is one line, whatever a parser's message holds.
        headers.insert(ERROR_HEADER, error.message.replace(['\r', '\n'], " ").as_str());
        headers.insert(ERROR_CODE_HEADER, error.code.number().to_string().as_str());
        if let Some(id) = &to.request_id {
            headers.insert(REQUEST_ID_HEADER, id.clone());
        }
        let body = to.encoding.write(&ErrorBody { error, id });
        let payload = body.map(Bytes::from).unwrap_or_default();
        Self { inbox: to.inbox.clone(), headers: Some(headers), payload, error: Some(error.code) }
    }

    /// This answer, or an error if the broker would not carry it.
    pub fn within(self, max_payload: usize, encoding: Encoding, id: Option<&Scalar>) -> Self {
        if self.payload.len() <= max_payload {
            return self;
        }
        let error =
            WireError::new(Code::TooLarge, "the reply would be larger than the broker takes")
                .expected(format!(
                    "at most {max_payload} bytes (the broker's max_payload): ask for fewer rows"
                ))
                .got(format!("{} bytes", self.payload.len()));
        let request_id = self.headers.as_ref().and_then(|h| h.get(REQUEST_ID_HEADER)).cloned();
        Self::error(&ReplyTo { inbox: self.inbox, encoding, request_id }, &error, id)
    }
}
