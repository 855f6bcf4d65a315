//! The whole program against a real nats-server, one for each test, on a free port.

mod artifacts;
mod batching;
mod broken;
mod camera;
mod command_line;
mod deployed;
mod deployment;
mod dicts;
mod discrete;
mod documentation;
mod driving;
mod errors;
mod gate;
mod http;
mod importing;
mod invariance;
mod leaving;
mod lifecycle;
mod logs;
mod masks;
mod memory;
mod observability;
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
mod structure;
mod supervision;
mod support;
mod telemetry;
mod terminal;
mod termination;
mod tiny;
mod top;
#[cfg(feature = "otlp")]
mod traces;
mod watched;
mod waves;
