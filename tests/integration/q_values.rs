//! A model that chooses the action of the highest value.

use carla_rl::{
    artifact::Draft,
    policy::{
        PolicySpec,
        spec::{Activation, Head, NetworkSpec, Postprocess},
    },
    wire::{
        Code, Observations, Space,
        view::{TensorView, Values},
    },
};

use crate::{
    pool::Pool,
    support::{Native, Obs},
    tiny,
};

/// The model `tiny-values`, version 0.1.0: one of six places; one of three actions.
pub fn draft() -> Draft {
    let spec = PolicySpec {
        observation_space: Space::Discrete { n: 6, start: 0 },
        action_space: Space::Discrete { n: 3, start: 1 },
        normalize: None,
        network: NetworkSpec {
            batch_renorm: Some(1e-3),
            ..NetworkSpec::mlp(Activation::Relu, vec![8], None)
        },
        head: Head::QValues { quantiles: 2, exploration_rate: 0.0 },
        postprocess: Postprocess::Clip,
    };
    let golden = (0..6u8).map(f32::from).collect();
    Draft { observations: Observations::F32(golden), ..tiny::draft_of("tiny-values", spec) }
}

fn request<'a>(places: &'a [i64], shape: &[usize], want: &[&'a str]) -> Native<'a> {
    let obs = TensorView::new(shape, Values::I8(places));
    Native { want: want.to_vec(), ..Native::of(Obs::Tensor(obs)) }
}

#[tokio::test]
async fn q_values_come_where_they_are_wanted_and_the_action_has_the_highest() {
    let pool = Pool::of(draft(), 8).await;
    let places = [0, 1, 2, 3, 4, 5];
    let rows = pool.alone(&request(&places, &[6], &["q_values"])).await;
    let q_values = rows.q_values.unwrap();
    assert_eq!((&rows.action.shape[..], &q_values.shape[..]), (&[6][..], &[6, 3][..]));
    for (row, action) in q_values.f32s().chunks(3).zip(rows.action.i64s()) {
        let best = (0..3).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!(action, best as i64 + 1, "actions count from 1: {row:?}");
    }
    let one = pool.alone(&request(&places[4..5], &[], &["q_values"])).await;
    let one_values = one.q_values.unwrap();
    assert_eq!((&one.action.shape[..], &one_values.shape[..]), (&[][..], &[3][..]));
    assert_eq!(one_values.f32s(), q_values.f32s()[12..15]);
    assert_eq!(pool.alone(&request(&places[4..5], &[], &[])).await.q_values, None);
    pool.drain().await;
}

#[tokio::test]
async fn what_values_do_not_have_is_refused_by_name() {
    let pool = Pool::of(draft(), 8).await;
    for want in ["value", "log_prob", "probs"] {
        let refused = pool.refused(&request(&[0], &[], &["q_values", want])).await;
        assert_eq!(refused, (Code::Unsupported, Some("want".to_string())), "{want}");
    }
    let outside = pool.refused(&request(&[6], &[], &[])).await;
    assert_eq!(outside, (Code::InvalidValue, Some("obs".to_string())));
    assert_eq!(pool.spec().await.wants, ["raw_action", "q_values"]);
    pool.drain().await;
}
