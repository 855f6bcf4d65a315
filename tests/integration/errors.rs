//! Every kind of bad request gets its typed error, and nobody else is harmed.

use async_nats::{HeaderMap, Message};
use serde_json::{Value, json};

use crate::support::{
    DIM, INFER, Native, TestBroker, action, ask, ask_with, assert_close, error_of, expected,
    observation, read, send,
};

/// The error's body, after a look at the headers that go with it.
fn refusal(message: &Message) -> Value {
    let body = error_of(message);
    let error = &body["error"];
    let headers = message.headers.as_ref().expect("an error has headers");
    let number = match error["code"].as_str().unwrap() {
        "malformed" => "400",
        "invalid_shape" | "invalid_dtype" | "invalid_value" | "unsupported" => "422",
        "too_large" => "413",
        "unknown_version" => "404",
        "overloaded" => "429",
        "draining" => "503",
        other => panic!("unexpected {other}"),
    };
    assert_eq!(headers.get("Nats-Service-Error-Code").unwrap().as_str(), number);
    let text = headers.get("Nats-Service-Error").unwrap().as_str();
    assert_eq!(text, error["message"].as_str().unwrap().replace('\n', " "));
    body
}

fn json_body(value: Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Bodies that no worker can serve, with the code and the field that the error must have.
fn bad_bodies() -> Vec<(Vec<u8>, &'static str, Option<&'static str>)> {
    let values = observation(1);
    let with = |key: &str, value: Value| {
        let mut body = json!({"obs": values, "deterministic": true});
        body[key] = value;
        json_body(body)
    };
    let named = |speed: f64, sensors: usize| {
        json_body(
            json!({"observations": [{"speed": speed, "steering": 0, "sensors": vec![1.0; sensors]}]}),
        )
    };
    let mut nan = values.clone();
    nan[4] = f32::NAN;
    let mut trailing = Native::one(&values).encode();
    trailing.push(0);
    let whole = Native::one(&values).encode();
    let deep = [&[0x81, 0xa3][..], b"obs", &[0x91; 100], &[1]].concat();
    vec![
        (vec![], "malformed", None),
        (b"\xff\xfe garbage".to_vec(), "malformed", None),
        (b"{\"obs\": [1, 2".to_vec(), "malformed", None),
        (b"[1, 2, 3]".to_vec(), "malformed", None),
        (whole[..whole.len() - 3].to_vec(), "malformed", None),
        (trailing, "malformed", None),
        (deep, "malformed", None),
        (json_body(json!({"deterministic": true})), "malformed", Some("obs")),
        (with("obs", json!("text")), "malformed", Some("obs")),
        (with("deterministic", json!("yes")), "malformed", Some("deterministic")),
        (with("seed", json!(-1)), "malformed", Some("seed")),
        (with("want", json!("value")), "malformed", Some("want")),
        (with("obs", json!([1, 2, 3])), "invalid_shape", Some("obs")),
        (with("obs", json!([[1, 2], [3]])), "invalid_shape", Some("obs")),
        (with("obs", json!([])), "invalid_shape", Some("obs")),
        (with("episode_start", json!([true, false])), "invalid_shape", Some("episode_start")),
        (with("obs", json!(vec![true; DIM])), "invalid_dtype", Some("obs")),
        (Native::one(&nan).encode(), "invalid_value", Some("obs[4]")),
        (with("obs", json!(vec![1e60; DIM])), "invalid_value", Some("obs[0]")),
        (named(200.5, DIM - 2), "invalid_value", Some("observations[0].speed")),
        (named(10.0, 3), "invalid_shape", Some("observations[0].sensors")),
        (with("want", json!(["value"])), "unsupported", Some("want")),
        (with("want", json!(["q_values"])), "unsupported", Some("want")),
        (with("want", json!(["probs"])), "unsupported", Some("want")),
        (with("want", json!(["colour"])), "unsupported", Some("want[0]")),
        (
            json_body(json!({"observations": [{"speed": 1}], "want": ["log_prob"]})),
            "unsupported",
            Some("want"),
        ),
        (with("state", json!([1, 2])), "unsupported", Some("state")),
        (with("mask", json!([1, 0, 1])), "unsupported", Some("mask")),
        (with("obs", json!({"camera": [1], "speed": [2]})), "unsupported", Some("obs")),
        (Native::rows(&values.repeat(1025)).encode(), "too_large", Some("obs")),
    ]
}

#[tokio::test]
async fn every_bad_request_gets_its_own_error_and_good_ones_between_them_their_actions() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;
    for (i, (body, code, field)) in bad_bodies().into_iter().enumerate() {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let error = refusal(&ask(&client, body).await);
        assert_eq!(error["error"]["code"], code, "{shown}: {error}");
        assert_eq!(error["error"].get("field").and_then(Value::as_str), field, "{shown}: {error}");
        let good = observation(i);
        let reply = action(&client, &Native::one(&good)).await;
        assert_close(&reply.action.f32s(), &expected(&good));
    }
    let stopped = worker.drain().await;
    assert_eq!(stopped.answered["ok"], bad_bodies().len() as u64);
    assert_eq!(stopped.answered.values().sum::<u64>(), stopped.received);
}

