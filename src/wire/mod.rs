//! The wire protocol, version 1: subjects, requests, replies, errors. Pure: bytes in, values out.
//!
//! A request body becomes a tree of [`node::Node`]s (one reader for MessagePack and JSON), the
//! tree a [`Request`], and the request, held against the model's observation space, [`Rows`].
//! Replies and errors go back in the [`Encoding`] in which the request came.

mod alongside;
pub mod dtype;
pub mod encoding;
pub mod error;
pub mod headers;
pub mod health;
pub mod named;
mod native;
pub mod node;
pub mod numbers;
pub mod observations;
pub mod reply;
pub mod request;
pub mod rows;
pub mod scalar;
pub mod snapshot;
pub mod space;
pub mod spec;
pub mod state;
pub mod subjects;
pub mod tensor;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod view;
mod writer;

pub use dtype::DType;
pub use encoding::Encoding;
pub use error::{Code, WireError};
pub use headers::Schedule;
pub use health::{Health, State};
pub use numbers::Numbers;
pub use observations::Observations;
pub use request::{Rejection, Request, Wants};
pub use rows::Rows;
pub use scalar::Scalar;
pub use snapshot::{Quantiles, Snapshot};
pub use space::Space;
pub use spec::Spec;
pub use state::StateForm;
pub use tensor::Tensor;
pub use trace::TraceContext;
pub use view::{TensorView, Values};
