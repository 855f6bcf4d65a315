//! What goes in and what comes out, in every form.

use async_nats::HeaderMap;
use carla_rl::wire::Scalar;
use serde_json::{Value, json};

use crate::support::{
    DIM, MODEL, Native, TestBroker, action, ask, ask_with, assert_close, expected, observation,
    read, spec,
};

#[tokio::test]
async fn one_observation_has_no_row_axis_and_rows_have_one() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;

    let one = observation(3);
    let reply = action(&client, &Native::one(&one)).await;
    assert_eq!(reply.action.shape, [3]);
    assert_close(&reply.action.f32s(), &expected(&one));
    assert_eq!(
        (reply.worker.as_str(), reply.model_version.as_str()),
        (worker.name.as_str(), "0.1.0")
    );
    assert_eq!(
        (reply.seed, reply.value, reply.log_prob, reply.raw_action),
        (None, None, None, None)
    );

    let rows = [observation(1), observation(2), observation(3)].concat();
    let reply = action(&client, &Native::rows(&rows)).await;
    assert_eq!(reply.action.shape, [3, 3]);
    assert_close(&reply.action.f32s(), &expected(&rows));

    let reply = action(&client, &Native::rows(&one)).await;
    assert_eq!(reply.action.shape, [1, 3], "one row is still rows");
    worker.drain().await;
}

#[tokio::test]
async fn every_tensor_form_of_an_observation_gives_the_same_action() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let values = observation(5);
    let expected = expected(&values);
    let f4: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let f8: Vec<u8> = values.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();

    let mut bodies = vec![
        Native::one(&values).encode(),
        rmp_serde::to_vec_named(&json!({"obs": values, "deterministic": true})).unwrap(),
    ];
    for (dtype, data) in [("f4", &f4), ("<f4", &f4), ("f8", &f8)] {
        bodies.push(body(&[
            text("dtype"),
            text(dtype),
            text("shape"),
            shape(),
            text("data"),
            bin(data),
        ]));
        // msgpack-numpy and openpi: the keys are bytes.
        let (kind, nd) = ([bin(b"kind"), bin(b"")].concat(), [bin(b"nd"), vec![0xc3]].concat());
        let dtype = text(dtype);
        bodies.push(body(&[
            nd,
            bin(b"type"),
            dtype.clone(),
            kind,
            bin(b"shape"),
            shape(),
            bin(b"data"),
            bin(data),
        ]));
        let marker = [bin(b"__ndarray__"), vec![0xc3]].concat();
        bodies.push(body(&[
            marker,
            bin(b"data"),
            bin(data),
            bin(b"dtype"),
            dtype,
            bin(b"shape"),
            shape(),
        ]));
    }
    for body in bodies {
        let reply = read(&ask(&client, body).await);
        assert_close(&reply.action.f32s(), &expected);
    }
}

/// A request whose `obs` is a map of these keys and values, already encoded.
fn body(entries: &[Vec<u8>]) -> Vec<u8> {
    let encoded = entries.concat();
    let pairs = u8::try_from(count(&encoded) / 2).unwrap();
    let head =
        [&[0x82][..], &text("deterministic"), &[0xc3], &text("obs"), &[0x80 | pairs]].concat();
    [head, encoded].concat()
}

/// How many values are encoded one after another.
fn count(mut encoded: &[u8]) -> usize {
    let mut values = 0;
    while !encoded.is_empty() {
        let mut reader = rmp_serde::Deserializer::new(encoded);
        serde::Deserialize::deserialize(&mut reader).map(|_: serde::de::IgnoredAny| ()).unwrap();
        encoded = reader.into_inner();
        values += 1;
    }
    values
}

fn text(text: &str) -> Vec<u8> {
    rmp_serde::to_vec(text).unwrap()
}

