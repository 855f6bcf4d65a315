//! Spans on their way to a collector: one that listens, one that hangs, one that is gone.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, SystemTime},
};

use async_nats::HeaderMap;
use carla_rl::{
    settings::Monitoring,
    telemetry::traces::{BatchTrace, Origin, RequestTrace, SpanCounts, Traced, Traces},
    wire::TraceContext,
};

use crate::{
    protobuf::{Message, text},
    support::{Native, PATIENCE, TestBroker, ask_with, observation, until},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const SUBJECT: &str = "policy.v1.infer.lane-keeping";
const CONSUMER: u64 = 5;
const ERROR: u64 = 2;

fn start(collector: &TcpListener) -> Traces {
    let endpoint = format!("http://{}", collector.local_addr().unwrap());
    let monitoring = Monitoring { enabled: true, otlp_endpoint: Some(endpoint), trace_ratio: 1.0 };
    let origin = Origin {
        worker: "9e4aedac".into(),
        model: "lane-keeping".into(),
        model_version: "0.1.0".into(),
        subject: SUBJECT.into(),
        group: "lane-keeping".into(),
    };
    Traces::start(&monitoring, origin).unwrap()
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Takes every message and hands its body on.
fn collect(collector: TcpListener) -> mpsc::Receiver<Vec<u8>> {
    let (sender, bodies) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in collector.incoming() {
            if sender.send(take(connection.unwrap())).is_err() {
                return;
            }
        }
    });
    bodies
}

fn take(mut connection: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    let head = head.to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let (_, length) = head.split_once("content-length: ").unwrap();
    let mut body = vec![0; length.lines().next().unwrap().parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    connection.write_all(answer).unwrap();
    body
}

/// All spans of an export.
fn spans<'a>(body: &Message<'a>) -> Vec<Message<'a>> {
    let scopes = body.messages(1).flat_map(|resource| resource.messages(2).collect::<Vec<_>>());
    scopes.flat_map(|scope| scope.messages(2).collect::<Vec<_>>()).collect()
}

fn request(traced: Traced, outcome: &'static str) -> RequestTrace {
    RequestTrace {
        traced,
        tracestate: None,
        arrived: Duration::from_millis(1000),
        answered: Duration::from_millis(1008),
        request_id: None,
        outcome,
    }
}

fn batch(requests: Vec<RequestTrace>) -> BatchTrace {
    BatchTrace {
        epoch: SystemTime::UNIX_EPOCH,
        started: Duration::from_millis(1004),
        assembled: Duration::from_millis(1005),
        forwarded: Duration::from_millis(1007),
        finished: Duration::from_millis(1009),
        rows: 12,
        messages: 3,
        error: None,
        requests,
    }
}

