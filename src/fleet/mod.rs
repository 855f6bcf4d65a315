//! A fleet of simulated vehicles on a closed road, and how it drives over NATS.
//!
//! The world in which a policy can be taught and shown: [`road`] is what the vehicles drive on,
//! [`vehicle`] how they move, [`observation`] what they see through [`rays`], [`driver`] a teacher
//! that knows the map, [`world`] all of it together, [`trail`] where each vehicle has been and
//! [`picture`] a drawing of that. All of these are pure; [`remote`] drives the fleet with what a
//! pool of workers answers, in the words of [`exchange`], and keeps [`score`].
//!
//! Others may drive in their place: [`gym`] lets a [`program`] do so that has environments of its
//! own, and keeps score of what it [`report`]s.
//!
//! Metres, radians, seconds and m/s throughout; only an [`Observation`] speaks km/h, as the
//! requests do. Axes and signs are those of ISO 8855: x ahead, y and positive angles to the left.
//! Everything random comes from a seed, so a world can be run again.

pub mod driver;
pub mod exchange;
pub mod gym;
mod map;
pub mod observation;
pub mod picture;
pub mod program;
pub mod rays;
pub mod remote;
pub mod report;
pub mod road;
pub mod score;
mod shape;
pub mod trail;
pub mod vehicle;
pub mod world;

pub use observation::Observation;
pub use road::Road;
pub use vehicle::{Controls, Vehicle};
pub use world::World;

/// The seed of the road on which policies are shown; no policy is ever trained on it.
pub const DEMO_ROAD_SEED: u64 = 2019;
