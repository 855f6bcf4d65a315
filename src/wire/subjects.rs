//! Subject and header names.

/// Text of an error, for clients of the NATS services API (ADR-32).
pub const ERROR_HEADER: &str = "Nats-Service-Error";
/// Its number, see [`super::Code::number`].
pub const ERROR_CODE_HEADER: &str = "Nats-Service-Error-Code";
/// Serve this version or refuse.
pub const MODEL_VERSION_HEADER: &str = "Model-Version";
/// Milliseconds that the sender will wait for, counted from sending.
pub const DEADLINE_HEADER: &str = "Deadline-Ms";
/// Who is served first.
pub const PRIORITY_HEADER: &str = "Priority";
/// Which simulator asks.
pub const ENV_ID_HEADER: &str = "Env-Id";
/// Echoed on the reply and written to the log.
pub const REQUEST_ID_HEADER: &str = "Request-Id";
/// Which trace a request belongs to, see [`super::trace`].
pub const TRACEPARENT_HEADER: &str = "traceparent";
/// What tracing systems add to it: passed on as it came.
pub const TRACESTATE_HEADER: &str = "tracestate";

/// Request and reply: observations in, actions out.
pub fn infer(prefix: &str, model: &str) -> String {
    format!("{prefix}.v1.infer.{model}")
}

/// Request and reply: spaces, version, limits.
pub fn spec(prefix: &str, model: &str) -> String {
    format!("{prefix}.v1.spec.{model}")
}

/// Published: how a worker is. `model` and `worker` may be `*`.
pub fn health(prefix: &str, model: &str, worker: &str) -> String {
    format!("{prefix}.v1.health.{model}.{worker}")
}

/// Published: what a worker has counted. `model` and `worker` may be `*`.
pub fn metrics(prefix: &str, model: &str, worker: &str) -> String {
    format!("{prefix}.v1.metrics.{model}.{worker}")
}

/// Whether a reply may go to `inbox`, which a request on `own` names: a wildcard, a system subject
/// or our own would do harm.
pub fn is_inbox(inbox: &str, own: &str) -> bool {
    let wild = inbox.bytes().any(|byte| byte == b'*' || byte == b'>')
        && inbox.split('.').any(|token| token == "*" || token == ">");
    !wild && !inbox.starts_with('$') && inbox != own
}

/// Whether `name` can be one token of a subject, and a queue group.
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}
