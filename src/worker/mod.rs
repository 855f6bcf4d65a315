//! The worker: takes requests off NATS, batches them through a policy, replies.
//!
//! One thread runs all of NATS (`service`: requests, replies, membership), another one computes
//! (`engine`), but for brief batches. Between them stand the one queue (`queue`), where all waiting
//! happens, and a channel of one finished batch. What a message becomes, and a batch, is the
//! `reception`'s; it knows nothing of the network, so that it can be measured without (`in_process`).

mod alarm;
mod answer;
mod canary;
mod confirmation;
mod endurance;
mod engine;
mod in_process;
mod intake;
mod membership;
mod outbox;
mod pending;
mod queue;
mod reception;
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
pub use in_process::InProcess;
pub use run::{Setup, run};
pub use served::Served;
pub use stopped::Stopped;
pub use watchdog::Watchdog;
