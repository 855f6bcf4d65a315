//! One vehicle: a kinematic bicycle.
//!
//! Rajamani (2012), "Vehicle Dynamics and Control", 2.2, with the middle of the rear axle as the
//! point of reference: `x' = v cos h`, `y' = v sin h`, `h' = v tan(d) / L`. Polack, Altché,
//! d'Andréa-Novel and de La Fortelle (2017), "The Kinematic Bicycle Model: a Consistent Model for
//! Planning Feasible Trajectories for Autonomous Vehicles?", find it good up to a lateral
//! acceleration of about half of what the tyres can hold, 5 m/s² on dry asphalt.

/// Distance between the axles, m: a BMW 320i, as in Althoff, Koschi and Manzinger (2017),
/// "CommonRoad: Composable Benchmarks for Motion Planning on Roads".
pub const WHEELBASE: f64 = 2.58;
/// Largest angle of the front wheel, rad. With this wheelbase the outer front wheel of a car 1.6 m
/// wide turns in a circle of 12 m, about what passenger cars do.
pub const MAX_WHEEL_ANGLE: f64 = 0.5;
/// The front wheel turns no faster than this, rad/s (CommonRoad, as above).
pub const MAX_WHEEL_RATE: f64 = 0.4;
/// Acceleration at full throttle from standstill, m/s²: 100 km/h after about 9 s.
pub const MAX_ACCELERATION: f64 = 3.5;
/// Deceleration at full brake, m/s²: good tyres on dry asphalt.
pub const MAX_BRAKING: f64 = 8.0;
/// Where full throttle balances the drag, m/s: 180 km/h, within the 200 that a request may say.
pub const TOP_SPEED: f64 = 50.0;
/// Deceleration per squared speed, 1/m. One term for air, rolling and the engine's failing force.
pub const DRAG: f64 = MAX_ACCELERATION / (TOP_SPEED * TOP_SPEED);
/// The longest time step, s; a longer one is cut to this.
pub const MAX_STEP: f64 = 0.2;
/// The time step of the integration, s: within it the wheel turns by 0.004 rad at most.
const SUB_STEP: f64 = 0.01;

/// What a driver does. Values out of range are clamped, NaN counts as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Controls {
    /// Share of [`MAX_ACCELERATION`], 0..1.
    pub throttle: f32,
    /// Share of [`MAX_BRAKING`], 0..1.
    pub brake: f32,
    /// Wanted wheel angle as a share of [`MAX_WHEEL_ANGLE`], -1..1, positive to the left.
    pub steer: f32,
}

/// Where a vehicle is and how it moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vehicle {
    /// Middle of the rear axle, m.
    pub x: f64,
    /// Middle of the rear axle, m.
    pub y: f64,
    /// Direction, rad; not brought into one turn.
    pub heading: f64,
    /// Speed, m/s, never negative: there is no reverse gear.
    pub speed: f64,
    /// Angle of the front wheel, rad, positive to the left.
    pub wheel: f64,
}

impl Vehicle {
    /// Moves on by `dt` seconds under constant controls; `dt` is taken within `0..=MAX_STEP`.
    pub fn step(&mut self, controls: Controls, dt: f64) {
        let controls = controls.clamped();
        let steps = (dt.clamp(0.0, MAX_STEP) / SUB_STEP).ceil();
        for _ in 0..steps as usize {
            self.sub_step(controls, dt.min(MAX_STEP) / steps);
        }
    }

    /// Deceleration by drag at this speed, m/s².
    pub fn drag(&self) -> f64 {
        DRAG * self.speed * self.speed
    }

    fn sub_step(&mut self, controls: Controls, dt: f64) {
        let (speed, wheel) = (self.speed, self.wheel);
        let turn = f64::from(controls.steer) * MAX_WHEEL_ANGLE - wheel;
        self.wheel += turn.clamp(-MAX_WHEEL_RATE * dt, MAX_WHEEL_RATE * dt);
        let force = f64::from(controls.throttle) * MAX_ACCELERATION
            - f64::from(controls.brake) * MAX_BRAKING
            - self.drag();
        self.speed = (speed + force * dt).max(0.0);
        self.arc(0.5 * (speed + self.speed) * dt, 0.5 * (wheel + self.wheel));
    }

    /// Follows the circle of a wheel angle for `distance` m: exact for a wheel that is held.
    fn arc(&mut self, distance: f64, wheel: f64) {
        let half = 0.5 * distance * wheel.tan() / WHEELBASE;
        let chord = if half.abs() < 1e-9 { distance } else { distance * half.sin() / half };
        let (sin, cos) = (self.heading + half).sin_cos();
        self.x += chord * cos;
        self.y += chord * sin;
        self.heading += 2.0 * half;
    }
}

