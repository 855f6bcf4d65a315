//! The worker: takes requests off NATS, batches them through a policy, replies.
//!
//! One thread runs all of NATS (`service`: intake, replies, membership), another one owns the
//! policy (`engine`). Between them stand the one queue (`queue`), where all waiting happens,
//! and a channel of one finished batch.

mod alarm;
mod answer;
mod canary;
mod confirmation;
mod endurance;
mod engine;
mod intake;
mod membership;
mod outbox;
mod pending;
mod queue;
mod refusal;
mod responder;
mod run;
mod saturation;
mod served;
mod service;
mod spec_service;
mod standstill;
mod stopped;
mod watchdog;
mod window;

pub use canary::Canary;
pub use run::{Setup, run};
pub use served::Served;
pub use stopped::Stopped;
pub use watchdog::Watchdog;
