//! carla-rl: serves reinforcement-learning driving policies to fleets of simulators over NATS.
//!
//! In the order in which a request travels:
//!
//! - [`nats`] connects; [`worker`] takes requests off the queue group's subject, and at the end
//!   sends their replies.
//! - [`wire`] reads a request, MessagePack or JSON, and checks it: pure.
//! - [`batch`] is the one queue, where requests of many simulators become batches: pure.
//! - [`policy`] computes a batch on candle: normalisation, network, action head.
//! - [`artifact`] is a trained policy on disk, verified before it serves; checkpoints of other
//!   programs are imported as such.
//!
//! On the other side, [`fleet`] is a world of simulated vehicles that asks a pool what to do, and
//! [`imitation`] trains the example policy for it.
//!
//! From outside, [`view`] shows how the workers of a pool say they are, and [`ping`] asks one for an
//! action to see whether and how fast it answers. [`loadgen`] asks one as much as it can bear, and
//! measures.
//!
//! Around it: [`settings`], [`telemetry`], [`printable`] text, the [`cli`] and what its [`commands`] do, every
//! [`failure`] with its exit code, and a [`broker`] of our own for demonstrations and tests.

#![forbid(unsafe_code)]

// The tests' fixture names this crate as the integration tests do.
#[cfg(test)]
extern crate self as carla_rl;

pub mod artifact;
pub mod batch;
pub mod broker;
pub mod cli;
pub mod commands;
pub mod failure;
pub mod fleet;
pub mod imitation;
pub mod loadgen;
pub mod nats;
pub mod ping;
pub mod policy;
pub mod printable;
pub mod settings;
pub mod telemetry;
pub mod view;
pub mod wire;
pub mod worker;

#[cfg(test)]
#[path = "../tests/integration/said.rs"]
mod said;
#[cfg(test)]
#[path = "../tests/integration/tiny.rs"]
mod tiny;
#[cfg(test)]
#[path = "../tests/integration/waves.rs"]
mod waves;
