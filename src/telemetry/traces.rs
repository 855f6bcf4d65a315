//! Which requests are traced, and what is recorded of them.
//!
//! Nothing here touches a request that is not traced: whether it is, is decided from its header
//! before anything else happens, and spans are made afterwards, from the times that the worker
//! takes anyway.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::otlp::Exporter;
use crate::{failure::Failure, settings::Monitoring, wire::TraceContext};

/// Decides and records. Without `monitoring.otlp_endpoint` nothing is traced.
pub struct Traces {
    /// Of requests without a context of their own, the share that is traced.
    ratio: f64,
    ids: Ids,
    exporter: Option<Exporter>,
}

/// Whose spans they are.
#[derive(Clone, Debug)]
pub struct Origin {
    pub worker: String,
    pub model: String,
    pub model_version: String,
    /// On which requests come in.
    pub subject: String,
    /// The queue group there.
    pub group: String,
}

/// A request that is traced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traced {
    /// Our own span.
    pub context: TraceContext,
    /// The requester's; `None` if the trace begins here.
    pub parent: Option<[u8; 8]>,
}

/// A batch with at least one traced request. Times are on one clock, of which `epoch` is zero.
#[derive(Clone, Debug)]
pub struct BatchTrace {
    /// Taken anew for each batch (now, less the clock's reading): the wall clock may be set.
    pub epoch: SystemTime,
    /// The batch left the queue.
    pub started: Duration,
    /// Its rows were put together, and the forward pass began.
    pub assembled: Duration,
    /// The forward pass ended.
    pub forwarded: Duration,
    /// Its replies were written and handed on.
    pub finished: Duration,
    pub rows: usize,
    /// All requests of the batch, traced or not.
    pub messages: usize,
    /// `None`: the forward pass succeeded.
    pub error: Option<&'static str>,
    /// The traced ones that the batch answers.
    pub requests: Vec<RequestTrace>,
}

/// A traced request that has been answered.
#[derive(Clone, Debug)]
pub struct RequestTrace {
    pub traced: Traced,
    /// The header `tracestate`, passed on as it came.
    pub tracestate: Option<String>,
    pub arrived: Duration,
    pub answered: Duration,
    pub request_id: Option<String>,
    /// `ok`, or an error's code.
    pub outcome: &'static str,
}

/// Spans handed to the exporter. Those that wait are in neither number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanCounts {
    /// The collector has them.
    pub exported: u64,
    /// There was no room for them, or the collector did not take them.
    pub dropped: u64,
}

impl Traces {
    /// Starts the exporter, if one is configured. Not to be called within an asynchronous runtime:
    /// the exporter's client waits for a thread of its own.
    ///
    /// # Errors
    /// [`Failure::Configuration`]: an exporter is configured that this program does not have, or
    /// that does not take its settings.
    pub fn start(monitoring: &Monitoring, origin: Origin) -> Result<Self, Failure> {
        let start = |endpoint: &String| Exporter::start(endpoint, origin);
        let exporter = monitoring.otlp_endpoint.as_ref().map(start).transpose();
        let exporter = exporter.map_err(|error| {
            Failure::Configuration(format!("monitoring.otlp_endpoint: {error}"))
        })?;
        Ok(Self { ratio: monitoring.trace_ratio, ids: Ids::new(), exporter })
    }

    /// Traces nothing.
    pub fn none() -> Self {
        Self { ratio: 0.0, ids: Ids::new(), exporter: None }
    }

    /// Whether a request is traced: if its requester told where it stands, the sampled flag alone
    /// decides, else chance.
    pub fn decide(&self, parent: Option<TraceContext>) -> Option<Traced> {
        self.exporter.as_ref()?;
        match parent {
            Some(parent) if parent.sampled() => Some(Traced {
                context: TraceContext { span_id: self.ids.span(), ..parent },
                parent: Some(parent.span_id),
            }),
            None if self.ratio > 0.0 && self.ids.chance(self.ratio) => {
                Some(Traced { context: self.ids.context(), parent: None })
            }
            _ => None,
        }
    }

    /// Records a batch and the traced requests that it answers.
    pub fn record(&self, batch: &BatchTrace) {
        if let Some(exporter) = &self.exporter {
            exporter.record(batch, &self.ids);
        }
    }

    /// Records a request that ended without a batch: it was refused, or given up. Its times are on
    /// a clock of which `epoch` is zero.
    pub fn record_refused(&self, epoch: SystemTime, request: &RequestTrace) {
        if let Some(exporter) = &self.exporter {
            exporter.record_refused(epoch, request);
        }
    }

    /// What became of the spans so far.
    pub fn counts(&self) -> SpanCounts {
        self.exporter.as_ref().map(Exporter::counts).unwrap_or_default()
    }

    /// Hands over what still waits, for two seconds at most. What comes later is lost.
    pub fn finish(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.finish();
        }
    }
}

/// Draws ids at random, as level 2 of the recommendation wants them.
pub(super) struct Ids(Mutex<ChaCha8Rng>);

impl Ids {
    fn new() -> Self {
        Self(Mutex::new(ChaCha8Rng::from_os_rng()))
    }

    pub(super) fn span(&self) -> [u8; 8] {
        // All zero means none.
        self.draw(|rng| rng.next_u64().max(1).to_be_bytes())
    }

    /// A new trace, sampled, with its first span.
    pub(super) fn context(&self) -> TraceContext {
        let trace_id = self.draw(|rng| rng.random::<u128>().max(1).to_be_bytes());
        TraceContext { trace_id, span_id: self.span(), flags: TraceContext::NEW }
    }

    fn chance(&self, ratio: f64) -> bool {
        self.draw(|rng| rng.random::<f64>() < ratio)
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut ChaCha8Rng) -> T) -> T {
        // A generator is never left half-way.
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn start(otlp_endpoint: Option<&str>) -> Result<Traces, Failure> {
        let text = String::new;
        let origin = Origin {
            worker: text(),
            model: text(),
            model_version: text(),
            subject: text(),
            group: text(),
        };
        let otlp_endpoint = otlp_endpoint.map(str::to_owned);
        Traces::start(&Monitoring { enabled: true, otlp_endpoint, trace_ratio: 1.0 }, origin)
    }

    #[test]
    fn without_a_collector_nothing_is_traced() {
        let traces = start(None).unwrap();
        assert_eq!(traces.decide(None), None);
        assert_eq!(traces.decide(Some(SAMPLED.parse().unwrap())), None);
        assert_eq!(traces.counts(), SpanCounts::default());
    }

    #[cfg(not(feature = "otlp"))]
    #[test]
    fn a_collector_is_refused_by_a_program_without_an_exporter() {
        let Err(Failure::Configuration(why)) = start(Some("http://127.0.0.1:4318")) else {
            panic!("it started");
        };
        assert!(why.starts_with("monitoring.otlp_endpoint: "), "{why}");
        assert!(why.contains("--features otlp"), "{why}");
    }

    #[test]
    fn ids_are_drawn_anew_and_a_new_trace_is_sampled() {
        let ids = Ids::new();
        let (one, other) = (ids.context(), ids.context());
        assert!(one.sampled() && one.trace_id != other.trace_id && one.span_id != other.span_id);
    }

    #[test]
    fn chance_keeps_to_its_ratio() {
        let ids = Ids(Mutex::new(ChaCha8Rng::seed_from_u64(1)));
        let drawn = (0..10_000).filter(|_| ids.chance(0.1)).count();
        assert!((900..1100).contains(&drawn), "{drawn}");
        assert!((0..1000).all(|_| ids.chance(1.0)) && !(0..1000).any(|_| ids.chance(0.0)));
    }
}
