//! What the program says of itself while it runs.
//!
//! [`vitals`] is what is known of a worker, [`tally`] the part of it that is counted. A thread of its
//! own, [`monitor`], gives it to whoever asks: probes and Prometheus over HTTP (`http`, `probes`,
//! [`exposition`]), anyone on NATS (`reports`, `services`), and a supervisor (`supervisor`).

mod desk;
pub mod distribution;
pub mod exposition;
mod figures;
mod host;
mod http;
pub mod logs;
pub mod monitor;
pub mod names;
#[cfg_attr(not(feature = "otlp"), path = "no_otlp.rs")]
mod otlp;
mod outcome;
mod probes;
mod repeats;
mod reports;
mod rotation;
mod services;
#[cfg(feature = "otlp")]
mod spans;
pub mod specs;
mod stall;
mod supervisor;
pub mod tally;
pub mod traces;
pub mod vitals;
mod windows;

pub use figures::GIT;
pub use monitor::Monitor;
pub use outcome::Outcome;
pub use tally::Tally;
pub use vitals::{About, Vitals};
