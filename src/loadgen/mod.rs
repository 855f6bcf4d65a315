//! Load on a pool, and what came of it: `carla-rl bench`.
//!
//! Pure: [`arrivals`] decide when is asked, [`slots`] which reply belongs to which request, a
//! [`recorder`] keeps what came back, [`latency`] sums it up, [`stages`] reads where a worker's time
//! went. A [`window`] holds all of that, [`results`] come from windows, and become a [`table`] or a
//! [`page`] of [`chart`]s, or are [`compare`]d with earlier ones.
//!
//! Over NATS: a [`mod@line`] is one connection that asks a [`question`] and judges the [`answer`],
//! [`load`] many of them, [`pacer`] what wakes them on time. [`echo`] is the barest thing that can
//! answer, which a worker is held against. [`forward`] needs no broker. [`usage`], [`energy`] and
//! [`machine`] ask the system.

pub mod answer;
pub mod arrivals;
pub mod cell;
pub mod chart;
pub mod compare;
pub mod echo;
pub mod energy;
pub mod forward;
pub mod latency;
pub mod line;
pub mod load;
pub mod machine;
pub mod pacer;
pub mod page;
pub mod question;
pub mod recorder;
pub mod results;
#[cfg(test)]
mod sample;
pub mod slots;
pub mod stages;
pub mod table;
pub mod usage;
pub mod window;

pub use arrivals::Arrivals;
pub use cell::Cell;
pub use latency::Latency;
pub use load::{Load, Moment};
pub use question::Question;
pub use recorder::Recorder;
pub use results::Results;
pub use window::Window;
