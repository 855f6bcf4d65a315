//! The files for Prometheus and Grafana and the pages, as the tests read them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

/// Everything that is asked of Prometheus, with where.
pub fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for rule in rules("rules.yml").into_iter().chain(alerts()) {
        queries.push((rule.name().to_owned(), rule.expr));
    }
    let tests: Tests = serde_saphyr::from_str(&read("deploy/prometheus/alerts_test.yml")).unwrap();
    for test in tests.tests {
        queries
            .extend(test.input_series.into_iter().map(|input| (test.name.clone(), input.series)));
    }
    for (file, dashboard) in dashboards() {
        queries.extend(asked_by(&dashboard).map(|query| (file.clone(), query)));
    }
    for (file, text) in pages() {
        for block in text.split("```promql\n").skip(1) {
            let block = block.split("```").next().unwrap();
            queries.push((file.display().to_string(), block.to_owned()));
        }
    }
    queries
}

/// By its panels, and by its variables: `label_values(series, label)`.
fn asked_by(dashboard: &Value) -> impl Iterator<Item = String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let exprs = targets.map(|target| target["expr"].as_str().unwrap().to_owned());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let asked = variables.filter_map(|variable| variable["query"]["query"].as_str());
    let choices = asked.map(|asked| {
        let inside = asked.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = inside.and_then(|inside| inside.rsplit_once(", ")).unwrap();
        format!("count by ({label}) ({series})")
    });
    exprs.chain(choices)
}

/// Names that the recording rules define.
pub fn figures() -> BTreeSet<String> {
    rules("rules.yml").into_iter().map(|rule| rule.record).collect()
}

pub fn alerts() -> Vec<Rule> {
    rules("alerts.yml")
}

#[derive(Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    record: String,
    alert: String,
    expr: String,
    pub labels: Labels,
    pub annotations: Annotations,
}

#[derive(Default, Deserialize)]
pub struct Labels {
    pub severity: String,
}

#[derive(Default, Deserialize)]
pub struct Annotations {
    pub summary: String,
    pub description: String,
    pub runbook_url: String,
}

#[derive(Deserialize)]
struct Tests {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    input_series: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    series: String,
}

impl Rule {
    pub fn name(&self) -> &str {
        if self.alert.is_empty() { &self.record } else { &self.alert }
    }
}

fn rules(file: &str) -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&read(&format!("deploy/prometheus/{file}"))).unwrap();
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

pub fn dashboards() -> Vec<(String, Value)> {
    let files = files("deploy/grafana/dashboards").into_iter();
    files
        .map(|(file, text)| (file.display().to_string(), serde_json::from_str(&text).unwrap()))
        .collect()
}

pub fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = files("docs");
    pages.push((PathBuf::from("README.md"), read("README.md")));
    pages
}

pub fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| {
        let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => files(&path),
            false if path.ends_with(".png") => Vec::new(),
            false => vec![(PathBuf::from(&path), read(&path))],
        }
    };
    entries.flat_map(of).collect()
}

pub fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
