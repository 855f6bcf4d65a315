//! A closed road of constant width.

use std::f64::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::shape::{Shape, Vertex};

/// Half the width of every road, m.
pub const HALF_WIDTH: f64 = 4.0;
/// No curve is tighter than a radius of 15 m, 1/m.
pub const MAX_CURVATURE: f64 = 1.0 / 15.0;
/// Every road has a curve at least as tight as a radius of 35 m, 1/m: else there is nothing to learn.
const TIGHT_CURVATURE: f64 = 1.0 / 35.0;
/// Every road turns at least this much to either side somewhere, 1/m.
const BOTH_WAYS_CURVATURE: f64 = 1.0 / 100.0;
/// Parts of a road further apart than `APART` m along it are further apart than `CLEARANCE` m.
const APART: f64 = 60.0;
const CLEARANCE: f64 = 6.0 * HALF_WIDTH;
/// Distance of the vertices along the road, m, before it is rounded to a whole number of them.
const SPACING: f64 = 1.0;
/// A projection looks this far to both sides of its hint, m: a fast vehicle goes 10 m in 0.2 s.
const SEARCH: f64 = 16.0;

/// A closed road: a polyline about every metre, with a left and a right edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Road {
    vertices: Vec<Vertex>,
    left: Vec<[f64; 2]>,
    right: Vec<[f64; 2]>,
    spacing: f64,
}

/// Where a point is as seen from the road.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// Distance along the centreline, m, in `0..length`.
    pub s: f64,
    /// Distance from the centreline, m; positive to the left.
    pub lateral: f64,
}

impl Road {
    /// The road of this seed: 600 to 1200 m long, with curves of different radii to both sides,
    /// none tighter than [`MAX_CURVATURE`] and no two parts closer than they look.
    pub fn generate(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // About one draw in two is drivable, so this ends soon.
        loop {
            let length = rng.random_range(600.0..1200.0);
            let road = Self::new(&Shape::draw(&mut rng, length), length);
            if road.has_fit_curves() && road.keeps_clear_of_itself() {
                return road;
            }
        }
    }

    /// Length of the centreline, m.
    pub fn length(&self) -> f64 {
        self.vertices.len() as f64 * self.spacing
    }

    /// Distance from the centreline to either edge, m.
    pub fn half_width(&self) -> f64 {
        HALF_WIDTH
    }

    /// Distance of two neighbouring vertices along the centreline, m.
    pub fn spacing(&self) -> f64 {
        self.spacing
    }

    /// The left edge, m: a closed polyline with a point for each vertex of the centreline.
    pub fn left(&self) -> &[[f64; 2]] {
        &self.left
    }

    /// The right edge, m: a closed polyline with a point for each vertex of the centreline.
    pub fn right(&self) -> &[[f64; 2]] {
        &self.right
    }

    /// The vertices of the centreline.
    pub fn centre(&self) -> &[Vertex] {
        &self.vertices
    }

    /// Position, heading and curvature at distance `s` along the road, m; any `s` is taken around.
    pub fn at(&self, s: f64) -> Vertex {
        let place = s.rem_euclid(self.length()) / self.spacing;
        let i = (place as usize).min(self.vertices.len() - 1);
        let share = place - i as f64;
        let (a, b) = (&self.vertices[i], &self.vertices[self.after(i)]);
        Vertex {
            x: a.x + share * (b.x - a.x),
            y: a.y + share * (b.y - a.y),
            heading: a.heading + share * wrap(b.heading - a.heading),
            curvature: a.curvature + share * (b.curvature - a.curvature),
        }
    }

    /// The place on the road nearest to a point, searched on all of it.
    pub fn project(&self, x: f64, y: f64) -> Position {
        self.nearest(x, y, 0, self.vertices.len())
    }

    /// The place nearest to a point that is at most 16 m along the road from `hint`, m.
    ///
    /// For a vehicle that was at `hint` a step ago this is the nearest of all: parts of the road
    /// that are far along it are also far apart.
    pub fn project_near(&self, x: f64, y: f64, hint: f64) -> Position {
        let reach = (SEARCH / self.spacing) as usize;
        let middle = (hint.rem_euclid(self.length()) / self.spacing) as usize;
        self.nearest(x, y, middle + self.vertices.len() - reach, 2 * reach + 1)
    }

    fn new(shape: &Shape, length: f64) -> Self {
        let count = (length / SPACING).round() as usize;
        let vertices = shape.vertices(count);
        Self {
            left: vertices.iter().map(|v| beside(v, HALF_WIDTH)).collect(),
            right: vertices.iter().map(|v| beside(v, -HALF_WIDTH)).collect(),
            vertices,
            spacing: length / count as f64,
        }
    }

