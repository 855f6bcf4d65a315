//! Load with an oracle, and faults for it: what the tests of the whole program and the fault runs
//! have in common.

pub mod echo;
pub mod load;
pub mod message;
pub mod oracle;
pub mod poison;
pub mod proxy;
pub mod simulator;
pub mod slow_reader;
