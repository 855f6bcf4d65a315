//! carla-rl: serves reinforcement-learning driving policies to fleets of simulators over NATS.

#![forbid(unsafe_code)]

pub mod artifact;
pub mod batch;
pub mod fleet;
pub mod imitation;
pub mod nats;
pub mod policy;
pub mod settings;
pub mod telemetry;
pub mod wire;
pub mod worker;
