//! Results as text.

use super::{
    compare::Comparison,
    results::{ByBatch, EndToEnd, Machine, Measured, Results, Side},
};

/// Where the system does not tell.
pub const UNKNOWN: &str = "-";

/// Columns as wide as what is in them. Names stand to the left: in the first column, and in those
/// without a head. Numbers stand to the right.
pub struct Table {
    pub title: String,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, head: &[&str]) -> Self {
        Self { title: title.into(), rows: vec![head.iter().map(|text| (*text).into()).collect()] }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                let is_name = column == 0 || self.rows[0][column].is_empty();
                if is_name { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        std::iter::once(self.title.clone()).chain(self.rows.iter().map(line)).collect()
    }
}

/// All of it, with an empty line between two parts.
pub fn lines(results: &Results) -> Vec<String> {
    let mut parts = vec![about(results)];
    parts.extend(tables(results).iter().map(Table::lines));
    parts.push(notes(results));
    parts.retain(|part| !part.is_empty());
    parts.join(&String::new())
}

pub fn tables(results: &Results) -> Vec<Table> {
    let mut tables = Vec::new();
    if let Some(passes) = &results.forward {
        tables.push(by_batch("Forward pass alone, by batch size", passes));
    }
    if let Some(bursts) = &results.in_process {
        tables.push(by_batch("Worker in process, by requests that come together", bursts));
    }
    if let Some(end_to_end) = &results.end_to_end {
        tables.extend(measured(end_to_end));
    }
    tables.extend(results.comparison.as_ref().map(comparison));
    tables
}

/// What was measured, and where.
pub fn about(results: &Results) -> Vec<String> {
    let Results { machine, model, settings, .. } = results;
    let Machine { cpu, processors, memory_bytes, os, program, nats_server, .. } = machine;
    let build = if machine.release { "" } else { ", a debug build: its figures say nothing" };
    let server = nats_server.as_ref().map_or(String::new(), |v| format!(", nats-server {v}"));
    vec![
        format!(
            "model        {} {} ({}), {} {}",
            model.name, model.version, model.weights, model.device, model.precision
        ),
        format!(
            "machine      {cpu}, {processors} processors, {} of memory, {os}",
            bytes(Some(*memory_bytes))
        ),
        format!("program      carla-rl {program}{build}{server}"),
        format!(
            "windows      {} s each after {} s of warm-up, {} rounds",
            settings.window_s, settings.warm_up_s, settings.rounds
        ),
    ]
}

fn by_batch(title: &str, passes: &[ByBatch]) -> Table {
    let mut table =
        Table::new(title, &["rows", "P50 µs", "P95 µs", "P99 µs", "rows/s", "memory", "power"]);
    for pass in passes {
        let latency = &pass.latency;
        let mut row = vec![pass.batch_rows.to_string()];
        row.extend([latency.p50, latency.p95, latency.p99].map(us));
        row.extend([whole(pass.rows_per_s), bytes(pass.memory_bytes), watts(pass.watts)]);
        table.row(row);
    }
    table
}

fn measured(end_to_end: &EndToEnd) -> Vec<Table> {
    let cells = |title: &str, cells: &[Measured]| {
        let mut table = Table::new(
            title,
            &[
                "load",
                "",
                "P50 µs",
                "P95 µs",
                "P99 µs",
                "requests/s",
                "of echo",
                "CPU µs",
                "broker µs",
                "memory",
                "power",
                "failed",
            ],
        );
        for cell in cells {
            table.row(side(name(cell), "echo", &cell.echo, None));
            table.row(side(String::new(), "worker", &cell.worker, cell.ratio.per_s));
        }
        table
    };
    let mut tables = Vec::new();
    if !end_to_end.cells.is_empty() {
        tables.push(cells(
            "End to end over a broker, a worker beside a bare echo",
            &end_to_end.cells,
        ));
    }
    if !end_to_end.sweep.is_empty() {
        tables.push(cells("The same at rising rates", &end_to_end.sweep));
    }
    tables
}

/// A cell and how it is asked.
pub fn name(measured: &Measured) -> String {
    match measured.arrivals.rate() {
        None => measured.cell.to_string(),
        Some(rate) => format!("{}, {} {}/s", measured.cell, measured.arrivals.name(), whole(rate)),
    }
}

fn side(load: String, who: &str, side: &Side, ratio: Option<f64>) -> Vec<String> {
    let latency = side.latency.as_ref();
    let mut row = vec![load, who.to_owned()];
    let picks = [latency.map(|l| l.p50), latency.map(|l| l.p95), latency.map(|l| l.p99)];
    row.extend(picks.map(|value| value.map_or(UNKNOWN.into(), us)));
    let failed = side.counts.failed() + side.counts.unanswered + side.counts.withheld;
    row.extend([
        whole(side.per_s),
        ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
        side.cpu_us.responder.map_or(UNKNOWN.into(), us),
        side.cpu_us.broker.map_or(UNKNOWN.into(), us),
        bytes(side.memory_bytes),
        watts(side.watts),
        failed.to_string(),
    ]);
    row
}

