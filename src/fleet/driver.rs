//! The teacher: a driver that reads the map.
//!
//! Steers by pure pursuit, Coulter (1992), "Implementation of the Pure Pursuit Path Tracking
//! Algorithm": along the circle that leads from the rear axle to a point of the centreline ahead.
//! Its speed is the highest from which it can still brake down to what each curve ahead allows.

use super::vehicle::{MAX_ACCELERATION, MAX_BRAKING, MAX_WHEEL_ANGLE, WHEELBASE};
use super::{Controls, Road, Vehicle};

/// Speed on a straight road, m/s: 72 km/h.
pub const CRUISE: f64 = 20.0;
/// Lateral acceleration that it allows itself in a curve, m/s²; the vehicle's model is good to 5.
pub const MAX_LATERAL: f64 = 3.5;
/// Deceleration with which it plans to reach a curve, m/s²: brisk, not an emergency.
const PLANNED_BRAKING: f64 = 3.0;
/// It looks ahead at the curves as far as braking from cruise to standstill could take, m.
const PREVIEW: f64 = CRUISE * CRUISE / (2.0 * PLANNED_BRAKING);
/// Distance of the curvatures it looks at, m.
const PREVIEW_STEP: f64 = 2.0;
/// The point that it pursues is as far ahead as it drives in this time, s, within the limits, m.
const LOOK_AHEAD: f64 = 0.8;
const MIN_LOOK_AHEAD: f64 = 5.0;
const MAX_LOOK_AHEAD: f64 = 18.0;
/// Time in which it would make up for a difference in speed, s.
const SPEED_RESPONSE: f64 = 0.5;

/// What the teacher does with a vehicle that projects to `s` m along the road.
pub fn controls(road: &Road, vehicle: &Vehicle, s: f64) -> Controls {
    let wanted = (target_speed(road, s) - vehicle.speed) / SPEED_RESPONSE + vehicle.drag();
    Controls {
        throttle: (wanted / MAX_ACCELERATION).clamp(0.0, 1.0) as f32,
        brake: (-wanted / MAX_BRAKING).clamp(0.0, 1.0) as f32,
        steer: (pursuit_angle(road, vehicle, s) / MAX_WHEEL_ANGLE).clamp(-1.0, 1.0) as f32,
    }
}

/// Wheel angle of the circle through the rear axle, along the heading, and the pursued point, rad.
fn pursuit_angle(road: &Road, vehicle: &Vehicle, s: f64) -> f64 {
    let ahead = (LOOK_AHEAD * vehicle.speed).clamp(MIN_LOOK_AHEAD, MAX_LOOK_AHEAD);
    let goal = road.at(s + ahead);
    let (dx, dy) = (goal.x - vehicle.x, goal.y - vehicle.y);
    let (sin, cos) = vehicle.heading.sin_cos();
    let left = cos * dy - sin * dx;
    (2.0 * WHEELBASE * left / (dx * dx + dy * dy)).atan()
}

/// The highest speed from which each curve ahead can be met by planned braking, m/s.
fn target_speed(road: &Road, s: f64) -> f64 {
    (0..=(PREVIEW / PREVIEW_STEP) as usize)
        .map(|i| {
            let distance = i as f64 * PREVIEW_STEP;
            let curve = curve_speed(road.at(s + distance).curvature);
            (curve * curve + 2.0 * PLANNED_BRAKING * distance).sqrt()
        })
        .fold(CRUISE, f64::min)
}

/// The speed at which a curve takes the lateral acceleration that is allowed, m/s.
fn curve_speed(curvature: f64) -> f64 {
    (MAX_LATERAL / curvature.abs().max(1e-6)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::World;
    use super::super::road::MAX_CURVATURE;
    use super::*;

    #[test]
    fn the_teacher_keeps_64_vehicles_on_the_road_at_20_and_at_10_hz() {
        for (seed, hz) in [(1, 20), (2, 20), (3, 20), (4, 10), (5, 10), (6, 10)] {
            let mut world = World::new(Road::generate(seed), 64, seed);
            drive(&mut world, 60 * hz, 1.0 / hz as f64);
            assert_eq!(world.left_road(), 0, "road {seed} at {hz} Hz");
        }
    }

    #[test]
    fn it_brakes_before_a_curve_and_not_only_in_it() {
        let (road, tightest) = (Road::generate(1), tightest(&Road::generate(1)));
        let fast = |before: f64| {
            let place = road.at(tightest - before);
            let (x, y, heading) = (place.x, place.y, place.heading);
            Vehicle { x, y, heading, speed: CRUISE, wheel: 0.0 }
        };
        let before = controls(&road, &fast(40.0), tightest - 40.0);
        assert!(before.brake > 0.0 && before.throttle == 0.0, "{before:?}");
        assert!(controls(&road, &fast(2.0), tightest - 2.0).brake > before.brake);
    }

    #[test]
    fn a_driven_curve_takes_little_more_than_the_lateral_acceleration_allowed() {
        let mut world = World::new(Road::generate(1), 16, 1);
        drive(&mut world, 200, 0.05);
        for _ in 0..400 {
            drive(&mut world, 1, 0.05);
            for i in 0..16 {
                let vehicle = world.vehicle(i);
                let lateral = vehicle.speed.powi(2) * vehicle.wheel.tan().abs() / WHEELBASE;
                assert!(lateral < 1.4 * MAX_LATERAL, "{lateral}");
            }
        }
    }

    #[test]
    fn a_slow_vehicle_on_the_centreline_accelerates_along_it() {
        let road = Road::generate(1);
        let place = road.at(0.0);
        let (x, y, heading) = (place.x, place.y, place.heading);
        let slow = Vehicle { x, y, heading, ..Vehicle::default() };
        let controls = controls(&road, &slow, 0.0);
        assert!(controls.throttle > 0.5 && controls.brake == 0.0);
        let circle = (WHEELBASE * MAX_CURVATURE).atan() / MAX_WHEEL_ANGLE;
        assert!(f64::from(controls.steer).abs() <= circle);
    }

    fn drive(world: &mut World, steps: usize, dt: f64) {
        for _ in 0..steps {
            let controls: Vec<_> = (0..world.vehicles()).map(|i| world.teacher(i)).collect();
            world.step(&controls, dt);
        }
    }

    /// Where the road turns most, m.
    fn tightest(road: &Road) -> f64 {
        let curvature = |s: &usize| road.at(*s as f64).curvature.abs();
        let most = (0..road.length() as usize).max_by(|a, b| curvature(a).total_cmp(&curvature(b)));
        most.unwrap() as f64
    }
}
