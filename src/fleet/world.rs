//! Vehicles on a road.
//!
//! The vehicles are ghosts to one another: they neither see nor hit each other, so that each is a
//! test of the policy by itself.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::driver;
use super::road::{Position, Road};
use super::trail::{Passed, Trail};
use super::{Controls, Observation, Vehicle};

/// How far from the centreline a vehicle may start, m.
const START_LATERAL: f64 = 1.5;
/// How far from the direction of the road it may head at first, rad.
const START_HEADING: f64 = 0.12;
/// Its speeds at first, m/s.
const START_SPEEDS: std::ops::Range<f64> = 4.0..12.0;

/// A road and the vehicles on it.
#[derive(Clone, Debug)]
pub struct World {
    road: Road,
    tracked: Vec<Tracked>,
}

/// A vehicle and what the world knows of it.
#[derive(Clone, Debug)]
struct Tracked {
    vehicle: Vehicle,
    position: Position,
    trail: Trail,
    left_road: bool,
}

impl World {
    /// Places vehicles all along the road, with lateral offsets, headings and speeds that differ;
    /// all of them start on the road.
    pub fn new(road: Road, vehicles: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let gap = road.length() / vehicles.max(1) as f64;
        let tracked = (0..vehicles)
            .map(|i| Tracked::start(&road, (i as f64 + rng.random_range(0.0..1.0)) * gap, &mut rng))
            .collect();
        Self { road, tracked }
    }

    /// The road.
    pub fn road(&self) -> &Road {
        &self.road
    }

    /// Number of vehicles, those that left the road among them.
    pub fn vehicles(&self) -> usize {
        self.tracked.len()
    }

    /// Vehicle `i`, `i < vehicles()`.
    pub fn vehicle(&self, i: usize) -> &Vehicle {
        &self.tracked[i].vehicle
    }

    /// Where vehicle `i` has been.
    pub fn trail(&self, i: usize) -> &Trail {
        &self.tracked[i].trail
    }

    /// Whether vehicle `i` left the road.
    pub fn has_left(&self, i: usize) -> bool {
        self.tracked[i].left_road
    }

    /// What vehicle `i` sees.
    pub fn observe(&self, i: usize) -> Observation {
        let tracked = &self.tracked[i];
        Observation::of(&self.road, &tracked.vehicle, tracked.position.s)
    }

    /// What the teacher would do with vehicle `i`.
    pub fn teacher(&self, i: usize) -> Controls {
        let tracked = &self.tracked[i];
        driver::controls(&self.road, &tracked.vehicle, tracked.position.s)
    }

    /// Moves every vehicle on by `dt` seconds, at most 0.2. One whose rear axle is beyond an edge
    /// at the end of a step has left the road: it stands there for good.
    ///
    /// # Panics
    /// If there isn't one `Controls` for each vehicle.
    pub fn step(&mut self, controls: &[Controls], dt: f64) {
        assert_eq!(controls.len(), self.tracked.len(), "one for each vehicle");
        for (tracked, controls) in self.tracked.iter_mut().zip(controls) {
            if !tracked.left_road {
                tracked.step(&self.road, *controls, dt);
            }
        }
    }

    /// Number of vehicles on the road.
    pub fn on_road(&self) -> usize {
        self.vehicles() - self.left_road()
    }

    /// Number of vehicles that left the road since the start.
    pub fn left_road(&self) -> usize {
        self.tracked.iter().filter(|t| t.left_road).count()
    }
}

impl Tracked {
    fn start(road: &Road, s: f64, rng: &mut impl Rng) -> Self {
        let place = road.at(s);
        let lateral = rng.random_range(-START_LATERAL..START_LATERAL);
        let (sin, cos) = place.heading.sin_cos();
        let vehicle = Vehicle {
            x: place.x - lateral * sin,
            y: place.y + lateral * cos,
            heading: place.heading + rng.random_range(-START_HEADING..START_HEADING),
            speed: rng.random_range(START_SPEEDS),
            wheel: 0.0,
        };
        Self {
            position: road.project_near(vehicle.x, vehicle.y, s),
            trail: Trail::new(passed(&vehicle)),
            vehicle,
            left_road: false,
        }
    }

    fn step(&mut self, road: &Road, controls: Controls, dt: f64) {
        let vehicle = &mut self.vehicle;
        vehicle.step(controls, dt);
        self.trail.record(passed(vehicle));
        self.position = road.project_near(vehicle.x, vehicle.y, self.position.s);
        self.left_road = self.position.lateral.abs() > road.half_width();
        if self.left_road {
            vehicle.speed = 0.0;
        }
    }
}

fn passed(vehicle: &Vehicle) -> Passed {
    Passed { x: vehicle.x as f32, y: vehicle.y as f32, speed: vehicle.speed as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_vehicles_start_on_the_road_and_no_two_alike() {
        for seed in 0..10 {
            let world = World::new(Road::generate(seed), 64, seed);
            assert_eq!((world.on_road(), world.left_road()), (64, 0));
            for tracked in &world.tracked {
                assert!(tracked.position.lateral.abs() < START_LATERAL + 0.1);
            }
            let first = world.vehicle(0);
            assert!((1..64).all(|i| world.vehicle(i).speed != first.speed));
        }
    }

    #[test]
    fn same_seed_same_world() {
        let run = |seed| {
            let mut world = World::new(Road::generate(1), 8, seed);
            for _ in 0..100 {
                let controls: Vec<_> = (0..8).map(|i| world.teacher(i)).collect();
                world.step(&controls, 0.05);
            }
            (0..8).map(|i| *world.vehicle(i)).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_vehicle_that_drives_off_is_counted_once_and_stands_for_good() {
        let mut world = World::new(Road::generate(1), 4, 1);
        let away = [Controls { throttle: 1.0, brake: 0.0, steer: 1.0 }; 4];
        for _ in 0..200 {
            world.step(&away, 0.05);
        }
        assert_eq!((world.on_road(), world.left_road()), (0, 4));
        let stopped = *world.vehicle(0);
        world.step(&away, 0.05);
        assert_eq!((world.left_road(), world.vehicle(0)), (4, &stopped));
        assert_eq!(stopped.speed, 0.0);
    }

    #[test]
    fn a_vehicle_is_where_its_projection_says_all_the_way_around() {
        let mut world = World::new(Road::generate(2), 4, 1);
        for _ in 0..2000 {
            let controls: Vec<_> = (0..4).map(|i| world.teacher(i)).collect();
            world.step(&controls, 0.05);
            for tracked in &world.tracked {
                let (x, y) = (tracked.vehicle.x, tracked.vehicle.y);
                assert_eq!(world.road.project(x, y), tracked.position);
            }
        }
    }
}