#[test]
fn the_header_decides_and_chance_only_without_one() {
    let traces = start(&listen());
    let traced = traces.decide(Some(TRACEPARENT.parse().unwrap())).unwrap();
    assert_eq!(traced.context.trace(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(traced.parent, Some(0xb7ad6b7169203331u64.to_be_bytes()));
    assert_ne!(Some(traced.context.span_id), traced.parent);
    let unsampled = format!("{}0", TRACEPARENT.strip_suffix('1').unwrap());
    assert_eq!(traces.decide(Some(unsampled.parse().unwrap())), None);
    let begun = traces.decide(None).unwrap();
    assert!(begun.parent.is_none() && begun.context.sampled());
}

#[test]
fn a_batch_and_its_traced_requests_reach_the_collector_as_linked_spans() {
    let collector = listen();
    let traces = start(&collector);
    let bodies = collect(collector);
    let with_parent = traces.decide(Some(TRACEPARENT.parse().unwrap())).unwrap();
    let without = traces.decide(None).unwrap();
    let first = RequestTrace {
        tracestate: Some("vendor=7".into()),
        request_id: Some("car-7".into()),
        ..request(with_parent, "ok")
    };
    traces.record(&batch(vec![first, request(without, "internal")]));
    traces.finish();
    assert_eq!(traces.counts(), SpanCounts { exported: 5, dropped: 0 });

    let body = bodies.recv_timeout(PATIENCE).unwrap();
    let body = Message::read(&body);
    let resource = body.message(1).message(1);
    assert_eq!(resource.attribute(1, "service.name"), "carla-rl");
    assert_eq!(resource.attribute(1, "service.instance.id"), "9e4aedac");
    assert_eq!(resource.attribute(1, "carla_rl.model.version"), "0.1.0");

    let spans = spans(&body);
    let named = |name: &str| {
        spans.iter().filter(|span| text(span.bytes(5)) == name).cloned().collect::<Vec<_>>()
    };
    let [process] = &named(&format!("process {SUBJECT}"))[..] else { panic!("one batch") };
    let [answer, begun] = &named(&format!("answer {SUBJECT}"))[..] else { panic!("two requests") };
    let ([forward], [encode]) = (&named("forward")[..], &named("encode")[..]) else {
        panic!("one of each")
    };

    // The batch is a trace of its own, with a link to each requester.
    assert_eq!((process.number(6), process.bytes(4)), (CONSUMER, &[][..]));
    assert_eq!(process.attribute(9, "messaging.system"), "nats");
    assert_eq!(process.attribute(9, "messaging.operation.type"), "process");
    assert_eq!(process.attribute(9, "messaging.destination.name"), SUBJECT);
    assert_eq!(process.attribute(9, "messaging.consumer.group.name"), "lane-keeping");
    assert_eq!(process.attribute(9, "messaging.batch.message_count"), "3");
    assert_eq!(process.attribute(9, "carla_rl.batch.rows"), "12");
    let links: Vec<_> =
        process.messages(13).map(|link| (link.bytes(1).to_vec(), link.bytes(2).to_vec())).collect();
    let senders = [
        (with_parent.context.trace_id.to_vec(), with_parent.parent.unwrap().to_vec()),
        (without.context.trace_id.to_vec(), without.context.span_id.to_vec()),
    ];
    assert_eq!(links, senders);
    for (span, from, to) in [(forward, 1005, 1007), (encode, 1007, 1009), (process, 1004, 1009)] {
        assert_eq!(span.bytes(1), process.bytes(1));
        assert_eq!((span.number(7), span.number(8)), (from * 1_000_000, to * 1_000_000));
    }
    assert_eq!((forward.bytes(4), encode.bytes(4)), (process.bytes(2), process.bytes(2)));
    assert_ne!(forward.bytes(2), encode.bytes(2));

    // A request is in its requester's trace, and leads to the batch.
    assert_eq!(answer.bytes(1), with_parent.context.trace_id);
    assert_eq!(answer.bytes(2), with_parent.context.span_id);
    assert_eq!(answer.bytes(4), with_parent.parent.unwrap());
    assert_eq!((text(answer.bytes(3)), answer.number(6)), ("vendor=7", CONSUMER));
    assert_eq!((answer.number(7), answer.number(8)), (1_000_000_000, 1_008_000_000));
    assert_eq!(answer.attribute(9, "messaging.message.conversation_id"), "car-7");
    assert_eq!(answer.attribute(9, "carla_rl.outcome"), "ok");
    assert_eq!(answer.attribute(9, "carla_rl.queue_wait"), "0.004");
    assert_eq!(answer.attribute(9, "carla_rl.batch.rows"), "12");
    assert_eq!(answer.message(13).bytes(1), process.bytes(1));
    assert_eq!(answer.message(13).bytes(2), process.bytes(2));
    assert_eq!(answer.messages(15).map(|status| status.number(3)).sum::<u64>(), 0);

    // An error is one for whoever looks at the trace, too.
    assert_eq!((begun.bytes(1), begun.bytes(4)), (&without.context.trace_id[..], &[][..]));
    assert_eq!(begun.message(15).number(3), ERROR);
    assert_eq!(begun.attribute(9, "error.type"), "internal");
}

#[test]
fn requests_through_a_worker_have_spans_below_their_requesters() {
    let collector = listen();
    let traces = start(&collector);
    let bodies = collect(collector);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let vitals = runtime.block_on(async {
        let broker = TestBroker::start();
        let worker = broker.worker().with(|worker| worker.traces = traces).start().await;
        let client = broker.client().await;
        let mut headers = HeaderMap::new();
        headers.insert("TraceParent", TRACEPARENT);
        let good = Native::one(&observation(1)).encode();
        for body in [good, b"nonsense".to_vec()] {
            ask_with(&client, headers.clone(), body).await;
        }
        let vitals = worker.vitals.clone();
        worker.drain().await;
        vitals
    });
    vitals.traces.finish();
    assert_eq!(vitals.traces.counts(), SpanCounts { exported: 5, dropped: 0 });
    // The collector hands a body on only after it has answered.
    let mut taken = Vec::new();
    while taken.iter().map(|body: &Vec<u8>| spans(&Message::read(body)).len()).sum::<usize>() < 5 {
        taken.push(bodies.recv_timeout(PATIENCE).unwrap());
    }
    let all = taken.iter().flat_map(|body| spans(&Message::read(body)));
    let spans: Vec<_> = all.filter(|span| text(span.bytes(5)).starts_with("answer")).collect();
    let parent: TraceContext = TRACEPARENT.parse().unwrap();
    for span in &spans {
        assert_eq!((span.bytes(1), span.bytes(4)), (&parent.trace_id[..], &parent.span_id[..]));
        assert!(span.number(7) > 1_700_000_000_000_000_000 && span.number(8) >= span.number(7));
    }
    let outcomes: Vec<_> = spans.iter().map(|span| span.attribute(9, "carla_rl.outcome")).collect();
    assert_eq!(outcomes, ["ok", "malformed"]);
}

#[test]
fn a_request_that_was_refused_has_a_span_without_a_batch() {
    let collector = listen();
    let traces = start(&collector);
    let bodies = collect(collector);
    let traced = traces.decide(Some(TRACEPARENT.parse().unwrap())).unwrap();
    traces.record_refused(SystemTime::UNIX_EPOCH, &request(traced, "overloaded"));
    traces.finish();
    let body = bodies.recv_timeout(PATIENCE).unwrap();
    let span = Message::read(&body).message(1).message(2).message(2);
    assert_eq!(span.bytes(4), traced.parent.unwrap());
    assert_eq!(span.attribute(9, "error.type"), "overloaded");
    assert_eq!(span.messages(13).count(), 0);
}

#[test]
fn a_collector_that_hangs_holds_up_neither_the_serving_nor_the_end() {
    // Connections are taken by the system, and nobody ever answers.
    let collector = listen();
    let traces = start(&collector);
    let traced = traces.decide(None).unwrap();
    for _ in 0..10_000 {
        traces.record_refused(SystemTime::now(), &request(traced, "ok"));
    }
    let counts = traces.counts();
    assert!(counts.exported == 0 && (5_000..10_000).contains(&counts.dropped), "{counts:?}");
    traces.finish();
}

#[tokio::test]
async fn what_a_collector_that_is_gone_does_not_take_is_counted() {
    let collector = listen();
    let traces = start(&collector);
    drop(collector);
    let traced = traces.decide(None).unwrap();
    traces.record(&batch(vec![request(traced, "ok")]));
    let all = SpanCounts { exported: 0, dropped: 4 };
    until("all spans are given up", || traces.counts() == all).await;
    traces.finish();
}
