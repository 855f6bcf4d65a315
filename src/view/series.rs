//! Reading series by their Prometheus names: `name{label="value"}`.

use std::collections::BTreeMap;

use crate::telemetry::names::Metric;

/// The first series of `metric`: the only one, for those without labels that differ in a worker.
pub fn first<T: Copy>(series: &BTreeMap<String, T>, metric: &Metric) -> Option<T> {
    of(series, metric).map(|(_, value)| value).next()
}

/// The sums of `metric`'s series by the value of one label.
pub fn by_label(
    series: &BTreeMap<String, f64>,
    metric: &Metric,
    label: &str,
) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for (name, value) in of(series, metric) {
        if let Some(key) = label_of(name, label) {
            *sums.entry(key).or_insert(0.0) += value;
        }
    }
    sums
}

fn of<'a, T: Copy>(
    series: &'a BTreeMap<String, T>,
    metric: &'a Metric,
) -> impl Iterator<Item = (&'a str, T)> {
    let is_of = |name: &str| {
        name.strip_prefix(metric.name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    };
    series.iter().filter(move |(name, _)| is_of(name)).map(|(name, value)| (name.as_str(), *value))
}

/// The value of one label, its escapes undone; `None` if it is not there or can't be read.
fn label_of(series: &str, label: &str) -> Option<String> {
    let (_, labels) = series.split_once('{')?;
    let mut rest = labels.strip_suffix('}')?;
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, behind) = unquote(quoted)?;
        if name == label {
            return Some(value);
        }
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    None
}

/// What stands before the closing quote, and what behind it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::names::{PROCESS_CPU, REQUESTS, REQUESTS_RECEIVED};

    fn series(given: &[(&str, f64)]) -> BTreeMap<String, f64> {
        given.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let series = series(&[
            ("process_cpu_seconds_total_of_others", 1.0),
            ("process_cpu_seconds_total", 2.0),
            ("carla_rl_requests_received_total{model=\"m\"}", 3.0),
        ]);
        assert_eq!(first(&series, &PROCESS_CPU), Some(2.0));
        assert_eq!(first(&series, &REQUESTS_RECEIVED), Some(3.0));
        assert_eq!(first(&series, &REQUESTS), None);
    }

    #[test]
    fn series_are_summed_by_a_label_whatever_else_they_are_labelled_with() {
        let series = series(&[
            ("carla_rl_requests_total{model=\"a,b=\\\"c\\\"}\",outcome=\"ok\"}", 1.0),
            ("carla_rl_requests_total{outcome=\"ok\",model=\"d\"}", 2.0),
            ("carla_rl_requests_total{model=\"d\",outcome=\"internal\"}", 4.0),
        ]);
        let sums = by_label(&series, &REQUESTS, "outcome");
        assert_eq!(sums, BTreeMap::from([("ok".to_owned(), 3.0), ("internal".to_owned(), 4.0)]));
    }

    #[test]
    fn names_that_no_prometheus_client_writes_are_passed_over() {
        for name in ["{", "{}", "{outcome}", "{outcome=\"ok}", "{outcome=\"\\", "{=\"\"x"] {
            let series = series(&[(&format!("carla_rl_requests_total{name}"), 1.0)]);
            assert_eq!(by_label(&series, &REQUESTS, "outcome"), BTreeMap::new(), "{name}");
        }
    }
}
