//! What the worker says of itself besides its logs.

use super::key::Key;
use super::problem::Expected;
use super::values::Values;

const ENABLED: Key = Key::switch("monitoring", "enabled");
const OTLP_ENDPOINT: Key = Key::optional_text("monitoring", "otlp_endpoint");
const TRACE_RATIO: Key = Key::ratio("monitoring", "trace_ratio");

pub(super) const KEYS: &[Key] = &[ENABLED, OTLP_ENDPOINT, TRACE_RATIO];

/// Section `monitoring`.
#[derive(Clone, Debug, PartialEq)]
pub struct Monitoring {
    /// Probes and metrics over HTTP; health, metrics and the services API over NATS.
    pub enabled: bool,
    /// The collector of spans, without a slash at its end.
    pub otlp_endpoint: Option<String>,
    /// Of requests without a trace of their own, the share that is traced, 0 to 1.
    pub trace_ratio: f64,
}

impl Monitoring {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let enabled = values.switch(&ENABLED);
        let otlp_endpoint = values.optional(&OTLP_ENDPOINT, endpoint);
        let trace_ratio = values.ratio(&TRACE_RATIO);
        Some(Self { enabled: enabled?, otlp_endpoint: otlp_endpoint?, trace_ratio: trace_ratio? })
    }
}

/// `http://host[:port][/path]`. TLS is not in the program, and a user's name or a query could hold
/// a secret, which this key does not hide.
fn endpoint(text: &str) -> Result<String, Expected> {
    let is_odd = |c: char| c.is_whitespace() || "@?#".contains(c);
    match text.strip_prefix("http://") {
        Some(rest)
            if !rest.is_empty() && !rest.starts_with(['/', ':']) && !rest.contains(is_odd) =>
        {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ => Err(Expected("http://host:port of an OpenTelemetry collector".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_http_address() {
        for (given, read) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
            ("http://[::1]:4318/", "http://[::1]:4318"),
            ("http://collector/otlp", "http://collector/otlp"),
        ] {
            assert_eq!(endpoint(given).unwrap(), read);
        }
        for wrong in [
            "",
            "localhost:4318",
            "https://a",
            "http://",
            "http://:1",
            "http://u:p@a",
            "http://a?k=s",
        ] {
            assert!(endpoint(wrong).is_err(), "{wrong}");
        }
    }
}
