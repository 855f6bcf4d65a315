//! Distances from a vehicle to the edges of the road.

use std::f64::consts::PI;

use super::road::{HALF_WIDTH, MAX_CURVATURE, Road};

/// Number of rays: one every 10 degrees.
pub const RAYS: usize = 19;
/// A ray sees no further than this, m.
pub const RANGE: f64 = 60.0;

/// How far along the road a ray's first hit can be, m per m of ray.
///
/// Up to its first hit a ray stays between the edges, so the place on the centreline beside it
/// moves with it without a jump, and at a lateral offset `n` and curvature `c` at most
/// `1 / (1 - n c)` times as fast (arc length in Frenet coordinates). That has its largest value at
/// the inner edge of the tightest curve. Edges within `RANGE` times this are thus all that a ray
/// from a point on the road can hit first, and looking at no others is exact.
const STRETCH: f64 = 1.0 / (1.0 - HALF_WIDTH * MAX_CURVATURE);

/// Distance to the first edge along each ray, m, in `0..=RANGE`.
///
/// Ray 0 looks 90 degrees to the right of `heading`, the middle one ahead, the last one 90 degrees
/// to the left. `s` is where `(x, y)` projects to on the road. Off the road the distances are
/// those to the edges nearby, and may miss one that is further along the road.
pub fn cast(road: &Road, x: f64, y: f64, heading: f64, s: f64) -> [f64; RAYS] {
    let points = road.left().len();
    // The shortest road is longer than twice the reach, so nothing is looked at twice.
    let reach = (RANGE * STRETCH / road.spacing()) as usize + 2;
    let first = ((s / road.spacing()) as usize + points - reach) % points;
    let mut distances = [RANGE; RAYS];
    for edge in [road.left(), road.right()] {
        let near: Vec<[f64; 2]> =
            around(edge, first, 2 * reach).map(|p| [p[0] - x, p[1] - y]).collect();
        for (ray, distance) in distances.iter_mut().enumerate() {
            *distance = distance.min(first_hit(&near, heading + angle(ray)));
        }
    }
    distances
}

/// Direction of a ray relative to the vehicle's heading, rad, positive to the left.
pub fn angle(ray: usize) -> f64 {
    PI * (ray as f64 / (RAYS - 1) as f64 - 0.5)
}

/// `count` points of a closed polyline from `first` on, and the one after them.
fn around(edge: &[[f64; 2]], first: usize, count: usize) -> impl Iterator<Item = &[f64; 2]> {
    edge[first..].iter().chain(edge.iter().cycle()).take(count + 1)
}

/// Distance from the origin along a direction to the first crossing with a polyline, m.
fn first_hit(points: &[[f64; 2]], direction: f64) -> f64 {
    let (sin, cos) = direction.sin_cos();
    let side = |p: &[f64; 2]| cos * p[1] - sin * p[0];
    let ahead = |p: &[f64; 2]| cos * p[0] + sin * p[1];
    let mut nearest = f64::INFINITY;
    for pair in points.windows(2) {
        let (a, b) = (side(&pair[0]), side(&pair[1]));
        if (a < 0.0) != (b < 0.0) {
            let share = a / (a - b);
            let distance = ahead(&pair[0]) + share * (ahead(&pair[1]) - ahead(&pair[0]));
            if distance >= 0.0 {
                nearest = nearest.min(distance);
            }
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn rays_agree_with_all_segments_tested_one_by_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for seed in 0..8 {
            let road = Road::generate(seed);
            for _ in 0..60 {
                let place = road.at(rng.random_range(0.0..road.length()));
                let lateral = rng.random_range(-3.95..3.95);
                let x = place.x - lateral * place.heading.sin();
                let y = place.y + lateral * place.heading.cos();
                let heading = rng.random_range(-PI..PI);
                let cast = cast(&road, x, y, heading, road.project(x, y).s);
                for (ray, distance) in cast.iter().enumerate() {
                    let all = brute_force(&road, [x, y], heading + angle(ray));
                    assert!((distance - all).abs() < 1e-6, "{distance} {all}");
                }
            }
        }
    }

    #[test]
    fn rays_to_both_sides_span_the_width_of_the_road() {
        let road = Road::generate(2);
        let place = road.at(50.0);
        let cast = cast(&road, place.x, place.y, place.heading, 50.0);
        assert!((cast[0] + cast[RAYS - 1] - 2.0 * HALF_WIDTH).abs() < 0.05);
        assert!(cast.iter().all(|d| (0.0..=RANGE).contains(d)));
    }

    /// Solves `origin + t d = a + u (b - a)` for each segment of both edges by Cramer's rule.
    fn brute_force(road: &Road, origin: [f64; 2], direction: f64) -> f64 {
        let (dy, dx) = direction.sin_cos();
        let mut nearest = RANGE;
        for edge in [road.left(), road.right()] {
            for (a, b) in edge.iter().zip(edge.iter().cycle().skip(1)) {
                let (ex, ey) = (b[0] - a[0], b[1] - a[1]);
                let (px, py) = (a[0] - origin[0], a[1] - origin[1]);
                let det = dx * ey - dy * ex;
                let t = (px * ey - py * ex) / det;
                let u = (px * dy - py * dx) / det;
                if t >= 0.0 && (0.0..=1.0).contains(&u) {
                    nearest = nearest.min(t);
                }
            }
        }
        nearest
    }
}
