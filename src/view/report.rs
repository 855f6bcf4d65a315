//! The pool once, for paper and for scripts.

use crate::printable::printable;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Moment, column::Column, member::Member, summary::Summary, watch::Watch};

/// Keys of the health message that say something of the message and not of the worker.
const OF_THE_MESSAGE: [&str; 3] = ["schema", "seq", "time"];

/// The table with all columns, below a line that sums it up; reasons behind it.
pub fn table(watch: &Watch, now: Moment) -> String {
    let rows = watch.browser.rows(&watch.pool, now);
    let columns = Column::ALL.map(|column| (column, column.width(&rows, now)));
    let mut lines = vec![Summary::of(&watch.pool, now).line()];
    lines.push(line(&columns, |column| column.title().to_owned()));
    lines.extend(rows.iter().map(|worker| line(&columns, |column| column.text(worker, now))));
    for worker in rows {
        let reasons = worker.health.reasons.iter();
        lines.extend(reasons.map(|why| printable(&format!("{}: {why}", worker.health.worker))));
    }
    lines.join("\n")
}

/// The same for scripts: `summary`, `not_understood` and `workers`, each of which has the keys of
/// its health message and what else a reader knows of it.
///
/// # Errors
/// What the JSON writer says.
pub fn json(watch: &Watch, now: Moment) -> Result<Value, serde_json::Error> {
    let rows = watch.browser.rows(&watch.pool, now);
    let workers: Result<Vec<_>, _> = rows.iter().map(|worker| object(worker, now)).collect();
    let summary = Summary::of(&watch.pool, now);
    let standings = summary.standings.iter().map(|(standing, n)| (standing.to_string(), json!(n)));
    Ok(json!({
        "prefix": watch.prefix,
        "model": watch.model,
        "summary": {
            "workers": summary.workers,
            "states": Value::Object(standings.collect()),
            "rate": summary.rate,
            "errors": summary.errors,
        },
        "not_understood": watch.pool.not_understood,
        "workers": workers?,
    }))
}

/// What a reader knows of a worker besides its health message. `None` is `null`: not heard.
#[derive(Serialize)]
struct Further<'a> {
    /// `gone`, or the state of the message.
    state: &'a str,
    /// Seconds since the last message.
    heard_s: f64,
    /// By now.
    uptime_s: f64,
    /// Cores used: 1 is one core, always busy.
    cpu_cores: Option<f64>,
    memory_bytes: Option<f64>,
    /// Rows of a batch: `p50`, `p90`, `p99`, `max` of ten seconds, `count` and `sum` since the start.
    batch_size_rows: Option<crate::wire::Quantiles>,
    /// Requests since the start, by outcome.
    outcomes: &'a std::collections::BTreeMap<String, f64>,
    /// Seen while listening.
    restarts: u64,
}

fn object(worker: &Member, now: Moment) -> Result<Value, serde_json::Error> {
    let measured = &worker.measured;
    let further = Further {
        state: worker.standing(now).name(),
        heard_s: now.saturating_sub(worker.heard).as_secs_f64(),
        uptime_s: worker.uptime(now),
        cpu_cores: measured.cpu_cores,
        memory_bytes: measured.memory_bytes,
        batch_size_rows: measured.batch_size,
        outcomes: &measured.outcomes,
        restarts: worker.restarts,
    };
    let mut object = Map::new();
    for part in [serde_json::to_value(&worker.health)?, serde_json::to_value(further)?] {
        if let Value::Object(keys) = part {
            object.extend(keys);
        }
    }
    object.retain(|key, _| !OF_THE_MESSAGE.contains(&key.as_str()));
    Ok(Value::Object(object))
}

fn line(columns: &[(Column, usize)], text: impl Fn(Column) -> String) -> String {
    let cells = columns.iter().map(|(column, width)| match column.is_figure() {
        true => format!("{:>width$}", text(*column)),
        false => format!("{:width$}", text(*column)),
    });
    cells.collect::<Vec<_>>().join(" ").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        said,
        wire::{Health, State},
    };

    const NOW: Moment = Duration::from_secs(2);

    fn watch() -> Watch {
        let mut watch = Watch::new("nats://b".into(), "policy".into(), "*".into());
        let reasons = vec!["the queue\nis full".into()];
        let saturated = Health { state: State::Saturated, reasons, ..said::health("b") };
        for health in [saturated, Health { p99_ms: None, ..said::health("a") }] {
            watch.pool.hear_health(&said::health_body(&health), Duration::ZERO);
        }
        watch.pool.hear_metrics(&said::snapshot_body(&said::snapshot("a", 1.0)), Duration::ZERO);
        watch
    }

    #[test]
    fn the_table_has_a_summary_a_head_a_line_for_each_worker_and_what_is_wrong() {
        let table = table(&watch(), NOW);
        let lines: Vec<_> = table.lines().collect();
        let summary = "2469 requests/s, 1.0 errors/s, 2 workers: 1 saturated, 1 ready";
        assert_eq!((lines.len(), lines[0]), (5, summary));
        assert!(Column::ALL.iter().all(|column| lines[1].contains(column.title())), "{table}");
        assert!(lines[2].starts_with("ready") && lines[2].contains("128M"), "{table}");
        assert!(lines[3].starts_with("saturated"), "{table}");
        assert_eq!(lines[4], "b: the queue\u{fffd}is full");
    }

    #[test]
    fn the_object_has_all_that_is_shown_and_null_for_what_was_not_heard() {
        let object = json(&watch(), NOW).unwrap();
        assert_eq!(object["summary"]["states"], json!({"ready": 1, "saturated": 1}));
        assert_eq!(object["summary"]["rate"], 2469.0);
        let [a, b] = [0, 1].map(|i| &object["workers"][i]);
        assert_eq!((&a["worker"], &a["state"]), (&json!("a"), &json!("ready")));
        assert_eq!((&b["worker"], &b["state"]), (&json!("b"), &json!("saturated")));
        assert_eq!(a["memory_bytes"], 134_217_728.0);
        assert_eq!((&a["heard_s"], &a["uptime_s"]), (&json!(2.0), &json!(11_047.0)));
        assert_eq!(
            (&a["outcomes"]["ok"], &a["batch_size_rows"]["p90"]),
            (&json!(5000.0), &json!(16.0))
        );
        assert_eq!((&b["memory_bytes"], &b["cpu_cores"]), (&Value::Null, &Value::Null));
        assert_eq!((a.get("p99_ms"), &b["p99_ms"]), (None, &json!(1.62)));
        assert_eq!((a.get("seq"), &a["queue"]["limit"]), (None, &json!(4096)));
    }
}
