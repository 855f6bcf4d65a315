//! How long something took: a histogram, and what is told of it.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Nothing that is waited for takes longer.
const LONGEST: Duration = Duration::from_secs(600);
/// Of each time that is kept.
const DIGITS: u8 = 3;
/// Points of a curve: from the median on, each halves what lies above it.
const POINTS: i32 = 14;

/// In microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub mean: f64,
    pub max: f64,
    /// Percentiles with their values, up to the largest that the number of values can tell.
    pub curve: Vec<(f64, f64)>,
}

/// Times, to the nanosecond.
#[derive(Clone, Debug)]
pub struct Times(Histogram<u64>);

impl Default for Times {
    fn default() -> Self {
        // The bounds are constants within what the histogram takes.
        Self(Histogram::new_with_max(LONGEST.as_nanos() as u64, DIGITS).expect("valid bounds"))
    }
}

impl Times {
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds, so nothing can be out of them.
        self.0.add(&other.0).expect("the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// `None` of nothing.
    pub fn latency(&self) -> Option<Latency> {
        let us = |ns: f64| (ns / 100.0).round() / 10.0;
        let fine = |ns: f64| if ns < 100_000.0 { ns.round() / 1e3 } else { us(ns) };
        let quantile = |q: f64| fine(self.0.value_at_quantile(q) as f64);
        (!self.0.is_empty()).then(|| Latency {
            p50: quantile(0.5),
            p95: quantile(0.95),
            p99: quantile(0.99),
            mean: fine(self.0.mean()),
            max: fine(self.0.max() as f64),
            curve: self.quantiles().map(|q| (100.0 * q, quantile(q))).collect(),
        })
    }

    /// What lies above the last one is at least one value.
    fn quantiles(&self) -> impl Iterator<Item = f64> {
        let count = self.count() as f64;
        let above = (1..=POINTS).map(|halvings| 0.5_f64.powi(halvings));
        [0.0, 0.25]
            .into_iter()
            .chain(above.take_while(move |above| above * count >= 1.0).map(|above| 1.0 - above))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_all_values_of_both_parts() {
        let (mut odd, mut even) = (Times::default(), Times::default());
        for us in 1..=1000 {
            if us % 2 == 1 { &mut odd } else { &mut even }.record(Duration::from_micros(us));
        }
        odd.add(&even);
        let latency = odd.latency().unwrap();
        for (value, expected) in [(latency.p50, 500.0), (latency.p95, 950.0), (latency.p99, 990.0)]
        {
            assert!((value / expected - 1.0).abs() < 2e-3, "{value} for {expected}");
        }
        assert_eq!((odd.count(), Times::default().latency()), (1000, None));
    }

    #[test]
    fn times_below_a_microsecond_are_told_apart() {
        let mut times = Times::default();
        times.record(Duration::from_nanos(250));
        assert_eq!(times.latency().unwrap().p50, 0.25);
    }

    #[test]
    fn a_curve_ends_where_values_end() {
        let mut times = Times::default();
        (0..100).for_each(|ms| times.record(Duration::from_millis(ms)));
        let curve = times.latency().unwrap().curve;
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{curve:?}");
        assert_eq!(curve.last().unwrap().0, 100.0 * (1.0 - 1.0 / 64.0));
    }
}
