//! Where a worker's time went, from its page of metrics.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::telemetry::names::{
    ASSEMBLE, BATCH_SIZE, DECODE, ENCODE, FORWARD, Metric, PUBLISH, QUEUE_WAIT, REQUEST_DURATION,
};

/// The stages in their order: what each is called, whose mean it is, and its metric.
const STAGES: [(&str, &str, &Metric); 7] = [
    ("read", "burst", &DECODE),
    ("wait", "request", &QUEUE_WAIT),
    ("assemble", "batch", &ASSEMBLE),
    ("forward", "batch", &FORWARD),
    ("encode", "batch", &ENCODE),
    ("publish", "batch", &PUBLISH),
    ("all", "request", &REQUEST_DURATION),
];

/// Sums and counts of a page, by metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums(BTreeMap<&'static str, (f64, f64)>);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    pub batch_rows: f64,
    pub stages: Vec<Stage>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    pub name: String,
    /// Whose mean it is: a burst's, a request's, a batch's.
    pub of: String,
    pub mean_us: f64,
}

impl Sums {
    /// Adds up the series of each metric.
    pub fn read(page: &str) -> Self {
        let mut sums = Self::default();
        for line in page.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let name = series.split('{').next().unwrap_or(series);
            let known = STAGES.iter().map(|(_, _, metric)| metric.name).chain([BATCH_SIZE.name]);
            for metric in known {
                let sum = sums.0.entry(metric).or_default();
                match name.strip_prefix(metric) {
                    Some("_sum") => sum.0 += value,
                    Some("_count") => sum.1 += value,
                    _ => {}
                }
            }
        }
        sums
    }

    /// What came to them since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |name: &str| earlier.0.get(name).copied().unwrap_or_default();
        let since = |(name, (sum, count)): (&&'static str, &(f64, f64))| {
            let (then_sum, then_count) = before(name);
            (*name, (sum - then_sum, count - then_count))
        };
        Self(self.0.iter().map(since).collect())
    }

    pub fn add(&mut self, other: &Self) {
        for (name, (sum, count)) in &other.0 {
            let own = self.0.entry(name).or_default();
            (own.0, own.1) = (own.0 + sum, own.1 + count);
        }
    }

    /// `None` if there was no batch.
    pub fn stages(&self) -> Option<Stages> {
        let stage = |(name, of, metric): &(&str, &str, &Metric)| {
            let mean_us = (self.mean(metric)? * 1e7).round() / 10.0;
            Some(Stage { name: (*name).into(), of: (*of).into(), mean_us })
        };
        let batch_rows = (self.mean(&BATCH_SIZE)? * 100.0).round() / 100.0;
        Some(Stages { batch_rows, stages: STAGES.iter().filter_map(stage).collect() })
    }

    fn mean(&self, metric: &Metric) -> Option<f64> {
        let (sum, count) = self.0.get(metric.name)?;
        (*count > 0.0).then(|| sum / count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# HELP carla_rl_forward_seconds Help.
carla_rl_forward_seconds_bucket{model=\"m\",le=\"0.1\"} 5
carla_rl_forward_seconds_sum{model=\"m\"} 1
carla_rl_forward_seconds_count{model=\"m\"} 10
carla_rl_batch_size_rows_sum{model=\"m\"} 100
carla_rl_batch_size_rows_count{model=\"m\"} 10
";
    const AFTER: &str = "carla_rl_forward_seconds_sum{model=\"m\"} 1.0002
carla_rl_forward_seconds_count{model=\"m\"} 14
carla_rl_batch_size_rows_sum{model=\"m\"} 160
carla_rl_batch_size_rows_count{model=\"m\"} 14
";

    #[test]
    fn a_mean_is_of_what_came_between_two_looks() {
        let stages = Sums::read(AFTER).since(&Sums::read(BEFORE)).stages().unwrap();
        let forward = Stage { name: "forward".into(), of: "batch".into(), mean_us: 50.0 };
        assert_eq!(stages, Stages { batch_rows: 15.0, stages: vec![forward] });
    }

    #[test]
    fn rounds_add_up() {
        let mut both = Sums::read(AFTER).since(&Sums::read(BEFORE));
        both.add(&Sums::read(BEFORE));
        assert_eq!(both.stages().unwrap().batch_rows, 11.43);
    }

    #[test]
    fn without_a_batch_nothing_is_told() {
        let sums = Sums::read(BEFORE);
        assert_eq!(sums.since(&sums).stages(), None);
        assert_eq!(Sums::read("").stages(), None);
    }
}