fn bin(bytes: &[u8]) -> Vec<u8> {
    [&[0xc4, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn shape() -> Vec<u8> {
    rmp_serde::to_vec(&[DIM]).unwrap()
}

#[tokio::test]
async fn json_is_answered_in_json_with_nested_lists() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let (one, two) = (observation(1), observation(2));
    let request =
        json!({"obs": [one, two], "deterministic": true, "want": ["log_prob"], "id": "a"});
    let reply = ask(&client, request.to_string().into()).await;
    let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_value(reply["action"].clone()).unwrap();
    assert_close(&rows.concat(), &expected(&[one, two].concat()));
    assert_eq!(reply["log_prob"].as_array().unwrap().len(), 2);
    assert_eq!(reply["id"], "a");
}

#[tokio::test]
async fn the_carlarl_form_names_observations_and_actions() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let rows = [observation(1), observation(4)];
    let named: Vec<_> = rows
        .iter()
        .map(|row| json!({"speed": row[0], "steering": row[1], "sensors": row[2..]}))
        .collect();
    let request = json!({"observations": named, "deterministic": true, "id": 9});
    let bodies = [
        (true, request.to_string().into_bytes()),
        (false, rmp_serde::to_vec_named(&request).unwrap()),
    ];
    for (is_json, body) in bodies {
        let payload = ask(&client, body).await.payload;
        let reply: Value = match is_json {
            true => serde_json::from_slice(&payload).unwrap(),
            false => rmp_serde::from_slice(&payload).unwrap(),
        };
        let actions = reply["actions"].as_array().unwrap();
        let number = |value: &Value| value.as_f64().unwrap() as f32;
        let got = actions
            .iter()
            .flat_map(|action| ["throttle", "brake", "steer"].map(|name| number(&action[name])));
        assert_close(&got.collect::<Vec<_>>(), &expected(&rows.concat()));
        assert_eq!((&reply["version"], &reply["deterministic"]), (&json!("v0.1.0"), &json!(true)));
        assert_eq!(reply["id"], 9);
        assert!(reply["timingMs"].as_f64().unwrap() > 0.0);
    }
}

#[tokio::test]
async fn a_seed_decides_the_sample_row_by_row() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let (one, two) = (observation(1), observation(2));
    let rows = [one.clone(), two.clone()].concat();
    let sampled = |values, seed| Native {
        deterministic: false,
        seed,
        want: vec!["raw_action"],
        ..Native::rows(values)
    };

    let first = action(&client, &sampled(&rows, Some(u64::MAX))).await;
    let again = action(&client, &sampled(&rows, Some(u64::MAX))).await;
    let other = action(&client, &sampled(&rows, Some(8))).await;
    assert_eq!(first.seed, Some(u64::MAX));
    let raw = |reply: &crate::support::Reply| reply.raw_action.as_ref().unwrap().f32s();
    assert_eq!(raw(&first), raw(&again));
    assert_ne!(raw(&first), raw(&other));
    assert_ne!(raw(&first), expected(&rows));

    // The first row is drawn from (seed, 0) whether or not there is a second one.
    let alone = action(&client, &sampled(&one, Some(u64::MAX))).await;
    assert_close(&raw(&alone), &raw(&first)[..3]);

    // A seed that the worker has drawn gives the same action when it is sent back.
    let drawn = action(&client, &sampled(&two, None)).await;
    let seed = drawn.seed.expect("the worker tells the seed it drew");
    let back = action(&client, &sampled(&two, Some(seed))).await;
    assert_eq!(raw(&back), raw(&drawn));
    assert_ne!(
        action(&client, &sampled(&two, None)).await.seed,
        Some(seed),
        "a new seed each time"
    );
}

#[tokio::test]
async fn ids_and_request_ids_come_back() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let values = observation(1);
    let reply = action(&client, &Native { id: Some(u64::MAX), ..Native::one(&values) }).await;
    assert_eq!(reply.id, Some(Scalar::UInt(u64::MAX)));

    let mut headers = HeaderMap::new();
    headers.insert("Request-Id", "r-17");
    let good = ask_with(&client, headers.clone(), Native::one(&values).encode()).await;
    let bad = ask_with(&client, headers, b"garbage".to_vec()).await;
    for reply in [good, bad] {
        assert_eq!(reply.headers.unwrap().get("Request-Id").unwrap().as_str(), "r-17");
    }
}

#[tokio::test]
async fn log_prob_is_the_density_of_the_raw_action() {
    let broker = TestBroker::start();
    let _worker = broker.worker().start().await;
    let client = broker.client().await;
    let values = observation(2);
    let want = vec!["log_prob", "raw_action"];
    let mean = action(&client, &Native { want: want.clone(), ..Native::one(&values) }).await;
    let sample = Native { want, deterministic: false, seed: Some(1), ..Native::one(&values) };
    let sample = action(&client, &sample).await;
    let density = |reply: &crate::support::Reply| {
        let density = reply.log_prob.as_ref().unwrap();
        assert_eq!(density.shape, [0usize; 0]);
        density.f32s()[0]
    };
    assert!(density(&mean) > density(&sample), "nothing is more likely than the mean");
}

#[tokio::test]
async fn the_spec_tells_what_the_model_takes_and_gives() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let client = broker.client().await;
    let spec = spec(&client).await;
    assert_eq!((spec.model.as_str(), spec.worker.as_str()), (MODEL, worker.name.as_str()));
    assert_eq!(spec.observation_space.shape(), [DIM]);
    assert_eq!(spec.action_names.unwrap(), ["throttle", "brake", "steer"]);
    assert_eq!(spec.observation_features.unwrap(), ["speed", "steering", "sensors"]);
    assert_eq!(spec.wants, ["log_prob", "raw_action"]);
    assert_eq!(
        (spec.max_rows, spec.device.as_str(), spec.precision.as_str()),
        (1024, "cpu", "float32")
    );
    assert_eq!(spec.weights.len(), 8);

    let reply = client.request("policy.v1.spec.lane-keeping", "{}".into()).await.unwrap();
    let json: Value = serde_json::from_slice(&reply.payload).unwrap();
    assert_eq!(json["action_space"]["shape"], json!([3]));
    assert_eq!((&json["recurrent"], &json["masked"]), (&json!(false), &json!(false)));
}
