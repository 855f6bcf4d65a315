//! Spans of what the worker did, made afterwards from recorded times. Names and attributes are those
//! of OpenTelemetry's semantic conventions for messaging; what they don't name begins `carla_rl.`.
//!
//! A batch answers requests of many traces, so it is a trace of its own, with links to each traced
//! request; and each of these has a span in its requester's trace, with a link to the batch.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::traces::{BatchTrace, Ids, Origin, RequestTrace};
use crate::wire::TraceContext;

/// Characters of a request's id: a client may send as many as fit a message, and spans wait.
const ID: usize = 128;
/// Characters of a `tracestate`: as many as the recommendation wants to be passed on.
const STATE: usize = 512;

/// The batch, its forward pass, the writing of its replies, and the requests that it answers.
pub fn of_batch(origin: &Origin, batch: &BatchTrace, ids: &Ids) -> Vec<SpanData> {
    let context = ids.context();
    let own = span_context(context, false, None);
    let mut spans = vec![process(origin, batch, own.clone())];
    let child = || span_context(TraceContext { span_id: ids.span(), ..context }, false, None);
    let phases = [
        ("forward", batch.assembled, batch.forwarded),
        ("encode", batch.forwarded, batch.finished),
    ];
    spans.extend(phases.map(|(name, from, to)| SpanData {
        parent_span_id: own.span_id(),
        ..span(child(), name, batch.epoch, (from, to))
    }));
    spans.extend(batch.requests.iter().map(|request| answer(origin, batch, request, &own)));
    spans
}

/// A request from its arrival to its answer.
pub fn of_request(origin: &Origin, epoch: SystemTime, request: &RequestTrace) -> SpanData {
    let tracestate = request.tracestate.as_deref();
    let context = span_context(request.traced.context, false, tracestate);
    let mut attributes = messaging(origin, "answer");
    attributes.push(KeyValue::new("carla_rl.outcome", request.outcome));
    let id = request.request_id.as_ref().map(|id| id.chars().take(ID).collect::<String>());
    attributes.extend(id.map(|id| KeyValue::new("messaging.message.conversation_id", id)));
    let error = Some(request.outcome).filter(|outcome| *outcome != "ok");
    attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
    let name = format!("answer {}", origin.subject);
    SpanData {
        parent_span_id: request.traced.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: request.traced.parent.is_some(),
        span_kind: SpanKind::Consumer,
        attributes,
        status: status(error),
        ..span(context, name, epoch, (request.arrived, request.answered))
    }
}

fn process(origin: &Origin, batch: &BatchTrace, context: SpanContext) -> SpanData {
    let mut attributes = messaging(origin, "process");
    attributes.push(KeyValue::new("messaging.batch.message_count", batch.messages as i64));
    attributes.push(KeyValue::new("carla_rl.batch.rows", batch.rows as i64));
    attributes.extend(batch.error.map(|error| KeyValue::new("error.type", error)));
    let name = format!("process {}", origin.subject);
    SpanData {
        span_kind: SpanKind::Consumer,
        attributes,
        links: links(batch.requests.iter().map(sender)),
        status: status(batch.error),
        ..span(context, name, batch.epoch, (batch.started, batch.finished))
    }
}

/// The request as its requester sees it, with the part that the queue had in it.
fn answer(
    origin: &Origin,
    batch: &BatchTrace,
    request: &RequestTrace,
    own: &SpanContext,
) -> SpanData {
    let mut answer = of_request(origin, batch.epoch, request);
    let queue_wait = batch.started.saturating_sub(request.arrived).as_secs_f64();
    answer.attributes.push(KeyValue::new("carla_rl.queue_wait", queue_wait));
    answer.attributes.push(KeyValue::new("carla_rl.batch.rows", batch.rows as i64));
    answer.links = links([own.clone()].into_iter());
    answer
}

/// The context in which a request was sent; of one that came without, our own span.
fn sender(request: &RequestTrace) -> SpanContext {
    let context = request.traced.context;
    let parent = request.traced.parent;
    let context = TraceContext { span_id: parent.unwrap_or(context.span_id), ..context };
    span_context(context, parent.is_some(), request.tracestate.as_deref())
}

fn messaging(origin: &Origin, operation: &'static str) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", origin.subject.clone()),
        KeyValue::new("messaging.consumer.group.name", origin.group.clone()),
        KeyValue::new("messaging.client.id", origin.worker.clone()),
    ]
}

fn links(contexts: impl Iterator<Item = SpanContext>) -> SpanLinks {
    let mut links = SpanLinks::default();
    links.links = contexts.map(Link::with_context).collect();
    links
}

fn status(error: Option<&'static str>) -> Status {
    error.map_or(Status::Unset, Status::error)
}

/// A `tracestate` that can't be read, or is longer than anybody must pass on, is left out, as the recommendation has it.
fn span_context(context: TraceContext, is_remote: bool, tracestate: Option<&str>) -> SpanContext {
    let short = tracestate.filter(|text| text.len() <= STATE);
    let state = short.and_then(|text| text.parse::<TraceState>().ok());
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        TraceFlags::new(context.flags),
        is_remote,
        state.unwrap_or_default(),
    )
}

/// A part of the work in here, without parent, attributes and links.
fn span(
    context: SpanContext,
    name: impl Into<Cow<'static, str>>,
    epoch: SystemTime,
    (from, to): (Duration, Duration),
) -> SpanData {
    SpanData {
        span_context: context,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: name.into(),
        start_time: epoch + from,
        end_time: epoch + to,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::builder("carla-rl").build(),
    }
}
