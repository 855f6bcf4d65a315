//! A drawing of a world as SVG: the road, where every vehicle drove and how fast.

use super::World;
use super::map::{MARGIN, Map, WIDTH};
use super::road::Road;
use super::trail::{Passed, Trail};
use crate::printable::markup;

/// Height of a caption line, px.
const LINE: f64 = 22.0;
/// Colours from slow to fast: violet over green to yellow, all of them clear on asphalt.
const COLOURS: [&str; 8] =
    ["#8a63e8", "#5f7df0", "#38a0e8", "#2cc0c0", "#35b779", "#7fcf4a", "#c9dd2f", "#fde725"];

/// Draws a world under a title and some lines of text.
///
/// The trails are coloured by speed. A white dot marks where a vehicle started, a black one where
/// it is, a red cross where it left the road. The text is escaped, not wrapped.
pub fn svg(world: &World, title: &str, lines: &[String]) -> String {
    let map = Map::of(world.road(), MARGIN + 40.0 + LINE * lines.len() as f64);
    let fastest = top_of_scale(world);
    let height = map.top + map.height + 90.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"Helvetica,Arial,sans-serif\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    text(&mut out, title, lines);
    asphalt(&mut out, &map, world.road());
    trails(&mut out, &map, world, fastest);
    marks(&mut out, &map, world);
    legend(&mut out, height - 50.0, fastest);
    scale_bar(&mut out, &map, height - 50.0);
    out.push_str("</svg>\n");
    out
}

fn text(out: &mut String, title: &str, lines: &[String]) {
    let title = markup(title);
    *out += &format!(
        "<text x=\"{MARGIN}\" y=\"{:.0}\" font-size=\"26\" font-weight=\"bold\" fill=\"#111\">{title}</text>\n",
        MARGIN + 10.0
    );
    for (i, line) in lines.iter().enumerate() {
        let y = MARGIN + 16.0 + LINE * (i + 1) as f64;
        let line = markup(line);
        *out += &format!(
            "<text x=\"{MARGIN}\" y=\"{y:.0}\" font-size=\"16\" fill=\"#333\">{line}</text>\n"
        );
    }
}

fn asphalt(out: &mut String, map: &Map, road: &Road) {
    let left = map.path(road.left().iter().copied());
    let right = map.path(road.right().iter().copied());
    let centre = map.path(road.centre().iter().map(|v| [v.x, v.y]));
    *out += &format!(
        "<g transform=\"scale(.1)\" stroke-width=\"14\">\n\
         <path d=\"{left}Z{right}Z\" fill=\"#454a52\" fill-rule=\"evenodd\" stroke=\"#15181c\"/>\n\
         <path d=\"{centre}Z\" fill=\"none\" stroke=\"#fff\" stroke-opacity=\".7\" stroke-dasharray=\"100 80\"/>\n</g>\n"
    );
}

/// One path for each colour, with all the pieces of trails that were driven at its speeds.
fn trails(out: &mut String, map: &Map, world: &World, fastest: f64) {
    let mut paths = vec![String::new(); COLOURS.len()];
    for trail in (0..world.vehicles()).map(|i| world.trail(i)) {
        for (colour, piece) in pieces(trail, fastest) {
            paths[colour].push_str(&map.path(piece));
        }
    }
    out.push_str(
        "<g transform=\"scale(.1)\" fill=\"none\" stroke-width=\"16\" stroke-opacity=\".8\">\n",
    );
    for (path, colour) in paths.iter().zip(COLOURS) {
        *out += &format!("<path stroke=\"{colour}\" d=\"{path}\"/>\n");
    }
    out.push_str("</g>\n");
}

/// A trail cut where its colour changes; each piece begins where the one before it ends.
fn pieces(trail: &Trail, fastest: f64) -> Vec<(usize, Vec<[f64; 2]>)> {
    let mut pieces: Vec<(usize, Vec<[f64; 2]>)> = Vec::new();
    let mut from = place(trail.start());
    for passed in trail.points() {
        let colour = colour(f64::from(passed.speed), fastest);
        match pieces.last_mut() {
            Some((same, piece)) if *same == colour => piece.push(place(passed)),
            _ => pieces.push((colour, vec![from, place(passed)])),
        }
        from = place(passed);
    }
    pieces
}

fn marks(out: &mut String, map: &Map, world: &World) {
    for i in 0..world.vehicles() {
        let trail = world.trail(i);
        let [[ax, ay], [bx, by]] = [trail.start(), trail.end()].map(|p| {
            let [x, y] = place(p);
            map.px(x, y)
        });
        *out += &format!(
            "<circle cx=\"{ax:.1}\" cy=\"{ay:.1}\" r=\"2.6\" fill=\"#fff\" stroke=\"#111\"/>\n"
        );
        if world.has_left(i) {
            *out +=
                &format!("<path d=\"{}\" stroke=\"#e1121f\" stroke-width=\"3\"/>\n", cross(bx, by));
        } else {
            *out += &format!(
                "<circle cx=\"{bx:.1}\" cy=\"{by:.1}\" r=\"2.6\" fill=\"#111\" stroke=\"#fff\"/>\n"
            );
        }
    }
}

