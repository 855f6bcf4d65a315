//! What the program says of itself while it runs.

pub mod logs;
pub mod names;
