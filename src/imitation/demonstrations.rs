//! What the teacher would do, in the places to which a driver gets.

use candle_core::Result;
use rand::Rng;

use super::student::Student;
use crate::fleet::observation::DIM;
use crate::fleet::road::Road;
use crate::fleet::{Controls, DEMO_ROAD_SEED, World};

/// Number of actions: throttle, brake and steer.
pub const ACTIONS: usize = 3;
/// Time step of the worlds, s.
const STEP: f64 = 0.05;
/// One step in this many is kept: neighbours tell nearly the same.
const KEEP_EVERY: usize = 3;
/// Chance that a vehicle keeps its last controls for a step, as when a reply comes late.
const LATE: f64 = 0.05;
/// Chance that a push begins at a step, its length in steps and its largest share of full steer.
const PUSH: f64 = 0.02;
const PUSH_STEPS: std::ops::Range<u32> = 4..16;
const PUSH_STEER: f32 = 0.25;

/// Observations and the teacher's actions for them, row by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Demonstrations {
    /// Rows of [`DIM`] values, not normalised.
    pub observations: Vec<f32>,
    /// Rows of [`ACTIONS`] values.
    pub actions: Vec<f32>,
}

/// How much to collect at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Roads, each drawn anew.
    pub roads: usize,
    /// Vehicles on each road.
    pub vehicles: usize,
    /// Steps of 50 ms that each drives.
    pub steps: usize,
}

/// A vehicle's disturbance.
#[derive(Clone, Copy, Default)]
struct Disturbance {
    steer: f32,
    steps: u32,
    last: Controls,
}

impl Demonstrations {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.actions.len() / ACTIONS
    }

    /// Lets the student, or the teacher where there is none yet, drive on roads that are never the
    /// demonstration road, disturbed by pushes at the wheel and late replies, and asks the teacher
    /// all the time what it would have done.
    pub fn collect(
        &mut self,
        driver: Option<&Student>,
        extent: Extent,
        rng: &mut impl Rng,
    ) -> Result<()> {
        let mut worlds: Vec<World> = (0..extent.roads)
            .map(|_| World::new(Road::generate(unseen(rng)), extent.vehicles, rng.random()))
            .collect();
        let mut disturbances = vec![Disturbance::default(); extent.roads * extent.vehicles];
        for step in 0..extent.steps {
            let seen = Self::of(&worlds);
            let wanted = match driver {
                Some(student) => student.drive(&seen.observations)?,
                None => seen.controls(),
            };
            if step % KEEP_EVERY == 0 {
                self.append(&seen, &worlds);
            }
            let driven: Vec<_> = (disturbances.iter_mut().zip(wanted))
                .map(|(disturbance, controls)| disturbance.apply(controls, rng))
                .collect();
            for (world, controls) in worlds.iter_mut().zip(driven.chunks(extent.vehicles)) {
                world.step(controls, STEP);
            }
        }
        Ok(())
    }

    /// What each vehicle sees now and what the teacher says to that.
    fn of(worlds: &[World]) -> Self {
        let mut seen = Self::default();
        for (world, i) in worlds.iter().flat_map(|w| (0..w.vehicles()).map(move |i| (w, i))) {
            let mut row = [0.0; DIM];
            world.observe(i).write_to(&mut row);
            seen.observations.extend(row);
            let Controls { throttle, brake, steer } = world.teacher(i);
            seen.actions.extend([throttle, brake, steer]);
        }
        seen
    }

    /// Adds the rows of the vehicles that are on the road.
    fn append(&mut self, seen: &Self, worlds: &[World]) {
        let left = worlds.iter().flat_map(|w| (0..w.vehicles()).map(|i| w.has_left(i)));
        let pairs = seen.observations.chunks(DIM).zip(seen.actions.chunks(ACTIONS));
        for ((observation, action), _) in pairs.zip(left).filter(|(_, left)| !left) {
            self.observations.extend(observation);
            self.actions.extend(action);
        }
    }

    fn controls(&self) -> Vec<Controls> {
        controls(&self.actions)
    }
}

/// Rows of actions as controls, clamped.
pub fn controls(actions: &[f32]) -> Vec<Controls> {
    let control = |a: &[f32]| Controls { throttle: a[0], brake: a[1], steer: a[2] };
    actions.chunks_exact(ACTIONS).map(|a| control(a).clamped()).collect()
}

impl Disturbance {
    fn apply(&mut self, wanted: Controls, rng: &mut impl Rng) -> Controls {
        if rng.random_bool(PUSH) {
            self.steps = rng.random_range(PUSH_STEPS);
            self.steer = rng.random_range(-PUSH_STEER..PUSH_STEER);
        }
        if !rng.random_bool(LATE) {
            self.last = wanted;
        }
        let pushed = self.steps > 0;
        self.steps = self.steps.saturating_sub(1);
        Controls { steer: self.last.steer + if pushed { self.steer } else { 0.0 }, ..self.last }
    }
}

/// A seed for a road that isn't the demonstration road.
fn unseen(rng: &mut impl Rng) -> u64 {
    loop {
        let seed = rng.random();
        if seed != DEMO_ROAD_SEED {
            return seed;
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const EXTENT: Extent = Extent { roads: 2, vehicles: 3, steps: 31 };

    #[test]
    fn the_teacher_shows_every_vehicle_at_every_kept_step() {
        let shown = collected(1);
        assert_eq!(shown.rows(), 2 * 3 * 11);
        assert_eq!(shown.observations.len(), shown.rows() * DIM);
    }

    #[test]
    fn all_that_is_shown_is_within_the_bounds_of_a_request() {
        let shown = collected(2);
        for row in shown.observations.chunks(DIM) {
            assert!((0.0..=200.0).contains(&row[0]) && (-1.0..=1.0).contains(&row[1]));
            assert!(row[2..].iter().all(|sensor| (0.0..=60.0).contains(sensor)));
        }
        for (row, controls) in shown.actions.chunks(ACTIONS).zip(shown.controls()) {
            assert_eq!(row, [controls.throttle, controls.brake, controls.steer]);
        }
    }

    #[test]
    fn same_seed_same_demonstrations() {
        assert_eq!(collected(3), collected(3));
        assert_ne!(collected(3), collected(4));
    }

    #[test]
    fn vehicles_that_left_the_road_show_nothing() {
        let mut world = World::new(Road::generate(1), 2, 1);
        let away = Controls { throttle: 1.0, brake: 0.0, steer: 1.0 };
        for _ in 0..200 {
            let stay = world.teacher(1);
            world.step(&[away, stay], STEP);
        }
        let worlds = [world];
        let mut shown = Demonstrations::default();
        shown.append(&Demonstrations::of(&worlds), &worlds);
        assert_eq!(shown.rows(), 1);
    }

    #[test]
    fn a_push_ends_and_then_the_wanted_controls_are_driven() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut disturbance = Disturbance { steer: 0.2, steps: 1, ..Disturbance::default() };
        let wanted = Controls { throttle: 0.5, brake: 0.0, steer: 0.1 };
        let driven: Vec<_> = (0..20).map(|_| disturbance.apply(wanted, &mut rng)).collect();
        assert!((driven[0].steer - 0.3).abs() < 1e-6);
        assert!(driven.contains(&wanted));
    }

    fn collected(seed: u64) -> Demonstrations {
        let mut shown = Demonstrations::default();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        shown.collect(None, EXTENT, &mut rng).unwrap();
        shown
    }
}
