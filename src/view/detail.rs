//! The pane below the table: everything that is known of one worker.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Block, Borders, Paragraph, Sparkline, SparklineBar, Wrap},
};

use super::{
    Moment,
    figures::{NOTHING, bytes, count, milliseconds, percent, printable, time},
    history::Point,
    screen::style_of,
    worker::Worker,
};
use crate::wire::Quantiles;

/// Lines with the border, of which the last ones are curves.
const TALLEST: u16 = 20;
/// What the table keeps.
const TABLE: u16 = 7;
const CURVES: u16 = 5;
const LABEL: usize = 10;
/// Fractions of a request per second and of a millisecond are part of a curve, too.
const STEPS: f64 = 1000.0;

/// Lines that the pane takes of a screen.
pub fn height(screen: u16) -> u16 {
    screen.saturating_sub(TABLE).min(TALLEST)
}

/// Draws what `worker` has said.
pub fn draw(frame: &mut Frame<'_>, area: Rect, worker: &Worker, now: Moment) {
    let title = format!(" {} of {} ", worker.health.worker, worker.health.model);
    let block = Block::new().borders(Borders::TOP).title(title.bold());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [text, curves] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(CURVES)]).areas(inner);
    let lines = Text::from(lines(worker, now));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), text);
    draw_curves(frame, curves, worker);
}

fn lines(worker: &Worker, now: Moment) -> Vec<Line<'static>> {
    let (health, measured) = (&worker.health, &worker.measured);
    let standing = worker.standing(now);
    let heard = now.saturating_sub(worker.heard).as_secs();
    let state = Span::styled(standing.name(), style_of(standing));
    let mut first = vec![label("state"), state, format!(", heard {heard} s ago").into()];
    if !health.reasons.is_empty() {
        first.push(format!(": {}", printable(&health.reasons.join("; "))).into());
    }
    vec![
        Line::from(first),
        line(
            "model",
            format!(
                "{} {}, weights {}, {} {}",
                health.model, health.model_version, health.weights, health.device, health.precision
            ),
        ),
        line("process", process(worker, now)),
        line(
            "http",
            format!(
                "{}, memory {}, cpu {}",
                health.http,
                bytes(measured.memory_bytes),
                percent(measured.cpu_cores)
            ),
        ),
        line("broker", broker(worker)),
        line("queue", queue(worker)),
        line("batches", batches(worker)),
        line("outcomes", outcomes(worker)),
    ]
}

fn process(worker: &Worker, now: Moment) -> String {
    let health = &worker.health;
    format!(
        "pid {} on {}, carla-rl {}, up {} since {}, boot {}, {} restarts seen",
        health.pid,
        health.host,
        health.version,
        time(worker.uptime(now)),
        health.started_at,
        health.boot_id,
        worker.restarts
    )
}

fn broker(worker: &Worker) -> String {
    let broker = &worker.health.broker;
    format!(
        "{}, there and back {} ms, {} reconnects, {} messages dropped",
        broker.server,
        milliseconds(broker.round_trip_ms),
        broker.reconnects,
        broker.dropped
    )
}

fn queue(worker: &Worker) -> String {
    let queue = &worker.health.queue;
    format!(
        "{} of {} rows in {} requests, the oldest for {} ms; {} requests in flight",
        queue.rows,
        queue.limit,
        queue.requests,
        milliseconds(Some(queue.oldest_ms)),
        worker.health.inflight
    )
}

fn batches(worker: &Worker) -> String {
    let mean = worker.health.batch_rows.map_or(NOTHING.into(), |rows| format!("{rows:.1}"));
    let sizes = match worker.measured.batch_size {
        Some(Quantiles { p50, p90, p99, max, .. }) => {
            format!(", p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, max {max:.0}")
        }
        None => String::new(),
    };
    format!("mean {mean} rows, {} full{sizes}", percent(worker.health.batch_fill))
}

/// What requests came to since the start: the most frequent first, without what never happened.
fn outcomes(worker: &Worker) -> String {
    let mut outcomes: Vec<_> =
        worker.measured.outcomes.iter().filter(|(_, number)| **number > 0.0).collect();
    outcomes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let told: Vec<_> =
        outcomes.into_iter().map(|(name, number)| format!("{name} {}", count(*number))).collect();
    if told.is_empty() { NOTHING.into() } else { told.join(", ") }
}

fn label(name: &str) -> Span<'static> {
    format!("{name:LABEL$}").dim()
}

fn line(name: &str, text: String) -> Line<'static> {
    Line::from(vec![label(name), printable(&text).into()])
}

fn draw_curves(frame: &mut Frame<'_>, area: Rect, worker: &Worker) {
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2);
    let [left, right] = halves.areas(area);
    draw_curve(frame, left, worker, "requests/s", |point| point.rate);
    draw_curve(frame, right, worker, "p99 ms", |point| point.p99_ms);
}

fn draw_curve(
    frame: &mut Frame<'_>,
    area: Rect,
    worker: &Worker,
    name: &str,
    of: impl Fn(Point) -> Option<f64>,
) {
    let values: Vec<_> = worker.history.last(usize::from(area.width)).map(of).collect();
    let largest = values.iter().flatten().copied().fold(0.0, f64::max);
    let title = format!("{name}, 0 to {}", milliseconds(Some(largest)));
    let bars = values.iter().map(|value| SparklineBar::from(value.map(|x| (x * STEPS) as u64)));
    let curve = Sparkline::default()
        .block(Block::new().title(title.dim()))
        .absent_value_symbol(" ")
        .style(Style::new())
        .data(bars);
    frame.render_widget(curve, area);
}
