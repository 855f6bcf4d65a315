//! A model that remembers: its state travels with the requests of each client.

use carla_rl::{
    artifact::Draft,
    policy::{
        PolicySpec,
        spec::{Activation, Head, Lstm, NetworkSpec, Postprocess, ValueMemory},
    },
    wire::{Code, view::Bytes},
};
use serde_json::{Value, json};

use crate::{
    pool::Pool,
    support::{Array, Carried, Native, Reply},
    tiny,
};

/// The model `tiny-recurrent`, version 0.1.0: three numbers; two numbers and a value.
pub fn draft() -> Draft {
    let unbounded = (f64::NEG_INFINITY, f64::INFINITY);
    let spec = PolicySpec {
        observation_space: tiny::boxed(3, unbounded),
        action_space: tiny::boxed(2, unbounded),
        normalize: None,
        network: NetworkSpec {
            lstm: Some(Lstm { size: 4, layers: 2, value: ValueMemory::Own }),
            shared: vec![5],
            ..NetworkSpec::mlp(Activation::Tanh, vec![4], Some(vec![4]))
        },
        head: Head::Gsde { squash: false, expln: false, clip_mean: None },
        postprocess: Postprocess::Clip,
    };
    tiny::draft_of("tiny-recurrent", spec)
}

const STEPS: usize = 4;

/// What `rows` vehicles of client `client` see at a step.
fn seen(client: usize, step: usize, rows: usize) -> Vec<f32> {
    tiny::wave_values(2000 + 500 * client + 31 * step, 3 * rows)
}

/// A request of one vehicle, or of several.
fn request<'a>(seen: &'a [f32], state: Option<&'a Carried>) -> Native<'a> {
    let request = match seen.len() {
        3 => Native::one(seen),
        size => Native::shaped(seen, vec![size / 3, 3]),
    };
    Native {
        state: state.map(|state| Bytes(&state.0)),
        deterministic: false,
        seed: Some(11),
        want: vec!["value", "log_prob"],
        ..request
    }
}

fn mean<'a>(seen: &'a [f32], state: Option<&'a Carried>) -> Native<'a> {
    Native { deterministic: true, seed: None, ..request(seen, state) }
}

/// All that the policy gave.
fn numbers(reply: &Reply) -> (Vec<f32>, Vec<f32>, Vec<f32>, &Carried) {
    let floats = |array: &Option<Array>| array.as_ref().unwrap().f32s();
    let state = reply.state.as_ref().unwrap();
    (reply.action.f32s(), floats(&reply.value), floats(&reply.log_prob), state)
}

#[tokio::test]
async fn a_carried_state_gives_among_strangers_what_it_gives_alone() {
    let pool = Pool::of(draft(), 16).await;
    let rows = [1, 3, 1, 2];
    let mut alone = vec![];
    for (client, rows) in rows.into_iter().enumerate() {
        let mut steps: Vec<Reply> = vec![];
        for step in 0..STEPS {
            let state = steps.last().and_then(|last| last.state.as_ref());
            steps.push(pool.alone(&request(&seen(client, step, rows), state)).await);
        }
        alone.push(steps);
    }
    let mut states: [Option<Carried>; 4] = Default::default();
    // One vehicle comes first in each order.
    for (step, order) in [[0, 1, 2, 3], [2, 3, 1, 0], [0, 3, 2, 1], [2, 0, 1, 3]].iter().enumerate()
    {
        let seen = order.map(|client| seen(client, step, rows[client]));
        let requests: Vec<_> = order
            .iter()
            .zip(&seen)
            .map(|(client, seen)| request(seen, states[*client].as_ref()))
            .collect();
        let (replies, batches) = pool.together(&requests).await;
        assert_eq!(batches, [7]);
        for (client, reply) in order.iter().zip(replies) {
            assert_eq!(numbers(&reply), numbers(&alone[*client][step]), "{client} at {step}");
            states[*client] = reply.state;
        }
    }
    pool.drain().await;
}