impl Controls {
    /// The same with each value in its range, and 0 for NaN.
    pub fn clamped(self) -> Self {
        let within = |value: f32, low: f32| {
            if value.is_nan() { 0.0 } else { value.clamp(low, 1.0) }
        };
        Self {
            throttle: within(self.throttle, 0.0),
            brake: within(self.brake, 0.0),
            steer: within(self.steer, -1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_straight_ahead_keeps_the_line() {
        let mut vehicle = Vehicle { heading: 0.6, speed: 10.0, ..Vehicle::default() };
        let controls = Controls { throttle: 0.4, ..Controls::default() };
        (0..100).for_each(|_| vehicle.step(controls, 0.05));
        assert_eq!(vehicle.heading, 0.6);
        assert!((vehicle.y - vehicle.x * 0.6_f64.tan()).abs() < 1e-9);
        assert!(vehicle.x > 30.0);
    }

    #[test]
    fn a_held_wheel_drives_the_circle_of_the_closed_formula() {
        let steer = 0.4_f32;
        let wheel = f64::from(steer) * MAX_WHEEL_ANGLE;
        let radius = WHEELBASE / wheel.tan();
        for dt in [0.01, 0.05, 0.2] {
            let mut vehicle = Vehicle { speed: 8.0, wheel, ..Vehicle::default() };
            for _ in 0..500 {
                vehicle.step(Controls { steer, ..steady(8.0) }, dt);
                let from_centre = vehicle.x.hypot(vehicle.y - radius);
                assert!((from_centre - radius).abs() < 1e-6, "{from_centre} {radius}");
            }
        }
    }

    #[test]
    fn full_throttle_tends_to_the_top_speed_from_below() {
        let mut vehicle = Vehicle::default();
        let controls = Controls { throttle: 1.0, ..Controls::default() };
        (0..1000).for_each(|_| vehicle.step(controls, 0.2));
        assert!(vehicle.speed <= TOP_SPEED && vehicle.speed > 0.999 * TOP_SPEED);
    }

    #[test]
    fn brakes_stop_the_vehicle_and_never_drive_it_backwards() {
        let mut vehicle = Vehicle { speed: 20.0, ..Vehicle::default() };
        let controls = Controls { brake: 1.0, ..Controls::default() };
        (0..20).for_each(|_| vehicle.step(controls, 0.2));
        assert_eq!(vehicle.speed, 0.0);
        // v²/2b, less a little for the drag.
        assert!(vehicle.x < 25.0 && vehicle.x > 23.0, "{}", vehicle.x);
    }

    #[test]
    fn the_wheel_turns_no_faster_than_its_limit() {
        let mut vehicle = Vehicle::default();
        vehicle.step(Controls { steer: 1.0, ..Controls::default() }, 0.1);
        assert!((vehicle.wheel - 0.1 * MAX_WHEEL_RATE).abs() < 1e-12);
        (0..50).for_each(|_| vehicle.step(Controls { steer: 1.0, ..Controls::default() }, 0.1));
        assert!((vehicle.wheel - MAX_WHEEL_ANGLE).abs() < 1e-12);
    }

    #[test]
    fn a_long_step_ends_close_to_where_short_steps_end() {
        let (mut long, mut short) = (Vehicle::default(), Vehicle::default());
        let controls = Controls { throttle: 1.0, brake: 0.0, steer: 0.3 };
        (0..10).for_each(|_| long.step(controls, 0.2));
        (0..200).for_each(|_| short.step(controls, 0.01));
        assert!((long.x - short.x).hypot(long.y - short.y) < 1e-6);
    }

    #[test]
    fn mad_controls_and_steps_leave_a_finite_vehicle() {
        let mad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -5.0];
        let mut vehicle = Vehicle { speed: 10.0, ..Vehicle::default() };
        for value in mad {
            let controls = Controls { throttle: value, brake: value, steer: value };
            for dt in [0.05, 1e9, -1.0, f64::NAN, f64::INFINITY] {
                vehicle.step(controls, dt);
                assert!(vehicle.x.is_finite() && vehicle.heading.is_finite());
                assert!((0.0..=TOP_SPEED).contains(&vehicle.speed));
            }
        }
        assert_eq!(
            Controls { throttle: f32::NAN, brake: 2.0, steer: -9.0 }.clamped(),
            Controls { throttle: 0.0, brake: 1.0, steer: -1.0 }
        );
    }

    /// Throttle that balances the drag.
    fn steady(speed: f64) -> Controls {
        let throttle = (DRAG * speed * speed / MAX_ACCELERATION) as f32;
        Controls { throttle, ..Controls::default() }
    }
}
