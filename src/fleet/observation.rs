//! What a policy gets to see of one vehicle.

use super::rays::{RANGE, RAYS, cast};
use super::vehicle::MAX_WHEEL_ANGLE;
use super::{Road, Vehicle};

/// Length of an observation as a vector.
pub const DIM: usize = 2 + RAYS;
/// Names of the features in the order of the vector; `sensors` takes [`RAYS`] places.
pub const FEATURES: [&str; 3] = ["speed", "steering", "sensors"];
/// Largest speed that an observation may say, km/h.
pub const MAX_SPEED: f32 = 200.0;

/// One observation, in the units of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// km/h, 0..200.
    pub speed: f32,
    /// Present wheel angle as a share of the largest, -1..1, positive to the left.
    pub steering: f32,
    /// Distances to the road's edge, m, 0..60, from 90 degrees right to 90 degrees left.
    pub sensors: [f32; RAYS],
}

impl Observation {
    /// What is seen from a vehicle that projects to `s` m along the road.
    pub fn of(road: &Road, vehicle: &Vehicle, s: f64) -> Self {
        let distances = cast(road, vehicle.x, vehicle.y, vehicle.heading, s);
        Self {
            speed: ((vehicle.speed * 3.6) as f32).clamp(0.0, MAX_SPEED),
            steering: ((vehicle.wheel / MAX_WHEEL_ANGLE) as f32).clamp(-1.0, 1.0),
            sensors: distances.map(|d| d.min(RANGE) as f32),
        }
    }

    /// Writes speed, steering and sensors, as they are, into `row` of length [`DIM`].
    ///
    /// # Panics
    /// If `row` has another length.
    pub fn write_to(&self, row: &mut [f32]) {
        assert_eq!(row.len(), DIM, "an observation has {DIM} values");
        row[0] = self.speed;
        row[1] = self.steering;
        row[2..].copy_from_slice(&self.sensors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_speed_in_kmh_then_steering_then_sensors() {
        let road = Road::generate(1);
        let place = road.at(20.0);
        let (x, y, heading) = (place.x, place.y, place.heading);
        let vehicle = Vehicle { x, y, heading, speed: 10.0, wheel: -0.25 };
        let observation = Observation::of(&road, &vehicle, 20.0);
        let mut row = [0.0; DIM];
        observation.write_to(&mut row);
        assert_eq!(row[..2], [36.0, -0.5]);
        assert_eq!(row[2..], observation.sensors);
        assert!((row[2] - 4.0).abs() < 0.05 && (row[DIM - 1] - 4.0).abs() < 0.05);
    }

    #[test]
    fn a_vehicle_at_the_left_edge_sees_it_on_its_left() {
        let road = Road::generate(1);
        let place = road.at(20.0);
        let (sin, cos) = place.heading.sin_cos();
        let vehicle = Vehicle {
            x: place.x - 3.0 * sin,
            y: place.y + 3.0 * cos,
            heading: place.heading,
            ..Vehicle::default()
        };
        let observation = Observation::of(&road, &vehicle, 20.0);
        assert!((observation.sensors[0] - 7.0).abs() < 0.1);
        assert!((observation.sensors[RAYS - 1] - 1.0).abs() < 0.1);
    }
}
