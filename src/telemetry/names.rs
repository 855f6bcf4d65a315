//! Every metric there is: name, kind, labels, meaning. Dashboards, alerts and pages use these names
//! and no others; a test sees to that.
//!
//! Of a label's values all are known at the start, so every series is there from the first scrape.
//! Labels never hold anything that a client sent.

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// As on the Prometheus page, unit last, in base units.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Of times, with the buckets of [`SECONDS`].
    Seconds,
    /// Of rows, with powers of two up to the largest batch as buckets.
    Rows,
}

/// Upper bounds of the buckets of times, in seconds.
pub const SECONDS: [f64; 15] = [
    50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3,
    1.0, 2.5,
];

macro_rules! metrics {
    ($($constant:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: Metric = Metric {
                name: $name,
                kind: Kind::$kind,
                labels: &[$($label),*],
                help: $help,
            };
        )*

        /// All of them.
        pub const ALL: &[&Metric] = &[$(&$constant),*];
    };
}

metrics! {
    // Requests. received = the sum over outcomes + inflight + queued, at every scrape.
    REQUESTS_RECEIVED = Counter "carla_rl_requests_received_total" ["model"]
        "Requests taken off the subject.";
    REQUESTS = Counter "carla_rl_requests_total" ["model", "outcome"]
        "Requests that ended, by outcome: ok, an error's code, no_reply_subject, publish_failed.";
    INFLIGHT_REQUESTS = Gauge "carla_rl_inflight_requests" ["model"]
        "Requests that left the queue and are not yet answered.";
    QUEUED_REQUESTS = Gauge "carla_rl_queued_requests" ["model"]
        "Requests of which rows wait in the queue.";
    REQUEST_DURATION = Seconds "carla_rl_request_duration_seconds" ["model"]
        "From a request's arrival in the process to its action's being handed to the NATS client.";
    REQUEST_BYTES = Counter "carla_rl_request_payload_bytes_total" ["model"]
        "Bytes of request bodies.";
    RESPONSE_BYTES = Counter "carla_rl_response_payload_bytes_total" ["model"]
        "Bytes of reply bodies, errors included.";
    REQUESTS_DROPPED = Counter "carla_rl_requests_dropped_total" ["model"]
        "Requests that the broker delivered and the client library lost, so that they get no answer: too many came at once.";
    REFUSALS = Counter "carla_rl_queue_refusals_total" ["model", "reason"]
        "Requests answered overloaded, by why: full (limits.queue_rows), late (they could not be done within their deadline), simulator (queue.requests_per_simulator).";
    MALFORMED_TRACEPARENTS = Counter "carla_rl_malformed_traceparents_total" ["model"]
        "Requests whose traceparent header could not be read, and was ignored.";
    SPEC_REQUESTS = Counter "carla_rl_spec_requests_total" ["model", "outcome"]
        "Requests on the spec subject, by how they ended: ok, no_reply_subject, publish_failed.";

    // The queue and its limits.
    QUEUED_ROWS = Gauge "carla_rl_queued_rows" ["model"]
        "Rows that wait in the queue.";
    QUEUE_LIMIT = Gauge "carla_rl_queue_limit_rows" ["model"]
        "Rows that may wait: limits.queue_rows.";
    QUEUE_OLDEST_AGE = Gauge "carla_rl_queue_oldest_age_seconds" ["model"]
        "How long the oldest row in the queue has waited; 0 if none waits.";
    QUEUE_WAIT = Seconds "carla_rl_queue_wait_seconds" ["model"]
        "From a request's arrival in the process to the start of the batch with its last row.";

    // Batches and where their time goes.
    BATCHES = Counter "carla_rl_batches_total" ["model", "reason"]
        "Batches computed, by what closed them: full, delay (max_delay_us passed), deadline (a row's was near), lockstep (all simulators had asked), idle (the device was free), drain.";
    BATCH_SIZE = Rows "carla_rl_batch_size_rows" ["model"]
        "Rows of a batch.";
    MAX_BATCH_SIZE = Gauge "carla_rl_max_batch_size_rows" ["model"]
        "Most rows of a batch: model.max_batch_size.";
    DECODE = Seconds "carla_rl_decode_seconds" ["model"]
        "Taking one burst of requests: reading, checking, queueing, and refusing what can't be served.";
    ASSEMBLE = Seconds "carla_rl_assemble_seconds" ["model"]
        "Putting the rows of a batch together.";
    FORWARD = Seconds "carla_rl_forward_seconds" ["model"]
        "The policy's forward pass on a batch, from observations to actions.";
    ENCODE = Seconds "carla_rl_encode_seconds" ["model"]
        "Writing the replies that a batch completes.";
    PUBLISH = Seconds "carla_rl_publish_seconds" ["model"]
        "Handing these replies to the NATS client.";
    LAST_BATCH = Gauge "carla_rl_last_batch_timestamp_seconds" ["model"]
        "When the last batch was computed, in Unix time; 0 if none was.";

    // The device.
    DEVICE_BUSY = Counter "carla_rl_device_busy_seconds_total" ["device"]
        "Time that was spent on computing batches. Its rate is the share of time busy.";
    DEVICE_COMPUTING = Gauge "carla_rl_device_computing_seconds" ["device"]
        "How long the batch that is being computed has taken so far; 0 if there is none.";
    DEVICE_ERRORS = Counter "carla_rl_device_errors_total" ["device", "class"]
        "Batches that failed: error (the device reported one), panic (the worker ends).";

    CANARIES = Counter "carla_rl_canary_rows_total" ["device", "result"]
        "Golden rows that the idle device computed (worker.canary_s): right, wrong (the worker ends).";

    // The worker's state.
    READY = Gauge "carla_rl_ready" []
        "1 while the worker takes requests: it is ready or degraded, and not stuck. As /readyz says.";
    SUBSCRIBED = Gauge "carla_rl_subscribed" []
        "1 while the broker counts the worker among the queue group.";
    SATURATED = Gauge "carla_rl_saturated" []
        "1 while the worker stays out of the queue group because its queue is full.";
    DRAINING = Gauge "carla_rl_draining" []
        "1 while the worker drains.";
    RUNTIME_STALL = Gauge "carla_rl_runtime_stall_seconds" []
        "How long the thread that takes and answers requests has made no turn.";
    MODEL_LOAD = Gauge "carla_rl_model_load_seconds" ["model"]
        "What reading and verifying the artifact took.";
    MODEL_INFO = Gauge "carla_rl_model_info" ["model", "version", "weights", "algorithm", "precision", "device"]
        "1, with what is served in its labels.";
    WORKER_INFO = Gauge "carla_rl_worker_info" ["worker", "version", "git", "features", "os", "arch"]
        "1, with which program serves in its labels.";

    // The broker.
    NATS_CONNECTED = Gauge "carla_rl_nats_connected" ["connection"]
        "1 while connected.";
    NATS_DISCONNECTS = Counter "carla_rl_nats_disconnects_total" ["connection"]
        "Connections lost.";
    NATS_RECONNECTS = Counter "carla_rl_nats_reconnects_total" ["connection"]
        "Connections made anew.";
    NATS_ERRORS = Counter "carla_rl_nats_server_errors_total" ["connection", "kind"]
        "Errors that the broker reported: permission, other.";
    NATS_LAME_DUCK = Counter "carla_rl_nats_lame_duck_total" ["connection"]
        "Announcements of the broker that it is about to shut down.";
    NATS_DROPPED = Counter "carla_rl_nats_slow_consumer_events_total" ["connection"]
        "Messages that the client library dropped because too many came at once, at the least: it does not tell of all. Requests among them get no answer.";
    NATS_MESSAGES = Counter "carla_rl_nats_messages_total" ["connection", "direction"]
        "Messages in and out.";
    NATS_ROUND_TRIP = Gauge "carla_rl_nats_round_trip_seconds" []
        "A message to ourselves over the broker and back, the last time that it was measured.";

    // What we say of ourselves.
    LOG_LINES_DROPPED = Counter "carla_rl_log_lines_dropped_total" ["destination"]
        "Log lines that their destination did not take, or that found no room before it: stderr, file.";
    LOG_REPEATS = Counter "carla_rl_log_repeats_total" []
        "Log lines left out because the same had been written many times shortly before.";
    SPANS = Counter "carla_rl_spans_total" ["result"]
        "Spans handed to the exporter: exported, dropped (no room in its line, or not taken by the collector). 0 without one.";

    // The process and its machine, as Prometheus clients call them.
    PROCESS_CPU = Counter "process_cpu_seconds_total" []
        "User and system CPU time.";
    PROCESS_MEMORY = Gauge "process_resident_memory_bytes" []
        "Resident memory.";
    PROCESS_VIRTUAL_MEMORY = Gauge "process_virtual_memory_bytes" []
        "Virtual memory.";
    PROCESS_OPEN_FDS = Gauge "process_open_fds" []
        "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" []
        "File descriptors that may be open.";
    PROCESS_START = Gauge "process_start_time_seconds" []
        "Start of the process in Unix time.";
    HOST_CPU = Gauge "carla_rl_host_cpu_busy_ratio" []
        "Share of the machine's CPU time that was used since the last look, 0 to 1.";
    HOST_CPUS = Gauge "carla_rl_host_cpus" []
        "Logical CPUs of the machine.";
    HOST_LOAD = Gauge "carla_rl_host_load_average" []
        "Load average of one minute.";
    HOST_MEMORY = Gauge "carla_rl_host_memory_bytes" []
        "Memory of the machine.";
    HOST_MEMORY_AVAILABLE = Gauge "carla_rl_host_memory_available_bytes" []
        "Memory that could still be had without swapping.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_their_unit_as_prometheus_wants_it() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        for metric in ALL {
            let name = metric.name;
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            match metric.kind {
                Kind::Seconds => assert!(name.ends_with("_seconds"), "{name}"),
                Kind::Rows => assert!(name.ends_with("_rows"), "{name}"),
                Kind::Counter | Kind::Gauge => {}
            }
            assert!(metric.help.ends_with('.'), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