/// The colours with the speeds at which they begin, and the three marks.
fn legend(out: &mut String, y: f64, fastest: f64) {
    let step = fastest / COLOURS.len() as f64;
    let bottom = y + 32.0;
    out.push_str("<g font-size=\"13\" fill=\"#333\">\n");
    for (i, colour) in COLOURS.iter().enumerate() {
        let x = MARGIN + 40.0 * i as f64;
        let speed = step * i as f64;
        *out += &format!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"40\" height=\"14\" fill=\"{colour}\"/>\
             <text x=\"{x}\" y=\"{bottom}\">{speed:.0}</text>\n"
        );
    }
    let x = MARGIN + 40.0 * COLOURS.len() as f64;
    let middle = y + 7.0;
    let baseline = y + 12.0;
    *out += &format!(
        "<text x=\"{x}\" y=\"{bottom}\">{fastest:.0} km/h</text>\n\
         <circle cx=\"{}\" cy=\"{middle}\" r=\"4\" fill=\"#fff\" stroke=\"#111\"/><text x=\"{}\" y=\"{baseline}\">start</text>\n\
         <circle cx=\"{}\" cy=\"{middle}\" r=\"4\" fill=\"#111\" stroke=\"#fff\"/><text x=\"{}\" y=\"{baseline}\">end</text>\n\
         <path d=\"{}\" stroke=\"#e1121f\" stroke-width=\"3\"/><text x=\"{}\" y=\"{baseline}\">left the road</text>\n</g>\n",
        x + 90.0,
        x + 100.0,
        x + 160.0,
        x + 170.0,
        cross(x + 220.0, middle),
        x + 232.0,
    );
}

fn scale_bar(out: &mut String, map: &Map, y: f64) {
    let (right, y) = (WIDTH - MARGIN, y + 12.0);
    let left = right - 50.0 * map.scale;
    *out += &format!(
        "<path d=\"M{left:.1} {}V{y}H{right}V{0}\" fill=\"none\" stroke=\"#111\" stroke-width=\"2\"/>\n\
         <text x=\"{:.1}\" y=\"{}\" font-size=\"13\" text-anchor=\"middle\" fill=\"#333\">50 m</text>\n",
        y - 8.0,
        0.5 * (left + right),
        y + 18.0,
    );
}

/// The end of the speed scale: the fastest that any vehicle was, up to the next 8 km/h, km/h.
fn top_of_scale(world: &World) -> f64 {
    let fastest = (0..world.vehicles())
        .flat_map(|i| world.trail(i).points())
        .fold(0.0_f32, |most, passed| most.max(passed.speed));
    let step = COLOURS.len() as f64;
    (f64::from(fastest) * 3.6 / step).ceil().max(1.0) * step
}

/// Index of the colour for a speed in m/s on a scale up to `fastest` km/h.
fn colour(speed: f64, fastest: f64) -> usize {
    ((speed * 3.6 / fastest * COLOURS.len() as f64) as usize).min(COLOURS.len() - 1)
}

fn place(passed: &Passed) -> [f64; 2] {
    [f64::from(passed.x), f64::from(passed.y)]
}

fn cross(x: f64, y: f64) -> String {
    format!("M{:.1} {:.1}l10 10m0-10l-10 10", x - 5.0, y - 5.0)
}

#[cfg(test)]
mod tests {
    use super::super::Controls;
    use super::*;

    #[test]
    fn a_picture_shows_each_vehicle_that_left_as_a_red_cross() {
        let mut world = World::new(Road::generate(1), 5, 1);
        let in_legend = red(&svg(&world, "", &[]));
        let away = Controls { throttle: 1.0, brake: 0.0, steer: 1.0 };
        let mut controls = [away; 5];
        controls[3] = Controls { brake: 1.0, ..Controls::default() };
        (0..200).for_each(|_| world.step(&controls, 0.05));
        assert_eq!(red(&svg(&world, "", &[])) - in_legend, 4);
    }

    #[test]
    fn title_and_lines_are_escaped() {
        let world = World::new(Road::generate(1), 1, 1);
        let svg = svg(&world, "a < b", &["c & d".to_owned()]);
        assert!(svg.contains("a &lt; b") && svg.contains("c &amp; d"));
    }

    #[test]
    fn the_speed_scale_ends_above_the_fastest_vehicle() {
        let world = World::new(Road::generate(1), 20, 1);
        let fastest = (0..20).map(|i| world.vehicle(i).speed * 3.6).fold(0.0, f64::max);
        assert!(top_of_scale(&world) + 1e-3 >= fastest);
        assert_eq!(colour(0.0, 80.0), 0);
        assert_eq!(colour(80.0 / 3.6, 80.0), COLOURS.len() - 1);
    }

    fn red(svg: &str) -> usize {
        svg.matches("#e1121f").count()
    }
}
