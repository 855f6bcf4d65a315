//! The whole program against a real nats-server, one for each test, on a free port.

#[allow(dead_code, reason = "the fault runs use the rest of it")]
#[path = "../common/mod.rs"]
mod common;

mod allocation;
mod artifacts;
mod asker;
mod batching;
mod bench;
mod brief;
mod broken;
mod camera;
mod command_line;
mod corpora;
mod deadlines;
mod deployed;
mod deployment;
mod dicts;
mod discrete;
mod documentation;
mod driving;
mod endurance;
mod errors;
mod faults;
mod gate;
mod gym_demo;
mod http;
mod importing;
mod invariance;
mod lame_duck;
mod leaving;
mod lifecycle;
mod load;
mod logs;
mod masks;
mod memory;
mod observability;
mod oracle;
mod ping;
mod pool;
mod probe;
mod promql;
#[cfg(feature = "otlp")]
mod protobuf;
mod q_values;
mod round_trip;
mod said;
mod security;
mod simulators;
mod structure;
mod supervision;
mod support;
#[path = "../../fuzz/src/lib.rs"]
mod targets;
mod telemetry;
mod terminal;
mod termination;
mod tiny;
mod top;
#[cfg(feature = "otlp")]
mod traces;
mod watched;
mod waves;
