//! A model of another kind than the example: discrete actions, no value, no names.

use serde_json::json;

use crate::{
    support::{Builder, Native, Reply, TestBroker, error_of, read},
    tiny,
};

const INFER: &str = "policy.v1.infer.tiny-discrete";

#[tokio::test]
async fn discrete_actions_come_as_integers_with_their_probabilities() {
    let (broker, root) = (TestBroker::start(), tempfile::tempdir().unwrap());
    let folder = carla_rl::artifact::create(root.path(), tiny::discrete_draft()).unwrap().folder;
    let worker = Builder::new(broker.nats(), &folder).start().await;
    let client = broker.client().await;
    let observations = tiny::wave_values(900, 8);
    let mut request = Native::shaped(&observations, vec![2, 4]);
    request.want = vec!["probs", "raw_action"];
    let reply: Reply = read(&client.request(INFER, request.encode().into()).await.unwrap());
    let probs = reply.probs.unwrap();
    assert_eq!((reply.action.shape.as_slice(), probs.shape.as_slice()), (&[2][..], &[2, 3][..]));
    let likeliest = |row: &[f32]| (0..3).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap() as i64;
    let expected: Vec<i64> = probs.f32s().chunks(3).map(likeliest).collect();
    assert_eq!(reply.action.i64s(), expected);
    assert_eq!(reply.raw_action.unwrap(), reply.action);
    worker.drain().await;
}

#[tokio::test]
async fn what_a_model_does_not_have_is_refused_by_name() {
    let (broker, root) = (TestBroker::start(), tempfile::tempdir().unwrap());
    let folder = carla_rl::artifact::create(root.path(), tiny::discrete_draft()).unwrap().folder;
    let worker = Builder::new(broker.nats(), &folder).start().await;
    let client = broker.client().await;
    for (body, field) in [
        (json!({"obs": [0, 0, 0, 0], "want": ["value"]}), "want"),
        (json!({"observations": [{"speed": 1}]}), "observations"),
        (json!({"obs": [0, 0, 0, 0], "mask": [1, 1, 0]}), "mask"),
    ] {
        let message = client.request(INFER, body.to_string().into()).await.unwrap();
        let error = &error_of(&message)["error"];
        assert_eq!((&error["code"], &error["field"]), (&json!("unsupported"), &json!(field)));
    }
    worker.drain().await;
}
