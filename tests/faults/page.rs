//! What a worker counts, as its page for Prometheus says it.

use carla_rl::telemetry::names;

pub struct Page(Vec<(String, f64)>);

impl Page {
    pub fn read(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let series = lines.filter_map(|line| line.rsplit_once(' '));
        let series = series.filter_map(|(name, value)| Some((name.into(), value.parse().ok()?)));
        Self(series.collect())
    }

    /// The sum of all series of a metric.
    pub fn sum(&self, name: &str) -> f64 {
        let is_of = |series: &str| series.split('{').next() == Some(name);
        self.0.iter().filter(|(series, _)| is_of(series)).map(|(_, value)| value).sum()
    }

    /// Requests that ended so.
    pub fn outcome(&self, outcome: &str) -> f64 {
        let label = format!("outcome=\"{outcome}\"");
        let is_it =
            |series: &str| series.starts_with(names::REQUESTS.name) && series.contains(&label);
        self.0.iter().filter(|(series, _)| is_it(series)).map(|(_, value)| value).sum()
    }

    pub fn received(&self) -> u64 {
        self.sum(names::REQUESTS_RECEIVED.name) as u64
    }

    /// Whether each request that was taken has ended once, or is still there.
    pub fn conserves(&self) -> bool {
        let parts = [&names::REQUESTS, &names::INFLIGHT_REQUESTS, &names::QUEUED_REQUESTS];
        let parts: f64 = parts.iter().map(|metric| self.sum(metric.name)).sum();
        parts as u64 == self.received()
    }
}
