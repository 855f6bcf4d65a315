//! The page that Prometheus reads.

use std::{collections::BTreeMap, fmt::Write};

use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::{
    figures::Figure,
    names::{self, Kind, Metric},
    vitals::Vitals,
};
use crate::batch;

const METADATA: Metadata<'static> = Metadata::new("carla_rl", Level::INFO, None);

/// Histograms are recorded where things happen, counters and gauges copied at each look.
pub struct Exposition {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Exposition {
    /// A page for this worker, whose distributions are recorded for it from now on. From now on,
    /// too, [`Exposition::upkeep`] must be called every second or so.
    pub fn attach(vitals: &Vitals) -> Self {
        let rows: Vec<_> = batch::sizes(vitals.about.limits.batch_rows).map(|r| r as f64).collect();
        // The buckets are not empty, which is all that the builder asks.
        let builder = PrometheusBuilder::new()
            .set_buckets(&names::SECONDS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Full(names::BATCH_SIZE.name.into()), &rows)
            })
            .expect("buckets that are not empty");
        let recorder = builder.build_recorder();
        names::ALL.iter().for_each(|metric| describe(&recorder, metric));
        let model = [vitals.about.spec.model.clone()];
        for (metric, distribution) in vitals.tally().distributions() {
            distribution.export(recorder.register_histogram(&key(metric, &model), &METADATA));
        }
        Self { handle: recorder.handle(), recorder }
    }

    /// Sorts what was recorded into its buckets, which frees the room that it takes.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// The page with these counters and gauges.
    pub fn page(&self, figures: &[Figure]) -> String {
        // The library's counters are whole numbers: those of seconds are written here.
        let (seconds, others): (Vec<_>, Vec<_>) =
            figures.iter().partition(|figure| is_seconds_counter(figure.metric));
        others.into_iter().for_each(|figure| self.copy(figure));
        let mut page = self.handle.render();
        append(&mut page, &seconds);
        page
    }

    fn copy(&self, figure: &Figure) {
        let key = key(figure.metric, &figure.labels);
        match figure.metric.kind {
            Kind::Counter => {
                self.recorder.register_counter(&key, &METADATA).absolute(figure.value as u64);
            }
            _ => self.recorder.register_gauge(&key, &METADATA).set(figure.value),
        }
    }
}

fn describe(recorder: &PrometheusRecorder, metric: &Metric) {
    let (name, help) = (metric.name.into(), metric.help.into());
    match metric.kind {
        Kind::Counter => recorder.describe_counter(name, None, help),
        Kind::Gauge => recorder.describe_gauge(name, None, help),
        Kind::Seconds | Kind::Rows => recorder.describe_histogram(name, None, help),
    }
}

fn key(metric: &'static Metric, labels: &[String]) -> Key {
    let labels = metric.labels.iter().zip(labels);
    let labels: Vec<_> = labels.map(|(label, value)| Label::new(*label, value.clone())).collect();
    Key::from_parts(metric.name, labels)
}

fn is_seconds_counter(metric: &Metric) -> bool {
    metric.kind == Kind::Counter && metric.name.ends_with("_seconds_total")
}

fn append(page: &mut String, figures: &[&Figure]) {
    let mut by_metric: BTreeMap<&str, Vec<&Figure>> = BTreeMap::new();
    for figure in figures {
        by_metric.entry(figure.metric.name).or_default().push(figure);
    }
    for (name, figures) in by_metric {
        // Writing to a text can't fail.
        let help = figures[0].metric.help;
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
        for figure in figures {
            let _ = writeln!(page, "{} {}", figure.series(), figure.value);
        }
        let _ = writeln!(page);
    }
}
