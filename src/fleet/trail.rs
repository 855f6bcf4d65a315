//! Where a vehicle has been, in bounded memory.

/// A trail that reaches this many points drops every other one.
const MAX_POINTS: usize = 1024;
/// Distance of the points of a trail at first, m.
const FINE: f32 = 2.0;

/// A place that a vehicle passed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Passed {
    /// Position, m.
    pub x: f32,
    /// Position, m.
    pub y: f32,
    /// Speed, m/s.
    pub speed: f32,
}

/// Places that one vehicle passed, in order, from its start to where it is.
///
/// They are 2 m apart on the first 2 km; each time the trail is full the distance doubles.
#[derive(Clone, Debug)]
pub struct Trail {
    points: Vec<Passed>,
    spacing: f32,
    last: Passed,
}

impl Trail {
    /// A trail that begins here.
    pub fn new(start: Passed) -> Self {
        Self { points: vec![start], spacing: FINE, last: start }
    }

    /// Takes note of where the vehicle is now.
    pub fn record(&mut self, now: Passed) {
        self.last = now;
        // `points` has its start from `new` on and thinning keeps it.
        let from = self.points[self.points.len() - 1];
        if (now.x - from.x).hypot(now.y - from.y) >= self.spacing {
            self.points.push(now);
        }
        if self.points.len() == MAX_POINTS {
            self.thin();
        }
    }

    /// The places kept, the newest last.
    pub fn points(&self) -> impl Iterator<Item = &Passed> {
        self.points.iter().chain([&self.last])
    }

    /// Where it began.
    pub fn start(&self) -> &Passed {
        &self.points[0]
    }

    /// Where it is now.
    pub fn end(&self) -> &Passed {
        &self.last
    }

    fn thin(&mut self) {
        self.spacing *= 2.0;
        let mut keep = [false, true].into_iter().cycle();
        self.points.retain(|_| keep.next() == Some(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_is_kept_from_start_to_end_in_bounded_memory() {
        let mut trail = Trail::new(at(0.0));
        (1..100_000).for_each(|i| trail.record(at(i as f32)));
        let kept: Vec<_> = trail.points().collect();
        assert!(kept.len() <= MAX_POINTS && kept.len() > MAX_POINTS / 4);
        assert_eq!((trail.start(), trail.end()), (&at(0.0), &at(99_999.0)));
        let gaps = kept.windows(2).map(|w| w[1].x - w[0].x);
        assert!(gaps.fold(0.0, f32::max) <= 2.0 * trail.spacing);
    }

    #[test]
    fn a_vehicle_that_stands_adds_no_points() {
        let mut trail = Trail::new(at(0.0));
        (0..5000).for_each(|_| trail.record(at(0.1)));
        assert_eq!(trail.points().count(), 2);
    }

    fn at(x: f32) -> Passed {
        Passed { x, y: 0.0, speed: 1.0 }
    }
}
