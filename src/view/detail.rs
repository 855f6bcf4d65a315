//! The pane below the table: everything that is known of one worker.

use crate::printable::printable;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Style, Stylize},
    text::{Line, Span, Text},
    widgets::{Block, Borders, Paragraph, Sparkline, SparklineBar, Wrap},
};

use super::{
    Moment,
    figures::{NOTHING, bytes, count, milliseconds, percent, time},
    history::Point,
    member::Member,
    screen::style_of,
};
use crate::wire::Quantiles;

/// What the table keeps.
const TABLE: u16 = 7;
const CURVES: u16 = 5;
const LABEL: usize = 10;
/// So that fractions of a request per second and of a millisecond count in a curve, too.
const STEPS: f64 = 1000.0;

/// Lines that the pane takes of a screen: border, text, curves.
pub fn height(screen: Rect, worker: &Member, now: Moment) -> u16 {
    // A broken line loses a word's room at its end.
    let room = usize::from(screen.width).saturating_sub(LABEL).max(1);
    let text = lines(worker, now);
    let height = |line: &Line<'_>| match line.width() > usize::from(screen.width) {
        true => line.width().div_ceil(room),
        false => 1,
    };
    let needed = text.iter().map(height).sum::<usize>() + usize::from(1 + CURVES);
    u16::try_from(needed).unwrap_or(u16::MAX).min(screen.height.saturating_sub(TABLE))
}

/// Draws what `worker` has said.
pub fn draw(frame: &mut Frame<'_>, area: Rect, worker: &Member, now: Moment) {
    let title = printable(&format!(" {} of {} ", worker.health.worker, worker.health.model));
    let block = Block::new().borders(Borders::TOP).title(title.bold());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [text, curves] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(CURVES)]).areas(inner);
    let lines = Text::from(lines(worker, now));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: false }), text);
    draw_curves(frame, curves, worker);
}

fn lines(worker: &Member, now: Moment) -> Vec<Line<'static>> {
    let health = &worker.health;
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
        line("start", start(worker)),
        line("broker", broker(worker)),
        line("queue", queue(worker)),
        line("batches", batches(worker)),
        line("outcomes", outcomes(worker)),
    ]
}

fn process(worker: &Member, now: Moment) -> String {
    let (health, measured) = (&worker.health, &worker.measured);
    format!(
        "pid {} on {}, http {}, cpu {}, memory {}, up {}",
        health.pid,
        health.host,
        health.http,
        percent(measured.cpu_cores),
        bytes(measured.memory_bytes),
        time(worker.uptime(now))
    )
}

fn start(worker: &Member) -> String {
    let health = &worker.health;
    format!(
        "{}, boot {}, {} restarts seen, carla-rl {}",
        health.started_at, health.boot_id, worker.restarts, health.version
    )
}

fn broker(worker: &Member) -> String {
    let broker = &worker.health.broker;
    format!(
        "{}, there and back {} ms, {} reconnects, {} messages dropped",
        broker.server,
        milliseconds(broker.round_trip_ms),
        broker.reconnects,
        broker.dropped
    )
}

fn queue(worker: &Member) -> String {
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

fn batches(worker: &Member) -> String {
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
fn outcomes(worker: &Member) -> String {
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

fn draw_curves(frame: &mut Frame<'_>, area: Rect, worker: &Member) {
    let halves = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).spacing(2);
    let [left, right] = halves.areas(area);
    draw_curve(frame, left, worker, "requests/s", |point| point.rate);
    draw_curve(frame, right, worker, "p99 ms", |point| point.p99_ms);
}

fn draw_curve(
    frame: &mut Frame<'_>,
    area: Rect,
    worker: &Member,
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
