//! Where a road lies on a drawing.

use std::fmt::Write;

use super::road::Road;

/// Width of the drawing, px.
pub const WIDTH: f64 = 1200.0;
/// Free space around everything, px.
pub const MARGIN: f64 = 40.0;
/// The road is drawn no higher than this, px.
const MAX_MAP_HEIGHT: f64 = 820.0;
/// Free space around the road within the map, m.
const BORDER: f64 = 8.0;

/// From metres to pixels: x to the right, y up.
pub struct Map {
    /// px per m.
    pub scale: f64,
    west: f64,
    north: f64,
    left: f64,
    /// Where the map begins, px from the top of the drawing.
    pub top: f64,
    /// px.
    pub height: f64,
}

impl Map {
    /// A map of this road, in the middle of the drawing, from `top` px down.
    pub fn of(road: &Road, top: f64) -> Self {
        let edges = || road.left().iter().chain(road.right());
        let bound = |axis: usize, sign: f64| {
            sign * edges().fold(f64::MIN, |most, p| most.max(sign * p[axis])) + sign * BORDER
        };
        let (west, east, south, north) =
            (bound(0, -1.0), bound(0, 1.0), bound(1, -1.0), bound(1, 1.0));
        let scale = ((WIDTH - 2.0 * MARGIN) / (east - west)).min(MAX_MAP_HEIGHT / (north - south));
        Self {
            scale,
            west,
            north,
            left: 0.5 * (WIDTH - scale * (east - west)),
            top,
            height: scale * (north - south),
        }
    }

    /// Metres to pixels.
    pub fn px(&self, x: f64, y: f64) -> [f64; 2] {
        [self.left + (x - self.west) * self.scale, self.top + (self.north - y) * self.scale]
    }

    /// A path through points, in whole tenths of a pixel from point to point: that is short.
    pub fn path(&self, points: impl IntoIterator<Item = [f64; 2]>) -> String {
        let mut path = String::new();
        let mut from = [0, 0];
        for [x, y] in points.into_iter().map(|[x, y]| self.px(x, y)) {
            let to = [(10.0 * x).round() as i64, (10.0 * y).round() as i64];
            let command = if path.is_empty() { 'M' } else { 'l' };
            // Writing to a String can't fail.
            let _ = write!(path, "{command}{} {}", to[0] - from[0], to[1] - from[1]);
            from = to;
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_road_lies_within_the_drawing() {
        for seed in 0..10 {
            let road = Road::generate(seed);
            let map = Map::of(&road, 100.0);
            for p in road.left().iter().chain(road.right()) {
                let [x, y] = map.px(p[0], p[1]);
                assert!((0.0..=WIDTH).contains(&x) && (100.0..=100.0 + map.height).contains(&y));
            }
        }
    }
}
