//! Asking a pool for actions to see whether and how fast it answers: `carla-rl ping` and
//! `carla-rl probe --answers`.
//!
//! [`observation`] makes a valid observation up from the pool's spec: a [`piece`] for each space,
//! of [`elements`] that the space has. [`target`] is a pool that is asked with it, [`report`] what
//! came of that.

pub mod elements;
pub mod observation;
pub mod piece;
pub mod report;
pub mod target;

pub use report::{Report, Times};
pub use target::{Answer, Target, Trouble};
