//! The centreline of a closed road: a radius over the polar angle.

use std::f64::consts::TAU;

use rand::Rng;

/// Largest share of the mean radius that the harmonics 2, 3, 4 and 5 may take.
///
/// They add up to less than one, so the radius stays positive: the curve goes around the origin
/// once and can't cross itself.
const AMPLITUDES: [f64; 4] = [0.22, 0.16, 0.10, 0.06];
/// Points at which the curve is measured to place the vertices evenly; about 0.1 m apart.
const FINE: usize = 8192;

/// One vertex of a centreline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vertex {
    /// Position, m.
    pub x: f64,
    /// Position, m.
    pub y: f64,
    /// Direction of travel, rad.
    pub heading: f64,
    /// Reciprocal of the radius, 1/m; positive where the road turns left.
    pub curvature: f64,
}

/// `r(angle) = scale * (1 + sum of a_k cos(k angle + phase_k))`, perhaps mirrored.
pub struct Shape {
    scale: f64,
    harmonics: [(f64, f64); AMPLITUDES.len()],
    mirrored: bool,
}

impl Shape {
    /// Draws a shape whose curve is `length` metres long.
    pub fn draw(rng: &mut impl Rng, length: f64) -> Self {
        let mut shape = Self {
            scale: 1.0,
            harmonics: AMPLITUDES
                .map(|limit| (limit * rng.random_range(0.4..1.0), rng.random_range(0.0..TAU))),
            mirrored: rng.random(),
        };
        let unit = shape.distances()[FINE];
        shape.scale = length / unit;
        shape
    }

    /// `count` vertices at equal distances along the curve.
    pub fn vertices(&self, count: usize) -> Vec<Vertex> {
        let distances = self.distances();
        let spacing = distances[FINE] / count as f64;
        let mut fine = 0;
        (0..count)
            .map(|i| {
                let s = i as f64 * spacing;
                while distances[fine + 1] <= s {
                    fine += 1;
                }
                let share = (s - distances[fine]) / (distances[fine + 1] - distances[fine]);
                self.vertex((fine as f64 + share) * TAU / FINE as f64)
            })
            .collect()
    }

    /// Arc length from angle 0 to each of the `FINE` angles, and around.
    fn distances(&self) -> Vec<f64> {
        let mut total = 0.0;
        let mut from = self.vertex(0.0);
        let mut distances = vec![0.0];
        for i in 1..=FINE {
            let to = self.vertex(i as f64 * TAU / FINE as f64);
            total += (to.x - from.x).hypot(to.y - from.y);
            distances.push(total);
            from = to;
        }
        distances
    }

    /// Position, direction and curvature at a polar angle: the textbook formulas of a polar curve,
    /// `curvature = (r² + 2 r'² - r r'') / (r² + r'²)^1.5`.
    fn vertex(&self, angle: f64) -> Vertex {
        let (r, d1, d2) = self.radius(angle);
        let (sin, cos) = angle.sin_cos();
        let side = if self.mirrored { -1.0 } else { 1.0 };
        Vertex {
            x: r * cos,
            y: side * r * sin,
            heading: (side * (d1 * sin + r * cos)).atan2(d1 * cos - r * sin),
            curvature: side * (r * r + 2.0 * d1 * d1 - r * d2) / (r * r + d1 * d1).powf(1.5),
        }
    }

    /// The radius and its first two derivatives by the angle.
    fn radius(&self, angle: f64) -> (f64, f64, f64) {
        let (mut r, mut d1, mut d2) = (1.0, 0.0, 0.0);
        for (k, (amplitude, phase)) in (2..).map(f64::from).zip(self.harmonics) {
            let (sin, cos) = (k * angle + phase).sin_cos();
            r += amplitude * cos;
            d1 -= amplitude * k * sin;
            d2 -= amplitude * k * k * cos;
        }
        (r * self.scale, d1 * self.scale, d2 * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn vertices_lie_at_equal_distances_and_face_their_successor() {
        let vertices = drawn(1, 800.0).vertices(800);
        for (a, b) in vertices.iter().zip(vertices.iter().cycle().skip(1)) {
            let (dx, dy) = (b.x - a.x, b.y - a.y);
            assert!((dx.hypot(dy) - 1.0).abs() < 1e-2, "{}", dx.hypot(dy));
            let chord = dy.atan2(dx);
            assert!((chord - a.heading).sin().abs() < 0.06);
        }
    }

    #[test]
    fn curvature_sums_up_to_one_turn() {
        for seed in 0..8 {
            let shape = drawn(seed, 800.0);
            let turn: f64 = shape.vertices(1600).iter().map(|v| v.curvature * 0.5).sum();
            assert!((turn.abs() - TAU).abs() < 1e-3, "{turn}");
        }
    }

    fn drawn(seed: u64, length: f64) -> Shape {
        Shape::draw(&mut ChaCha8Rng::seed_from_u64(seed), length)
    }
}