#[tokio::test]
async fn an_episodes_start_resets_its_row_before_the_step_and_no_other() {
    let pool = Pool::of(draft(), 16).await;
    let (before, now) = (seen(0, 0, 2), seen(0, 1, 2));
    let state = pool.alone(&request(&before, None)).await.state;
    let fresh = pool.alone(&request(&now, None)).await.action.f32s();
    let carried = pool.alone(&request(&now, state.as_ref())).await.action.f32s();
    let starts = Native { episode_start: Some(Bytes(&[1, 0])), ..request(&now, state.as_ref()) };
    let reset = pool.alone(&starts).await.action.f32s();
    assert_eq!((&reset[..2], &reset[2..]), (&fresh[..2], &carried[2..]));
    assert!(fresh[..2] != carried[..2] && fresh[2..] != carried[2..], "the memory matters");
    pool.drain().await;
}

#[tokio::test]
async fn what_is_no_state_of_these_rows_and_weights_is_refused_and_the_next_request_served() {
    let pool = Pool::of(draft(), 16).await;
    let (one, two) = (seen(0, 0, 1), seen(1, 0, 2));
    let good = pool.alone(&request(&one, None)).await.state.unwrap();
    let of_two = pool.alone(&request(&two, None)).await.state.unwrap();
    let next = pool.alone(&request(&one, Some(&good))).await;
    let mut of_others = good.clone();
    of_others.0[4] ^= 1;
    let short = Carried(good.0[..good.0.len() - 1].to_vec());
    for (state, code) in [
        (of_others, Code::InvalidValue),
        (of_two, Code::InvalidShape),
        (short, Code::Malformed),
        (Carried(b"garbage".to_vec()), Code::Malformed),
    ] {
        let refused = pool.refused(&request(&one, Some(&state))).await;
        assert_eq!(refused, (code, Some("state".to_string())));
        assert_eq!(numbers(&pool.alone(&request(&one, Some(&good))).await), numbers(&next));
    }
    pool.drain().await;
}

#[tokio::test]
async fn a_request_that_takes_two_batches_keeps_the_state_of_each_row() {
    let pool = Pool::of(draft(), 3).await;
    let (first, last) = (seen(1, 0, 1), seen(2, 0, 1));
    let mut state = None;
    let mut states: [Option<Carried>; 4] = Default::default();
    for step in 0..STEPS {
        let four = seen(0, step, 4);
        let requests = [mean(&first, None), mean(&four, state.as_ref()), mean(&last, None)];
        let (mut replies, batches) = pool.together(&requests).await;
        assert_eq!(batches, [3, 3]);
        let together = replies.swap_remove(1);
        let mut alone = vec![];
        for (seen, state) in four.chunks(3).zip(&mut states) {
            let reply = pool.alone(&mean(seen, state.as_ref())).await;
            alone.extend(reply.action.f32s());
            *state = reply.state;
        }
        assert_eq!(together.action.f32s(), alone, "step {step}");
        state = together.state;
    }
    pool.drain().await;
}

#[tokio::test]
async fn in_json_a_state_is_a_list_of_numbers_that_goes_back_as_it_came() {
    let pool = Pool::of(draft(), 16).await;
    let (before, now) = (seen(0, 0, 1), seen(0, 1, 1));
    let body = json!({"obs": before, "deterministic": true}).to_string();
    let first: Value = serde_json::from_slice(&pool.computed(body.into()).await.payload).unwrap();
    let body = json!({"obs": now, "deterministic": true, "state": first["state"]}).to_string();
    let second: Value = serde_json::from_slice(&pool.computed(body.into()).await.payload).unwrap();
    let state = Carried(serde_json::from_value(first["state"].clone()).unwrap());
    let action: Vec<f32> = serde_json::from_value(second["action"].clone()).unwrap();
    assert_eq!(action, pool.alone(&mean(&now, Some(&state))).await.action.f32s());
    pool.drain().await;
}

#[tokio::test]
async fn the_spec_says_that_the_policy_is_recurrent() {
    let pool = Pool::of(draft(), 16).await;
    let spec = pool.spec().await;
    assert_eq!((spec.recurrent, spec.masked), (true, false));
    assert_eq!(spec.wants, ["value", "log_prob", "raw_action"]);
    pool.drain().await;
}
