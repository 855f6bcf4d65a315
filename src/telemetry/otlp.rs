//! Export of spans to an OpenTelemetry collector, over OTLP/HTTP.
//!
//! It happens on a thread of the SDK's own. Whoever records a span puts it into a line of bounded
//! length, or drops and counts it: a collector that is gone or hangs costs the serving nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{Protocol, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanExporter as Export, SpanProcessor,
    },
};

use super::{
    spans,
    traces::{BatchTrace, Ids, Origin, RequestTrace, SpanCounts},
};

/// Spans that may wait, those under way to the collector included.
pub const ROOM: usize = 4096;
/// Spans of one message to the collector.
const SPANS: usize = 512;
/// How long a span waits for company.
const DELAY: Duration = Duration::from_secs(1);
/// How long the collector may take for one message, all attempts together.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the collector.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// Makes spans and hands them over.
pub struct Exporter {
    origin: Origin,
    processor: BatchSpanProcessor,
    line: Arc<Line>,
}

/// Counts spans from the moment at which they are recorded.
#[derive(Debug, Default)]
struct Line {
    waiting: AtomicUsize,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Exporter {
    /// # Errors
    /// The SDK does not take the endpoint, or one of its own environment variables.
    pub fn start(endpoint: &str, origin: Origin) -> Result<Self, String> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_endpoint(format!("{endpoint}/v1/traces"))
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(PATIENCE)
            .build();
        let mut exporter = exporter.map_err(|error| error.to_string())?;
        exporter.set_resource(&resource(&origin));
        let line = Arc::new(Line::default());
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(ROOM)
            .with_max_export_batch_size(SPANS)
            .with_scheduled_delay(DELAY);
        let processor = BatchSpanProcessor::builder(Counted { exporter, line: line.clone() })
            .with_batch_config(config.build())
            .build();
        Ok(Self { origin, processor, line })
    }

    pub fn record(&self, batch: &BatchTrace, ids: &Ids) {
        self.put(spans::of_batch(&self.origin, batch, ids));
    }

    pub fn record_refused(&self, epoch: SystemTime, request: &RequestTrace) {
        self.put(vec![spans::of_request(&self.origin, epoch, request)]);
    }

    pub fn counts(&self) -> SpanCounts {
        SpanCounts {
            exported: self.line.exported.load(Ordering::Relaxed),
            dropped: self.line.dropped.load(Ordering::Relaxed),
        }
    }

    /// Sends what waits, and ends the thread. A collector that does not answer is left behind.
    pub fn finish(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(LAST_PATIENCE) {
            let waiting = self.line.waiting.load(Ordering::Relaxed);
            tracing::warn!(%error, waiting, "the last spans may be lost");
        }
    }

    fn put(&self, spans: Vec<SpanData>) {
        for span in spans {
            if self.line.enter() {
                self.processor.on_end(span);
            }
        }
    }
}

impl Line {
    /// The SDK's own queue has the same length and never holds more: it drops nothing, uncounted.
    fn enter(&self) -> bool {
        let room = |waiting| (waiting < ROOM).then_some(waiting + 1);
        let entered = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok();
        if !entered {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    fn leave(&self, spans: usize, result: &OTelSdkResult) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        let count = if result.is_ok() { &self.exported } else { &self.dropped };
        count.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

/// Counts what the collector takes and what it doesn't.
#[derive(Debug)]
struct Counted {
    exporter: opentelemetry_otlp::SpanExporter,
    line: Arc<Line>,
}

impl Export for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.exporter.export(batch).await;
        self.line.leave(spans, &result);
        if let Err(error) = &result {
            tracing::warn!(%error, spans, "spans were dropped (monitoring.otlp_endpoint)");
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }
}

/// The process, as the semantic conventions name it.
fn resource(origin: &Origin) -> Resource {
    let attributes = [
        KeyValue::new("service.instance.id", origin.worker.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("carla_rl.model.name", origin.model.clone()),
        KeyValue::new("carla_rl.model.version", origin.model_version.clone()),
    ];
    Resource::builder_empty().with_service_name("carla-rl").with_attributes(attributes).build()
}
