//! The one queue. Pure: it knows no messages, no device and no clock; `now` is passed in.
//!
//! Requests come in with a number of rows and leave in batches, in the order of their arrival.
//! Work-conserving: with no delay set, whatever waits is due as soon as somebody asks for it.

mod batcher;

pub use batcher::{Batch, Batcher, Closed, Full, Limits, Part};
