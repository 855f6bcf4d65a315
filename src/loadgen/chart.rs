//! Plots as SVG, which a page holds as they are: no script, no fonts of their own.

use std::ops::Range;

use plotters::{
    coord::types::RangedCoordf64,
    coord::{
        combinators::LogCoord,
        ranged1d::{AsRangedCoord, KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::table::whole;

const SIZE: (u32, u32) = (640, 360);
const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(226, 226, 226);
/// Blue, grey, orange, green, violet, red: apart for most eyes, and in print.
const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 98, 194),
    RGBColor(120, 124, 130),
    RGBColor(214, 122, 16),
    RGBColor(39, 140, 90),
    RGBColor(122, 84, 178),
    RGBColor(196, 58, 58),
];

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Plane<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// Lines over one axis.
pub struct Chart {
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

pub struct Axis {
    pub label: &'static str,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From nothing.
    Linear,
    Log,
    /// Powers of two.
    Doublings,
    /// Percent, each step nine tenths of what is left.
    Nines,
}

pub struct Series {
    pub name: String,
    /// Among the colours of all charts.
    pub colour: usize,
    pub dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// Bars of parts, each as long as all others.
pub struct Shares {
    pub title: String,
    pub parts: Vec<String>,
    /// What each bar is of, and how much each part has.
    pub bars: Vec<(String, Vec<f64>)>,
}

impl Scale {
    /// Where a value lies on a plain axis.
    fn place(self, value: f64) -> f64 {
        match self {
            Scale::Linear | Scale::Log => value,
            Scale::Doublings => value.max(1.0).log2(),
            Scale::Nines => -(1.0 - value.min(99.9999) / 100.0).log10(),
        }
    }

    /// What is written at a place; nothing between two steps.
    fn label(self, place: f64) -> String {
        let is_step = (place - place.round()).abs() < 1e-6;
        match self {
            Scale::Linear | Scale::Log if place != 0.0 && place.abs() < 10.0 => format!("{place}"),
            Scale::Linear | Scale::Log => whole(place),
            _ if !is_step => String::new(),
            Scale::Doublings => whole(place.exp2()),
            Scale::Nines if place < 0.5 => "0 %".into(),
            Scale::Nines => {
                let digits = (place.round() as usize).saturating_sub(2);
                format!("{:.digits$} %", 100.0 - 10_f64.powf(2.0 - place))
            }
        }
    }
}

impl Chart {
    /// # Errors
    /// What the drawing library says.
    pub fn svg(&self) -> Result<String, String> {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let top = points().map(|point| point.1).fold(f64::MIN_POSITIVE, f64::max);
        match self.y.scale {
            Scale::Log => {
                let bottom = points().map(|point| point.1).filter(|y| *y > 0.0);
                let bottom = bottom.fold(top, f64::min);
                self.draw(Steps::new(bottom / 1.5..top * 2.0))
            }
            _ => self.draw(0.0..top * 1.2),
        }
    }

    fn draw<Y, R>(&self, range: R) -> Result<String, String>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
        R: AsRangedCoord<CoordDescType = Y, Value = f64>,
    {
        let mut svg = String::new();
        self.draw_into(&mut svg, range).map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw_into<Y, R>(&self, svg: &mut String, range: R) -> Drawn
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
        R: AsRangedCoord<CoordDescType = Y, Value = f64>,
    {
        let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut plane = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 17).into_font().color(&INK))
            .margin(12)
            .margin_right(34)
            .x_label_area_size(46)
            .y_label_area_size(66)
            .build_cartesian_2d(0.0..self.right(), range)?;
        self.draw_axes(&mut plane)?;
        self.series.iter().try_for_each(|series| series.draw_on(&mut plane, self.x.scale))?;
        if self.series.len() > 1 {
            plane
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .legend_area_size(26)
                .margin(8)
                .background_style(WHITE.mix(0.85))
                .label_font((FONT, 12).into_font().color(&INK))
                .draw()?;
        }
        area.present()?;
        Ok(())
    }

    /// The end of the x axis, a little beyond the last point.
    fn right(&self) -> f64 {
        let points = self.series.iter().flat_map(|series| &series.points);
        let last = points.map(|point| self.x.scale.place(point.0)).fold(0.0, f64::max);
        let end = if self.x.scale == Scale::Linear { last * 1.04 } else { last + 0.15 };
        end.max(0.1)
    }

    fn draw_axes<Y>(&self, plane: &mut Plane<'_, '_, Y>) -> Drawn
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let (x, y) = (self.x.scale, self.y.scale);
        plane
            .configure_mesh()
            .x_desc(self.x.label)
            .y_desc(self.y.label)
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|place| x.label(*place))
            .y_label_formatter(&|place| y.label(*place))
            .label_style((FONT, 12).into_font().color(&INK))
            .axis_desc_style((FONT, 13).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        Ok(())
    }
}

impl Series {
    fn draw_on<'a, 'b: 'a, Y>(&self, plane: &mut Plane<'a, 'b, Y>, x: Scale) -> Drawn
    where
        Y: Ranged<ValueType = f64>,
    {
        let colour = colour(self.colour);
        let style = colour.stroke_width(2);
        let points = self.points.iter().map(|point| (x.place(point.0), point.1));
        let line = match self.dashed {
            true => plane.draw_series(DashedLineSeries::new(points.clone(), 6, 4, style))?,
            false => plane.draw_series(LineSeries::new(points.clone(), style))?,
        };
        let gap = if self.dashed { 4 } else { 0 };
        line.label(&self.name).legend(move |(left, middle)| {
            let dash = |from: i32, to: i32| {
                PathElement::new(vec![(left + from, middle), (left + to, middle)], style)
            };
            EmptyElement::at((0, 0)) + dash(0, 11 - gap) + dash(11 + gap, 22)
        });
        plane.draw_series(points.map(|point| Circle::new(point, 2, colour.filled())))?;
        Ok(())
    }
}

/// A logarithmic axis with steps of 1, 2 and 5: the library's own has powers of ten alone.
struct Steps {
    axis: LogCoord<f64>,
    range: Range<f64>,
}

impl Steps {
    fn new(range: Range<f64>) -> Self {
        Self { axis: range.clone().log_scale().into(), range }
    }
}

impl Ranged for Steps {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        let Range { start, end } = self.range;
        let decades = start.log10().floor() as i32..=end.log10().ceil() as i32;
        let few = if end / start > 1e3 { &[1.0][..] } else { &[1.0, 2.0, 5.0] };
        let steps =
            decades.flat_map(|decade| few.iter().map(move |step| step * 10_f64.powi(decade)));
        steps.filter(|step| self.range.contains(step)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Steps {}

/// Of a bar, its gap to the next one, the space above and below all of them, px.
const BAR: u32 = 22;
const GAP: u32 = 14;
const HEAD: u32 = 74;
const LEFT: i32 = 190;
const FOOT: u32 = 12;

impl Shares {
    /// # Errors
    /// What the drawing library says.
    pub fn svg(&self) -> Result<String, String> {
        let mut svg = String::new();
        self.draw_into(&mut svg).map_err(|error| error.to_string())?;
        Ok(svg)
    }

    fn draw_into(&self, svg: &mut String) -> Drawn {
        let bars = u32::try_from(self.bars.len())?;
        let size = (SIZE.0, HEAD + bars * (BAR + GAP) + FOOT);
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let middle = Pos::new(HPos::Center, VPos::Center);
        let text = |size: i32| (FONT, size).into_font().color(&INK);
        let title = text(17).pos(middle);
        area.draw(&Text::new(self.title.clone(), (SIZE.0 as i32 / 2, 22), title))?;
        let beside = text(12).pos(Pos::new(HPos::Left, VPos::Center));
        let step = (SIZE.0 as i32 - LEFT - 20) / i32::try_from(self.parts.len().max(1))?;
        for (number, part) in (0..).zip(&self.parts) {
            let (left, top) = (LEFT + step * number, 50);
            let corners = [(left, top - 6), (left + 12, top + 6)];
            area.draw(&Rectangle::new(corners, colour(number as usize).filled()))?;
            area.draw(&Text::new(part.clone(), (left + 17, top), beside.clone()))?;
        }
        let before = text(12).pos(Pos::new(HPos::Right, VPos::Center));
        let width = f64::from(SIZE.0 as i32 - LEFT - 20);
        for (number, (name, parts)) in (0..).zip(&self.bars) {
            let top = HEAD as i32 + number * (BAR + GAP) as i32;
            let centre = (LEFT - 10, top + BAR as i32 / 2);
            area.draw(&Text::new(name.clone(), centre, before.clone()))?;
            let all = parts.iter().sum::<f64>().max(f64::MIN_POSITIVE);
            let mut passed = 0.0;
            for (part, value) in parts.iter().enumerate() {
                let place = |share: f64| LEFT + (width * share / all).round() as i32;
                let corners = [(place(passed), top), (place(passed + value), top + BAR as i32)];
                area.draw(&Rectangle::new(corners, colour(part).filled()))?;
                passed += value;
            }
        }
        area.present()?;
        Ok(())
    }
}

fn colour(number: usize) -> RGBColor {
    COLOURS[number % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_each_scale_are_named_and_what_lies_between_is_not() {
        for (scale, place, label) in [
            (Scale::Nines, 0.0, "0 %"),
            (Scale::Nines, 1.0, "90 %"),
            (Scale::Nines, 3.0, "99.9 %"),
            (Scale::Nines, 0.5, ""),
            (Scale::Doublings, 5.0, "32"),
            (Scale::Linear, 50_000.0, "50,000"),
            (Scale::Linear, 0.5, "0.5"),
            (Scale::Log, 100.0, "100"),
        ] {
            assert_eq!(scale.label(place), label, "{scale:?} {place}");
        }
        assert!((Scale::Nines.place(99.0) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_chart_names_its_axes_and_its_series_and_escapes_them() {
        let series = |name: &str, dashed| Series {
            name: name.into(),
            colour: 0,
            dashed,
            points: vec![(1.0, 10.0), (2.0, 1000.0)],
        };
        let (x, y) = (
            Axis { label: "requests/s", scale: Scale::Linear },
            Axis { label: "µs", scale: Scale::Log },
        );
        let series = vec![series("a < b", false), series("c", true)];
        let svg = Chart { title: "T".into(), x, y, series }.svg().unwrap();
        for text in ["requests/s", "µs", "a &lt; b", "</svg>"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_bar_of_nothing_and_a_chart_without_points_are_drawn_all_the_same() {
        let axis = |scale| Axis { label: "x", scale };
        for scale in [Scale::Linear, Scale::Log] {
            let (x, y) = (axis(Scale::Nines), axis(scale));
            assert!(Chart { title: "T".into(), x, y, series: vec![] }.svg().is_ok());
        }
        let bars = vec![("none".into(), vec![0.0, 0.0])];
        let parts = vec!["a".into(), "b".into()];
        assert!(Shares { title: "T".into(), parts, bars }.svg().is_ok());
    }
}
