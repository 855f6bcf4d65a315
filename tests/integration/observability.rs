//! What is written about metrics elsewhere, held to the list of them: rules, alerts and their tests,
//! the dashboard, the pages.

use std::collections::BTreeSet;

use carla_rl::{
    telemetry::names::{self, Kind, Metric},
    wire::Code,
};
use serde_json::Value;

use crate::{
    deployed::{Annotations, Rule, alerts, dashboards, figures, files, pages, queries, read},
    promql::{Matcher, Query, Selector, is_word},
};

/// What Prometheus itself knows of a target.
const TARGET: [&str; 2] = ["job", "instance"];
/// Labels with a few values each, which the metric's meaning lists.
const LISTED: [&str; 6] = ["reason", "class", "kind", "direction", "destination", "result"];

#[test]
fn every_name_in_pages_and_deployment_files_is_a_metric() {
    let figures = figures();
    let mut found = 0;
    for (file, text) in pages().into_iter().chain(files("deploy")) {
        let words = text.split(|c| !is_word(c)).map(|word| word.trim_matches(':'));
        // The Python client is a package of that name.
        let words = words.filter(|word| !word.starts_with("carla_rl_client"));
        for word in words.filter(|w| w.contains("carla_rl_") || w.starts_with("process_")) {
            // `carla_rl_*` speaks of all that begin so.
            let begins = word.ends_with('_') && names::ALL.iter().any(|m| m.name.starts_with(word));
            let known = begins || metric(word).is_some() || series(word).is_some();
            assert!(known || figures.contains(word), "{} mentions {word}", file.display());
            found += 1;
        }
    }
    assert!(found > 300, "the files are where this test looks for them");
}

#[test]
fn every_query_uses_series_labels_and_values_that_exist() {
    let queries = queries();
    assert!(queries.len() > 150, "{}", queries.len());
    for (place, text) in &queries {
        let query = Query::parse(text);
        assert!(!query.selectors.is_empty(), "{place} asks for nothing: {text}");
        let mut labels = BTreeSet::from(TARGET);
        for selector in &query.selectors {
            let own = labels_of(&selector.series)
                .unwrap_or_else(|| panic!("{place}: there is no series {}", selector.series));
            for matcher in &selector.matchers {
                assert!(own.contains(&matcher.label.as_str()), "{place}: {selector:?}");
                assert!(values_exist(selector, matcher), "{place}: {selector:?}");
            }
            labels.extend(own);
        }
        for label in &query.grouping {
            assert!(labels.contains(label.as_str()), "{place} groups by {label}");
        }
    }
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert() {
    let page = read("docs/runbook.md");
    let entries: Vec<_> =
        page.split("\n## ").skip(1).map(|e| e.split_once("\n\n").unwrap()).collect();
    let headings: Vec<_> = entries.iter().map(|(heading, _)| *heading).collect();
    let alerts = alerts();
    assert_eq!(headings, alerts.iter().map(Rule::name).collect::<Vec<_>>());
    for (alert, (heading, text)) in alerts.iter().zip(entries) {
        let severity = &alert.labels.severity;
        assert!(["critical", "warning"].contains(&severity.as_str()), "{heading}: {severity}");
        assert!(text.starts_with(severity), "{heading} is {severity}");
        for part in ["**Users**", "**Ignore**"] {
            assert!(text.contains(part) || text.contains("**Never ignore**"), "{heading}: {part}");
        }
        let Annotations { summary, description, runbook_url } = &alert.annotations;
        assert_eq!(*runbook_url, format!("docs/runbook.md#{}", heading.to_lowercase()));
        assert!(!summary.is_empty() && description.ends_with('.'), "{heading}");
    }
}

#[test]
fn every_alert_is_seen_to_fire() {
    let tests = read("deploy/prometheus/alerts_test.yml");
    for alert in alerts() {
        let name = alert.name();
        let fires = tests.contains(&format!("alertname=\"{name}\""));
        assert!(fires, "no test in deploy/prometheus/alerts_test.yml expects {name}");
    }
}

#[test]
fn each_panel_has_an_id_a_unit_queries_and_the_chosen_data_source() {
    for (file, dashboard) in dashboards() {
        assert!(dashboard.get("id").is_none(), "{file}: an id belongs to one Grafana");
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let asks = variable["type"] == "query";
            assert!(!asks || variable["datasource"]["uid"] == "${datasource}", "{variable}");
        }
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{file}: two panels have one id");
        for panel in panels.iter().filter(|panel| panel["type"] != "row") {
            let title = panel["title"].as_str().unwrap();
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
            assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty(), "{title}");
            for target in targets {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
                assert!(
                    target["expr"].as_str().is_some_and(|expr| expr.contains("$job")),
                    "{title}"
                );
            }
        }
    }
}

#[test]
fn the_page_of_metrics_lists_each_with_its_type_labels_and_meaning() {
    let page = read("docs/metrics.md");
    let is_row = |line: &&str| line.starts_with("| `carla_rl_") || line.starts_with("| `process_");
    let table = page.split("## All metrics").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<_> = table.lines().filter(is_row).collect();
    let expected: Vec<_> = names::ALL.iter().map(|metric| row(metric)).collect();
    let wanted = expected.join("\n");
    assert!(rows == expected, "the table in docs/metrics.md must have these rows:\n{wanted}");
}

fn row(metric: &Metric) -> String {
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Seconds | Kind::Rows => "histogram",
    };
    let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(", "), metric.help)
}

fn labels_of(series_name: &str) -> Option<Vec<&str>> {
    if series_name == "up" {
        return Some(TARGET.to_vec());
    }
    if figures().contains(series_name) {
        // A figure's name begins with the labels that it keeps, of which the job goes unsaid.
        let (level, _) = series_name.split_once(':')?;
        return Some(level.split('_').chain(["job"]).collect());
    }
    let metric = series(series_name)?;
    let bucket = series_name.ends_with("_bucket").then_some("le");
    Some(metric.labels.iter().copied().chain(TARGET).chain(bucket).collect())
}

fn values_exist(selector: &Selector, matcher: &Matcher) -> bool {
    let is_outcome = |value: &String| {
        let code = serde_json::from_value::<Code>(Value::from(value.as_str()));
        code.is_ok() || ["ok", "no_reply_subject", "publish_failed"].contains(&value.as_str())
    };
    let is_bound = |value: &String| {
        value == "+Inf" || value.parse().is_ok_and(|bound| names::SECONDS.contains(&bound))
    };
    let help = series(&selector.series).map_or("", |metric| metric.help);
    let is_listed = |value: &String| help.split(|c| !is_word(c)).any(|word| word == value);
    let mut values = matcher.values.iter();
    match matcher.label.as_str() {
        "outcome" => values.all(is_outcome),
        "le" => values.all(is_bound),
        label if LISTED.contains(&label) => values.all(is_listed),
        _ => true,
    }
}

fn metric(name: &str) -> Option<&'static Metric> {
    names::ALL.iter().copied().find(|metric| metric.name == name)
}

/// The metric to which a series of that name belongs. A histogram has none of its bare name.
fn series(name: &str) -> Option<&'static Metric> {
    let is_histogram = |metric: &&Metric| matches!(metric.kind, Kind::Seconds | Kind::Rows);
    let suffixes = ["_bucket", "_sum", "_count"];
    let base = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    let histogram = base.and_then(metric).filter(is_histogram);
    histogram.or_else(|| metric(name).filter(|metric| !is_histogram(metric)))
}