fn comparison(comparison: &Comparison) -> Table {
    let percent = comparison.threshold * 100.0;
    let title = format!("Compared with the earlier run; worse means by more than {percent:.0} %");
    let mut table = Table::new(title, &["figure", "earlier", "now", "ratio", ""]);
    for line in &comparison.lines {
        let number =
            |value: Option<f64>| value.map_or(UNKNOWN.into(), |value| format!("{value:.3}"));
        let verdict = if line.worse { "worse" } else { "" };
        let cells = [line.figure.clone(), number(line.old), number(line.new), number(line.ratio)];
        table.row(cells.into_iter().chain([verdict.to_owned()]).collect());
    }
    table
}

/// What the tables can't say in a cell.
pub fn notes(results: &Results) -> Vec<String> {
    let mut notes = Vec::new();
    if results.stopped_early {
        notes.push("Stopped early: what had not been measured to its end is left out.".into());
    }
    if let Some(end_to_end) = &results.end_to_end {
        notes.push(format!(
            "The worker took requests {:.2} s after its start.",
            end_to_end.worker_start_s
        ));
        let all = end_to_end.cells.iter().chain(&end_to_end.sweep);
        notes.extend(all.clone().flat_map(troubles));
        let foreign = all.flat_map(|cell| &cell.rounds).filter_map(|round| round.foreign_cores);
        if let Some(most) = foreign.reduce(f64::max) {
            notes.push(format!(
                "Other work on this machine took up to {most:.2} processors in a window."
            ));
        }
    }
    notes.extend(results.no_power.as_ref().map(|why| format!("No power: {why}.")));
    notes.extend(results.comparison.iter().flat_map(|both| both.differences.clone()));
    notes
}

/// A line for each side that did not get what it asked for.
fn troubles(measured: &Measured) -> Vec<String> {
    let of = |who: &str, side: &Side| {
        let counts = &side.counts;
        let codes = counts.errors.iter().map(|(code, count)| format!("{count} {code}"));
        let missing = [
            (counts.unanswered, "unanswered"),
            (counts.withheld, "not sent, since too many were unanswered"),
        ];
        let missing = missing.iter().filter(|(count, _)| *count > 0);
        let all: Vec<_> =
            codes.chain(missing.map(|(count, what)| format!("{count} {what}"))).collect();
        (!counts.is_clean()).then(|| {
            format!("{}, {who}: of {} requests {}.", name(measured), counts.sent, all.join(", "))
        })
    };
    [of("echo", &measured.echo), of("worker", &measured.worker)].into_iter().flatten().collect()
}

pub fn us(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => whole(value),
    }
}

/// With a comma between thousands.
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let places = digits.len();
    let separated = digits.char_indices().flat_map(|(at, digit)| {
        let comma = at > 0 && (places - at).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([digit])
    });
    separated.collect()
}

pub fn bytes(value: Option<u64>) -> String {
    value.map_or(UNKNOWN.into(), |bytes| match bytes as f64 / f64::from(1 << 20) {
        megabytes if megabytes < 10_240.0 => format!("{megabytes:.0} MiB"),
        megabytes => format!("{:.0} GiB", megabytes / 1024.0),
    })
}

fn watts(value: Option<f64>) -> String {
    value.map_or(UNKNOWN.into(), |watts| format!("{watts:.1} W"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::sample;

    #[test]
    fn echo_and_worker_stand_below_each_other_and_failures_have_a_line() {
        let lines = lines(&sample::results());
        let at = |start: &str| lines.iter().position(|line| line.starts_with(start)).unwrap();
        let (echo, worker) = (&lines[at("64x1 ")], &lines[at("64x1 ") + 1]);
        let cells = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
        let of_echo = ["64x1", "echo", "100", "200", "300", "100", "5.00", "-", "-", "-", "0"];
        assert_eq!(cells(echo), of_echo);
        let of_worker = ["worker", "150", "300", "450", "80", "0.80", "5.00", "-", "-", "-", "5"];
        assert_eq!(cells(worker), of_worker);
        let told = "64x1, worker: of 105 requests 3 overloaded, 2 unanswered.";
        assert!(lines.contains(&told.into()), "{lines:?}");
        assert!(lines.contains(&"No power: no meter.".into()));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("T", &["a", "", "µs"]);
        table.row(vec!["long".into(), "echo".into(), "1,000".into()]);
        table.row(vec!["b".into(), "w".into(), "1".into()]);
        let lines = ["T", "a              µs", "long  echo  1,000", "b     w         1"];
        assert_eq!(table.lines(), lines);
    }

    #[test]
    fn numbers_are_short_and_what_is_not_known_is_a_dash() {
        let numbers = [(0.0, "0"), (999.4, "999"), (1000.0, "1,000"), (1_234_567.0, "1,234,567")];
        for (value, text) in numbers {
            assert_eq!(whole(value), text);
        }
        assert_eq!([us(3.456), us(34.56), us(345.6)], ["3.46", "34.6", "346"]);
        assert_eq!(
            [bytes(Some(5 << 20)), bytes(Some(64 << 30)), bytes(None)],
            ["5 MiB", "64 GiB", "-"]
        );
        assert_eq!([watts(Some(12.34)), watts(None)], ["12.3 W", "-"]);
    }
}