    fn has_fit_curves(&self) -> bool {
        let curvatures = || self.vertices.iter().map(|v| v.curvature);
        let left = curvatures().fold(0.0, f64::max);
        let right = curvatures().fold(0.0, |a: f64, c| a.max(-c));
        (TIGHT_CURVATURE..MAX_CURVATURE).contains(&left.max(right))
            && left.min(right) > BOTH_WAYS_CURVATURE
    }

    fn keeps_clear_of_itself(&self) -> bool {
        // Every fourth vertex is enough: what lies between is at most 2 m from one of them.
        let some: Vec<_> = self.vertices.iter().step_by(4).collect();
        let apart = (APART / (4.0 * self.spacing)) as usize;
        (0..some.len()).all(|i| {
            let last = some.len().min(some.len() + i - apart);
            (i + apart..last)
                .all(|j| (some[i].x - some[j].x).hypot(some[i].y - some[j].y) > CLEARANCE)
        })
    }

    /// The nearest place on `count` segments from segment `first` on, taken around.
    fn nearest(&self, x: f64, y: f64, first: usize, count: usize) -> Position {
        let mut best = (f64::INFINITY, Position::default());
        for i in (first..first + count).map(|i| i % self.vertices.len()) {
            let (a, b) = (&self.vertices[i], &self.vertices[self.after(i)]);
            let (ex, ey, px, py) = (b.x - a.x, b.y - a.y, x - a.x, y - a.y);
            let share = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
            let squared = (px - share * ex).powi(2) + (py - share * ey).powi(2);
            if squared < best.0 {
                let s = ((i as f64 + share) * self.spacing) % self.length();
                let lateral = squared.sqrt().copysign(ex * py - ey * px);
                best = (squared, Position { s, lateral });
            }
        }
        best.1
    }

    fn after(&self, i: usize) -> usize {
        if i + 1 == self.vertices.len() { 0 } else { i + 1 }
    }
}

/// An angle brought into -pi..pi, rad.
fn wrap(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}

/// The point `lateral` m to the left of a vertex.
fn beside(vertex: &Vertex, lateral: f64) -> [f64; 2] {
    let (sin, cos) = vertex.heading.sin_cos();
    [vertex.x - lateral * sin, vertex.y + lateral * cos]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_road_is_long_enough_and_turns_both_ways() {
        for seed in 0..50 {
            let road = Road::generate(seed);
            assert!((600.0..=1200.0).contains(&road.length()), "{}", road.length());
            let turns = road.centre().iter().map(|v| v.curvature);
            let (right, left) =
                turns.fold((0.0, 0.0), |(l, h): (f64, f64), c| (l.min(c), h.max(c)));
            assert!(left > BOTH_WAYS_CURVATURE && right < -BOTH_WAYS_CURVATURE);
            assert!(left.max(-right) < MAX_CURVATURE);
        }
    }

    #[test]
    fn edges_never_come_closer_to_the_centreline_than_half_the_width() {
        for seed in 0..10 {
            let road = Road::generate(seed);
            for edge in road.left().iter().chain(road.right()) {
                let lateral = road.project(edge[0], edge[1]).lateral.abs();
                assert!((lateral - HALF_WIDTH).abs() < 0.02, "{lateral}");
            }
        }
    }

    #[test]
    fn a_point_beside_the_road_projects_to_where_it_was_taken_from() {
        let road = Road::generate(3);
        for (s, lateral) in [(0.3, 0.0), (100.2, 3.0), (333.3, -3.5), (road.length() - 0.2, 2.0)] {
            let [x, y] = beside(&road.at(s), lateral);
            for found in [road.project(x, y), road.project_near(x, y, s + 10.0)] {
                assert!(wrap((found.s - s) * TAU / road.length()).abs() < 1e-3, "{found:?}");
                assert!((found.lateral - lateral).abs() < 0.02, "{found:?}");
            }
        }
    }

    #[test]
    fn a_hint_finds_what_a_search_of_the_whole_road_finds() {
        let road = Road::generate(4);
        for i in 0..400 {
            let s = f64::from(i) * road.length() / 400.0;
            let [x, y] = beside(&road.at(s), 3.9 * f64::from(i % 3 - 1));
            assert_eq!(road.project(x, y), road.project_near(x, y, s - 12.0));
        }
    }

    #[test]
    fn distances_beyond_the_end_go_around() {
        let road = Road::generate(5);
        let (a, b) = (road.at(10.0), road.at(10.0 - road.length()));
        assert!((a.x - b.x).hypot(a.y - b.y) < 1e-6);
    }

    #[test]
    fn same_seed_same_road() {
        assert_eq!(Road::generate(7), Road::generate(7));
        assert_ne!(Road::generate(7), Road::generate(8));
    }
}
