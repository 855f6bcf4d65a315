//! A model whose requests may rule out actions.

use carla_rl::{
    artifact::Draft,
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Postprocess},
    },
    wire::{
        Code, Space,
        view::{TensorView, Values},
    },
};

use crate::{
    pool::Pool,
    support::{Native, Reply},
    tiny,
};

/// The model `tiny-masked`, version 0.1.0: four numbers; one of three actions and one of two.
pub fn draft() -> Draft {
    let spec = PolicySpec {
        observation_space: tiny::boxed(4, (f64::NEG_INFINITY, f64::INFINITY)),
        action_space: Space::MultiDiscrete { nvec: vec![3, 2] },
        normalize: None,
        network: NetworkSpec::mlp(Activation::Relu, vec![8], None),
        head: Head::MultiCategorical { masked: true },
        postprocess: Postprocess::Clip,
    };
    tiny::draft_of("tiny-masked", spec)
}

/// One row, or several.
fn request<'a>(seen: &'a [f32], mask: Option<&'a [u8]>) -> Native<'a> {
    let rows = seen.len() / 4;
    let shape = |size: usize| if rows == 1 { vec![size] } else { vec![rows, size] };
    Native {
        mask: mask.map(|mask| TensorView::new(shape(5), Values::U1(mask))),
        want: vec!["probs", "log_prob"],
        ..Native::shaped(seen, shape(4))
    }
}

/// All that the policy gave.
fn numbers(reply: &Reply) -> (Vec<i64>, Vec<f32>, Vec<f32>) {
    let probs = reply.probs.as_ref().unwrap().f32s();
    (reply.action.i64s(), probs, reply.log_prob.as_ref().unwrap().f32s())
}

#[tokio::test]
async fn a_mask_rules_out_an_action_and_leaves_the_others_their_shares() {
    let pool = Pool::of(draft(), 16).await;
    let seen = tiny::wave_values(900, 4);
    let (action, probs, _) = numbers(&pool.alone(&request(&seen, None)).await);
    let best = action[0] as usize;
    let mut mask = [1; 5];
    mask[best] = 0;
    let (masked_action, masked, _) = numbers(&pool.alone(&request(&seen, Some(&mask))).await);
    assert_ne!(masked_action[0], action[0]);
    assert_eq!((masked_action[1], masked[best]), (action[1], 0.0));
    let others = (0..3).filter(|other| *other != best);
    for other in others {
        let share = probs[other] / (1.0 - probs[best]);
        assert!((masked[other] - share).abs() < 1e-5, "{masked:?} of {probs:?}");
    }
    pool.drain().await;
}

#[tokio::test]
async fn each_row_has_a_mask_of_its_own_and_draws_nothing_that_it_rules_out() {
    let pool = Pool::of(draft(), 64).await;
    let seen = tiny::wave_values(900, 4 * 64);
    let mask_of = |row: usize| {
        let ruled_out = row % 3;
        [ruled_out != 0, ruled_out != 1, ruled_out != 2, row.is_multiple_of(2), true]
    };
    let mask: Vec<u8> = (0..64).flat_map(mask_of).map(u8::from).collect();
    for seed in 0..8 {
        let sampled = request(&seen, Some(&mask));
        let sampled = Native { deterministic: false, seed: Some(seed), ..sampled };
        let actions = pool.alone(&sampled).await.action.i64s();
        for (row, action) in actions.chunks(2).enumerate() {
            let mask = mask_of(row);
            assert!(mask[action[0] as usize] && mask[3 + action[1] as usize], "{row}: {action:?}");
        }
    }
    pool.drain().await;
}

#[tokio::test]
async fn requests_with_and_without_a_mask_share_a_batch_and_get_what_they_get_alone() {
    let pool = Pool::of(draft(), 16).await;
    let (one, two, three) =
        (tiny::wave_values(900, 4), tiny::wave_values(950, 8), tiny::wave_values(990, 4));
    let requests = [
        request(&one, None),
        request(&two, Some(&[1, 0, 0, 0, 1, 0, 0, 1, 1, 0])),
        request(&two, None),
        request(&three, Some(&[0, 1, 1, 1, 1])),
    ];
    let (replies, batches) = pool.together(&requests).await;
    assert_eq!(batches, [6]);
    for (request, among) in requests.iter().zip(&replies) {
        assert_eq!(numbers(among), numbers(&pool.alone(request).await));
    }
    assert_eq!(replies[1].action.i64s(), [0, 1, 2, 0]);
    pool.drain().await;
}

#[tokio::test]
async fn a_request_that_takes_two_batches_keeps_the_mask_of_each_row() {
    let pool = Pool::of(draft(), 3).await;
    let (one, four) = (tiny::wave_values(900, 4), tiny::wave_values(950, 16));
    // All rows but one may do only one thing, each another.
    let masks: [[u8; 5]; 4] = [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [0, 0, 1, 1, 0], [1, 1, 1, 1, 1]];
    let masks = masks.concat();
    let requests = [request(&one, None), request(&four, Some(&masks)), request(&one, None)];
    let (replies, batches) = pool.together(&requests).await;
    assert_eq!(batches, [3, 3]);
    let mut alone = vec![];
    for (seen, mask) in four.chunks(4).zip(masks.chunks(5)) {
        alone.extend(pool.alone(&request(seen, Some(mask))).await.action.i64s());
    }
    assert_eq!(replies[1].action.i64s(), alone);
    assert_eq!(alone[..6], [0, 0, 1, 1, 2, 0]);
    pool.drain().await;
}

#[tokio::test]
async fn what_is_no_mask_of_the_actions_is_refused_and_the_next_request_served() {
    let pool = Pool::of(draft(), 16).await;
    let seen = tiny::wave_values(900, 4);
    let good = [1, 1, 0, 1, 1];
    let expected = pool.alone(&request(&seen, Some(&good))).await.action;
    let shaped = |shape: Vec<usize>| {
        let mask = TensorView::new(shape, Values::U1(&[1; 10]));
        Native { mask: Some(mask), ..request(&seen, None) }
    };
    for (bad, code, field) in [
        (shaped(vec![10]), Code::InvalidShape, "mask"),
        (shaped(vec![2, 5]), Code::InvalidShape, "mask"),
        (request(&seen, Some(&[1, 1, 1, 2, 1])), Code::InvalidValue, "mask[3]"),
    ] {
        assert_eq!(pool.refused(&bad).await, (code, Some(field.to_string())));
        assert_eq!(pool.alone(&request(&seen, Some(&good))).await.action, expected);
    }
    pool.drain().await;
}

#[tokio::test]
async fn the_spec_says_that_the_policy_takes_masks() {
    let pool = Pool::of(draft(), 16).await;
    let spec = pool.spec().await;
    assert_eq!((spec.recurrent, spec.masked), (false, true));
    assert_eq!(spec.action_space, Space::MultiDiscrete { nvec: vec![3, 2] });
    assert_eq!(spec.wants, ["log_prob", "raw_action", "probs"]);
    pool.drain().await;
}
