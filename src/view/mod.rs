//! A pool of workers as somebody sees it who only listens: what `carla-rl top` shows.
//!
//! Workers publish their health every two seconds and their counters every five. [`feed`] hears
//! that, [`pool`] keeps the last of it with a short [`history`] of each [`member`], and judges by
//! the arrival of messages, never by the clocks that wrote them, who is gone. A [`browser`] holds
//! what the person has chosen: order, filter, selection. [`screen`] and [`detail`] draw the two of
//! them, [`live`] brings in keys and time, and [`report`] prints them once.
//!
//! All but `feed`, `keyboard` and `live` is pure: messages and moments in, text out.

pub mod browser;
pub mod column;
pub mod detail;
pub mod feed;
pub mod figures;
pub mod history;
mod keyboard;
pub mod live;
pub mod member;
pub mod pool;
pub mod report;
pub mod screen;
pub mod series;
pub mod summary;
pub mod watch;

/// Moments are durations since the reader started.
pub type Moment = std::time::Duration;