#[tokio::test]
async fn a_bad_row_does_not_harm_its_batch_mates() {
    let broker = TestBroker::start();
    let (worker, gate) = broker.worker().start_gated().await;
    let client = broker.client().await;
    let (one, two) = (observation(1), observation(2));
    let mut nan = observation(3);
    nan[0] = f32::INFINITY;
    // The first occupies the device, so that the others meet in the queue.
    let held = send(&client, INFER, Native::one(&one).encode()).await;
    crate::support::until("the first is being computed", || gate.batches() == [1]).await;
    let good = send(&client, INFER, Native::one(&one).encode()).await;
    let bad = send(&client, INFER, Native::one(&nan).encode()).await;
    let rows =
        send(&client, INFER, Native::rows(&[one.clone(), two.clone()].concat()).encode()).await;
    // Its answer proves that the worker has seen all that was sent before.
    assert_eq!(refusal(&bad.await)["error"]["code"], "invalid_value");
    assert_eq!(refusal(&ask(&client, vec![]).await)["error"]["code"], "malformed");
    gate.open();
    assert_close(&read(&held.await).action.f32s(), &expected(&one));
    let good = read(&good.await);
    assert_close(&good.action.f32s(), &expected(&one));
    assert_close(&read(&rows.await).action.f32s(), &expected(&[one, two].concat()));
    assert_eq!((good.batch_rows, gate.batches()), (3, vec![1, 3]));
    worker.drain().await;
}

#[tokio::test]
async fn errors_come_in_the_encoding_of_the_request_and_with_its_id() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let request = json!({"obs": [1, 2], "id": "car-7"});
    let json = ask(&client, json_body(request.clone())).await;
    let error: Value = serde_json::from_slice(&json.payload).unwrap();
    assert_eq!(error["id"], "car-7");
    assert_eq!(error["error"]["expected"], "[21] for one observation, or [n, 21] for n rows");
    assert_eq!(error["error"]["got"], "[2]");
    let packed = ask(&client, rmp_serde::to_vec_named(&request).unwrap()).await;
    let error: Value = rmp_serde::from_slice(&packed.payload).unwrap();
    assert_eq!((&error["id"], &error["error"]["code"]), (&json!("car-7"), &json!("invalid_shape")));
}

#[tokio::test]
async fn another_version_is_refused_and_the_served_one_is_not() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let values = observation(1);
    for (version, served) in
        [("0.1.0", true), ("v0.1.0", true), ("0.2.0", false), ("latest", false)]
    {
        let mut headers = HeaderMap::new();
        // NATS keeps the case of header names; who writes them need not.
        headers.insert("model-version", version);
        let reply = ask_with(&client, headers, Native::one(&values).encode()).await;
        match served {
            true => assert_close(&read(&reply).action.f32s(), &expected(&values)),
            false => assert_eq!(refusal(&reply)["error"]["code"], "unknown_version", "{version}"),
        }
    }
}

#[tokio::test]
async fn requests_over_the_byte_limit_are_refused_at_the_limit_and_not_below() {
    let broker = TestBroker::start();
    let values = observation(1);
    let size = Native::one(&values).encode().len();
    for (limit, refused) in [(size, false), (size - 1, true)] {
        let worker = broker.worker().with(|w| w.limits.request_bytes = limit).start().await;
        let client = broker.client().await;
        let reply = ask(&client, Native::one(&values).encode()).await;
        match refused {
            true => assert_eq!(refusal(&reply)["error"]["code"], "too_large"),
            false => assert_eq!(read(&reply).action.shape, [3]),
        }
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_reply_that_the_broker_would_not_carry_becomes_an_error() {
    let broker = TestBroker::start_with(&["--config", small_payloads().path().to_str().unwrap()]);
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    // In JSON the request is much shorter than its reply: ones in, actions with their digits out.
    let rows = json!({"obs": vec![vec![1; DIM]; 80], "want": ["raw_action", "log_prob"], "seed": 1, "id": 7});
    let body = json_body(rows);
    assert!(body.len() < 4096);
    let refused = refusal(&ask(&client, body).await);
    assert_eq!((&refused["error"]["code"], &refused["id"]), (&json!("too_large"), &json!(7)));
}

#[tokio::test]
async fn what_a_client_wants_echoed_can_not_silence_the_reply() {
    let broker = TestBroker::start_with(&["--config", small_payloads().path().to_str().unwrap()]);
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let long = "x".repeat(3900);
    let with_id = json_body(json!({"obs": [1], "id": long}));
    assert_eq!(refusal(&ask(&client, with_id).await)["error"]["code"], "too_large");
    let mut headers = HeaderMap::new();
    headers.insert("Request-Id", long.as_str());
    let reply = ask_with(&client, headers, b"garbage".to_vec()).await;
    assert_eq!(refusal(&reply)["error"]["code"], "too_large");
}

/// A server configuration that carries no more than 4 KiB at once.
fn small_payloads() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "max_payload: 4096").unwrap();
    file
}

#[tokio::test]
async fn a_request_without_a_usable_reply_subject_is_computed_for_nobody() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;
    let values = observation(1);
    let body: bytes::Bytes = Native::one(&values).encode().into();
    client.publish(INFER, body.clone()).await.unwrap();
    // A reply to the pool's own subject would come back as a request for ever.
    client.publish_with_reply(INFER, INFER, body).await.unwrap();
    action(&client, &Native::one(&values)).await;
    let stopped = worker.drain().await;
    assert_eq!((stopped.received, stopped.ignored, stopped.answered["ok"]), (3, 2, 1));
}
