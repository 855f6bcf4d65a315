//! The whole screen: head, table, pane, keys.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style, Stylize},
    text::{Line, Text},
    widgets::{Cell, HighlightSpacing, Paragraph, Row, Table, TableState},
};

use super::{
    Moment,
    column::{Column, GAP},
    detail, figures,
    member::{Member, Standing},
    summary::Summary,
    watch::{Link, Watch},
};
use crate::wire::State;

const MARK: &str = "> ";
/// A curve shorter than this says nothing.
const SHORTEST_CURVE: usize = 10;
const LONGEST_CURVE: usize = 60;
/// Below this the table needs the room for its figures.
const NARROWEST_WITH_CURVE: usize = 70;
/// Of the requests per second, the present at its right end.
const CURVE_TITLE: &str = "TREND";
const KEYS: &str =
    "arrows j k select  Enter detail  s sort  r reverse  / filter  Esc clear  q quit";

/// Draws `watch` as it is at `now`.
pub fn draw(frame: &mut Frame<'_>, watch: &Watch, now: Moment) {
    let rows = watch.browser.rows(&watch.pool, now);
    let selected = watch.browser.selected(&rows);
    let shown = selected.map(|row| rows[row]).filter(|_| watch.browser.detail);
    let pane = shown.map_or(0, |worker| detail::height(frame.area(), worker, now));
    let areas = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(pane),
        Constraint::Length(1),
    ]);
    let [head, table, below, foot] = areas.areas(frame.area());
    draw_head(frame, head, watch, now);
    draw_table(frame, table, watch, (&rows, selected), now);
    if let Some(worker) = shown {
        detail::draw(frame, below, worker, now);
    }
    draw_foot(frame, foot, watch);
}

/// The colour of a standing. Its name stands beside it: nothing is told by colour alone.
pub fn style_of(standing: Standing) -> Style {
    let colour = match standing {
        Standing::Told(State::Ready) => Color::Green,
        Standing::Told(State::Starting | State::Draining) => Color::Cyan,
        Standing::Told(State::Degraded | State::Saturated) => Color::Yellow,
        Standing::Told(State::Failed) => Color::Red,
        Standing::Told(State::Stopped) | Standing::Gone => Color::DarkGray,
    };
    Style::new().fg(colour)
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, watch: &Watch, now: Moment) {
    let Watch { prefix, model, .. } = watch;
    let models = if model == "*" { "all models" } else { model };
    let broker = watch.broker.line(now);
    let broker = match watch.broker.link {
        Link::Up => broker.into(),
        Link::Sought | Link::Lost { .. } => broker.red().bold(),
    };
    let mut first = vec![format!("{models} of {prefix} at ").into(), broker];
    if watch.pool.not_understood > 0 {
        first.push(format!("; {} messages not understood", watch.pool.not_understood).yellow());
    }
    let second = Summary::of(&watch.pool, now).line().bold();
    frame.render_widget(Text::from(vec![Line::from(first), Line::from(second)]), area);
}

fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    watch: &Watch,
    (rows, selected): (&[&Member], Option<usize>),
    now: Moment,
) {
    if rows.is_empty() {
        return frame.render_widget(Paragraph::new(nobody(watch)).dim(), area);
    }
    let room = usize::from(area.width).saturating_sub(MARK.len());
    let reserved = if room >= NARROWEST_WITH_CURVE { SHORTEST_CURVE + GAP } else { 0 };
    let columns = Column::fitting(rows, room - reserved, now);
    let used: usize = columns.iter().map(|(_, width)| width + GAP).sum();
    let curve = if reserved > 0 { room.saturating_sub(used).min(LONGEST_CURVE) } else { 0 };
    let widths = columns.iter().map(|(_, width)| *width).chain((curve > 0).then_some(curve));
    let widths = widths.map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let lines = rows.iter().map(|worker| row(worker, &columns, curve, now));
    let table = Table::new(lines, widths)
        .header(header(watch, &columns, curve))
        .column_spacing(GAP as u16)
        .highlight_symbol(MARK)
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Modifier::REVERSED);
    let mut state = TableState::new().with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
}

fn nobody(watch: &Watch) -> String {
    match (watch.pool.workers().next(), watch.broker.link) {
        (Some(_), _) => "no worker passes the filter".into(),
        (None, Link::Up) => format!(
            "no worker heard yet: they publish on {}.v1.health.{}.*, every 2 s",
            watch.prefix, watch.model
        ),
        (None, _) => String::new(),
    }
}

fn header<'a>(watch: &Watch, columns: &[(Column, usize)], curve: usize) -> Row<'a> {
    let browser = &watch.browser;
    let cell = |(column, _): &(Column, usize)| {
        let mark = match (*column == browser.column, column.is_figure() != browser.reversed) {
            (false, _) => "",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        aligned(*column, format!("{}{mark}", column.title()))
    };
    let cells = columns.iter().map(cell);
    let curve = (curve > 0).then(|| Cell::from(CURVE_TITLE));
    Row::new(cells.chain(curve)).style(Modifier::BOLD)
}

fn row<'a>(worker: &Member, columns: &[(Column, usize)], curve: usize, now: Moment) -> Row<'a> {
    let standing = worker.standing(now);
    let cell = |(column, width): &(Column, usize)| {
        let cell = aligned(*column, shortened(&column.text(worker, now), *width));
        if *column == Column::State { cell.style(style_of(standing)) } else { cell }
    };
    let rates: Vec<_> = worker.history.last(curve).map(|point| point.rate).collect();
    let curve = (curve > 0).then(|| Cell::from(figures::curve(&rates)));
    let row = Row::new(columns.iter().map(cell).chain(curve));
    if standing.is_live() { row } else { row.style(style_of(standing)) }
}

fn aligned<'a>(column: Column, text: String) -> Cell<'a> {
    let line = Line::from(text);
    Cell::from(if column.is_figure() { line.right_aligned() } else { line })
}

fn shortened(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, watch: &Watch) {
    let browser = &watch.browser;
    let line = match (browser.is_typing, browser.filter.as_str()) {
        (true, filter) => Line::from(format!("filter: {filter}_  Enter keep  Esc clear")).bold(),
        (false, "") => Line::from(KEYS).dim(),
        (false, filter) => Line::from(vec![format!("filter: {filter}  ").bold(), KEYS.dim()]),
    };
    frame.render_widget(line, area);
}

#[cfg(test)]
mod tests;
