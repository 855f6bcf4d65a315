//! Results as one page that needs nothing else: HTML with its plots within, no script.

use super::{
    chart::{Axis, Chart, Scale, Series, Shares},
    latency::Latency,
    results::{ByBatch, EndToEnd, Measured, Results, Side},
    table::{self, Table, whole},
};
use crate::printable::markup;

const STYLE: &str = "
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; background: #fff; max-width: 1340px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.7em; margin-bottom: .2em; } h2 { font-size: 1.25em; margin-top: 2em; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums; font-size: .93em; }
caption { text-align: left; font-weight: bold; padding: .3em 0; }
th, td { padding: .25em .8em; text-align: right; border-bottom: 1px solid #e6e6e6; white-space: nowrap; }
th { background: #f5f6f8; } th:first-child, td:first-child { text-align: left; }
.plots { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; break-inside: avoid; }
svg { max-width: 100%; height: auto; border: 1px solid #eee; }
pre { background: #f5f6f8; padding: .8em 1em; overflow-x: auto; } p, li { max-width: 48em; }
@media print { body { margin: 0; font-size: 11px; } svg { width: 330px; } table { font-size: 9px; } th, td { padding: .15em .4em; } }
";

/// What each figure is, and how it was measured.
const METHOD: [&str; 9] = [
    "The forward pass is timed pass by pass on one thread, with observations made up from the policy's spaces and deterministic actions. A pass holds what comes before and after the network, too: normalisation, the action head, clipping.",
    "A worker in process is all of a worker but its connections: so many requests of one row come together, and are read, checked, queued, computed and answered with encoded replies. Its times are of all of them.",
    "End to end, broker, worker and echo are processes of their own on this machine, and share its processors with the load generator. A load of CxK is C connections with K unanswered requests each.",
    "The echo is a program with the same client library and one connection that sends back what comes. It is asked the same requests by the same load generator, in turns with the worker. \"Of echo\" is the worker's requests a second by the echo's in the same round, and the median of the rounds: what the machine does meanwhile slows both.",
    "In a closed loop whoever is answered asks again, so times and rates depend on each other. In an open loop (Poisson arrivals, or all in lockstep) requests are sent when they are due, whatever is still unanswered, and their time counts from when they were due: a pool that stands still is not spared the requests that it held up.",
    "Each window begins after a warm-up that does not count. Times are kept to three digits; percentiles are of all rounds together, requests a second the median of the rounds.",
    "Every request is accounted for: answered, an error with its code, or unanswered. The first answer on each connection is examined (an action of the right shape, the bytes that were sent), every other looked at for an error.",
    "CPU is processor time for each answered request, of who answers and of the broker: unlike rates it hardly depends on what else the machine does. Memory is the most that was resident, looked at ten times a second. Power is of all processors of the machine, where the system tells it.",
    "Where a worker's time goes are means of its own metrics over the windows. Waiting is of a request; assembling, the forward pass, encoding and publishing are of a batch, and each of its requests waits for all of it.",
];

/// # Errors
/// What the drawing library says.
pub fn html(results: &Results) -> Result<String, String> {
    let title = format!("carla-rl bench: {} {}", results.model.name, results.model.version);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title>\n<style>{STYLE}</style></head>\n<body><h1>{0}</h1>\n<pre>{1}</pre>\n",
        markup(&title),
        markup(&table::about(results).join("\n"))
    );
    let notes = table::notes(results);
    notes.iter().for_each(|note| page += &format!("<p>{}</p>\n", markup(note)));
    page += "<h2>Tables</h2>\n";
    table::tables(results).iter().for_each(|table| page += &rows(table));
    page += "<h2>Plots</h2>\n<div class=\"plots\">\n";
    for svg in plots(results)? {
        page += &format!("<figure>{svg}</figure>\n");
    }
    page += "</div>\n<h2>How it was measured</h2>\n<ul>\n";
    METHOD.iter().for_each(|line| page += &format!("<li>{}</li>\n", markup(line)));
    page += "</ul>\n</body></html>\n";
    Ok(page)
}

fn rows(table: &Table) -> String {
    let mut html = format!("<table><caption>{}</caption>\n", markup(&table.title));
    for (number, row) in table.rows.iter().enumerate() {
        let tag = if number == 0 { "th" } else { "td" };
        let cell = |cell: &String| format!("<{tag}>{}</{tag}>", markup(cell));
        html += &format!("<tr>{}</tr>\n", row.iter().map(cell).collect::<String>());
    }
    html + "</table>\n"
}

fn plots(results: &Results) -> Result<Vec<String>, String> {
    let mut plots = Vec::new();
    if let Some(EndToEnd { cells, sweep, .. }) = &results.end_to_end {
        if !sweep.is_empty() {
            plots.push(latency_by_load(sweep).svg()?);
            plots.push(batch_by_load(sweep).svg()?);
        }
        plots.push(stages(cells).svg()?);
        for cell in cells {
            plots.push(percentiles(cell).svg()?);
        }
    }
    let layers = [
        ("Forward pass alone", "rows of a batch", &results.forward),
        ("Worker in process", "requests that come together", &results.in_process),
    ];
    for (title, label, passes) in layers {
        if let Some(passes) = passes {
            plots.push(by_batch(title, label, passes).svg()?);
        }
    }
    Ok(plots)
}

fn by_batch(title: &str, label: &'static str, passes: &[ByBatch]) -> Chart {
    let points = |pick: PickTime| {
        let each = |pass: &ByBatch| pick(&pass.latency) / pass.batch_rows as f64;
        passes.iter().map(|pass| (pass.batch_rows as f64, each(pass))).collect()
    };
    let series = vec![
        series("P50", Who::Worker, false, points(|latency| latency.p50)),
        series("P99", Who::Worker, true, points(|latency| latency.p99)),
    ];
    let x = Axis { label, scale: Scale::Doublings };
    let y = Axis { label: "µs for each row", scale: Scale::Linear };
    Chart { title: title.into(), x, y, series }
}

#[derive(Clone, Copy)]
enum Who {
    Worker,
    Echo,
}

fn series(name: &str, who: Who, dashed: bool, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.into(), colour: who as usize, dashed, points }
}

type PickSide = fn(&Measured) -> &Side;
type PickTime = fn(&Latency) -> f64;

fn latency_by_load(sweep: &[Measured]) -> Chart {
    let points = |side: PickSide, pick: PickTime| {
        let point = |measured: &Measured| {
            Some((measured.arrivals.rate()?, pick(side(measured).latency.as_ref()?)))
        };
        sweep.iter().filter_map(point).collect::<Vec<_>>()
    };
    let (worker, echo): (PickSide, PickSide) = (|m| &m.worker, |m| &m.echo);
    let (p50, p99): (PickTime, PickTime) = (|latency| latency.p50, |latency| latency.p99);
    Chart {
        title: format!("Latency by load, {}, Poisson arrivals", sweep[0].cell),
        x: Axis { label: "requests/s", scale: Scale::Linear },
        y: Axis { label: "µs", scale: Scale::Log },
        series: vec![
            series("worker, P50", Who::Worker, false, points(worker, p50)),
            series("worker, P99", Who::Worker, true, points(worker, p99)),
            series("echo, P50", Who::Echo, false, points(echo, p50)),
            series("echo, P99", Who::Echo, true, points(echo, p99)),
        ],
    }
}

fn batch_by_load(sweep: &[Measured]) -> Chart {
    let point = |measured: &Measured| {
        Some((measured.arrivals.rate()?, measured.stages.as_ref()?.batch_rows))
    };
    let points = sweep.iter().filter_map(point).collect();
    Chart {
        title: format!("Batch size by load, {}", sweep[0].cell),
        x: Axis { label: "requests/s", scale: Scale::Linear },
        y: Axis { label: "rows of a batch, mean", scale: Scale::Linear },
        series: vec![series("rows", Who::Worker, false, points)],
    }
}

/// Stages that follow each other; the reading of a burst overlaps the batch before.
const FOLLOWING: [&str; 5] = ["wait", "assemble", "forward", "encode", "publish"];

fn stages(cells: &[Measured]) -> Shares {
    let bar = |measured: &Measured| {
        let stages = measured.stages.as_ref()?;
        let of = |name: &&str| {
            let stage = stages.stages.iter().find(|stage| stage.name == **name);
            stage.map_or(0.0, |stage| stage.mean_us)
        };
        let parts: Vec<_> = FOLLOWING.iter().map(of).collect();
        let all = whole(parts.iter().sum());
        Some((format!("{}: {all} µs, batch {:.1}", measured.cell, stages.batch_rows), parts))
    };
    Shares {
        title: "Where a request's time in the worker goes".into(),
        parts: FOLLOWING.map(String::from).to_vec(),
        bars: cells.iter().filter_map(bar).collect(),
    }
}

fn percentiles(measured: &Measured) -> Chart {
    let curve = |side: &Side| side.latency.as_ref().map_or(vec![], |l| l.curve.clone());
    Chart {
        title: format!("Percentiles, {}", table::name(measured)),
        x: Axis { label: "share of requests that are faster", scale: Scale::Nines },
        y: Axis { label: "µs", scale: Scale::Log },
        series: vec![
            series("worker", Who::Worker, false, curve(&measured.worker)),
            series("echo", Who::Echo, false, curve(&measured.echo)),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loadgen::sample;

    #[test]
    fn a_page_has_every_plot_and_every_table_and_no_text_of_others_as_an_element() {
        let page = html(&sample::results()).unwrap();
        // By load: latency, batch size. Of the two cells: stages, a curve each. Forward.
        assert_eq!((page.matches("<svg").count(), page.matches("<table").count()), (6, 3));
        assert!(page.contains("a&lt;b 0.1.0") && !page.contains("a<b"));
    }

    #[test]
    fn a_run_of_one_layer_has_its_plot_alone() {
        let mut results = sample::results();
        results.end_to_end = None;
        let page = html(&results).unwrap();
        assert_eq!((page.matches("<svg").count(), page.matches("<table").count()), (1, 1));
    }
}
