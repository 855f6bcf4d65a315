//! A message that goes back to a client.

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::pending::ReplyTo;
use crate::wire::{
    Code, Scalar, WireError,
    error::ErrorBody,
    subjects::{ERROR_CODE_HEADER, ERROR_HEADER, REQUEST_ID_HEADER},
};

#[derive(Debug)]
pub struct Answer {
    pub to: ReplyTo,
    pub headers: Option<HeaderMap>,
    pub payload: Bytes,
    /// `None`: an action.
    pub error: Option<Code>,
}

impl Answer {
    /// An encoded reply. Headers cost a fifth of the throughput, so there are none unless the
    /// request asked for an echo.
    pub fn action(to: ReplyTo, payload: Bytes) -> Self {
        let headers = to.request_id.as_ref().map(|id| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID_HEADER, id.clone());
            headers
        });
        Self { to, headers, payload, error: None }
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
        Self { to: to.clone(), headers: Some(headers), payload, error: Some(error.code) }
    }

    /// Becomes an error with `id` if the broker would not carry it. The `Request-Id` is left out
    /// then: it may be what makes the answer too large.
    pub fn fit(&mut self, max_payload: usize, id: Option<&Scalar>) {
        let size = self.payload.len() + self.headers.as_ref().map_or(0, header_bytes);
        if size <= max_payload {
            return;
        }
        let error =
            WireError::new(Code::TooLarge, "the reply would be larger than the broker takes")
                .expected(format!(
                    "at most {max_payload} bytes (the broker's max_payload): ask for fewer rows, with a shorter id"
                ))
                .got(format!("{size} bytes"));
        self.to.request_id = None;
        *self = Self::error(&self.to, &error, id);
    }
}

/// What headers take on the wire: `NATS/1.0`, a line for each, an empty one.
fn header_bytes(headers: &HeaderMap) -> usize {
    let line = |(name, values): (&HeaderName, &Vec<HeaderValue>)| {
        let name: &str = name.as_ref();
        values.iter().map(|value| name.len() + value.as_str().len() + 4).sum::<usize>()
    };
    "NATS/1.0\r\n\r\n".len() + headers.iter().map(line).sum::<usize>()
}
