//! A dict of observations, in every form.

use std::collections::BTreeMap;

use carla_rl::wire::{
    Code, Encoding,
    view::{Bytes, TensorView, Values},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use crate::{
    camera::{IMAGE, Seen, draft},
    pool::Pool,
    support::{Native, Obs, Reply, read},
};

/// An array as msgpack-numpy writes it: the keys are bytes.
struct Numpy {
    dtype: &'static str,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Serialize for Numpy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(5))?;
        map.serialize_entry(&Bytes(b"nd"), &true)?;
        map.serialize_entry(&Bytes(b"type"), self.dtype)?;
        map.serialize_entry(&Bytes(b"kind"), &Bytes(b""))?;
        map.serialize_entry(&Bytes(b"shape"), &self.shape)?;
        map.serialize_entry(&Bytes(b"data"), &Bytes(&self.data))?;
        map.end()
    }
}

#[tokio::test]
async fn every_tensor_form_and_every_order_of_keys_gives_the_same_action() {
    let pool = Pool::of(draft(), 8).await;
    let seen = Seen::number(3);
    let expected = pool.alone(&seen.request()).await.action;
    let mut keys: Vec<_> = seen.tensors().into();
    for _ in 0..3 {
        keys.rotate_left(1);
        assert_eq!(pool.alone(&Native::of(Obs::Dict(keys.clone()))).await.action, expected);
    }
    let numpy = pool.computed(Encoding::MessagePack.write(&numpy_request(&seen)).unwrap()).await;
    assert_eq!(read(&numpy).action, expected);
    let lists = pool.computed(serde_json::to_vec(&seen.request()).unwrap()).await;
    let lists: Value = serde_json::from_slice(&lists.payload).unwrap();
    let action: Vec<f32> = serde_json::from_value(lists["action"].clone()).unwrap();
    assert_eq!(action, expected.f32s());
    assert_ne!(pool.alone(&Seen::number(4).request()).await.action, expected);
    pool.drain().await;
}

#[derive(Serialize)]
struct NumpyRequest {
    obs: BTreeMap<&'static str, Numpy>,
    deterministic: bool,
}

fn numpy_request(seen: &Seen) -> NumpyRequest {
    let at = seen.at.iter().flat_map(|x| x.to_le_bytes()).collect();
    let obs = [
        ("view", Numpy { dtype: "|u1", shape: IMAGE.to_vec(), data: seen.view.clone() }),
        ("gear", Numpy { dtype: "<i8", shape: vec![], data: seen.gear.to_le_bytes().to_vec() }),
        ("at", Numpy { dtype: "<f4", shape: vec![3], data: at }),
    ];
    NumpyRequest { obs: obs.into(), deterministic: true }
}

#[tokio::test]
async fn an_image_gives_the_same_with_its_channels_last() {
    let pool = Pool::of(draft(), 8).await;
    let seen = Seen::number(3);
    let turned = seen.turned();
    let with_view = |view: &[u8]| {
        let mut keys: Vec<_> = seen.tensors().into();
        keys.remove(0);
        let shape = vec![IMAGE[1], IMAGE[2], IMAGE[0]];
        let view = [("view", TensorView::new(shape, Values::U1(view)))];
        Native::of(Obs::Dict(view.into_iter().chain(keys).collect())).encode()
    };
    let expected = pool.alone(&seen.request()).await.action;
    let last = pool.computed(with_view(&turned)).await;
    assert_eq!(read(&last).action, expected);
    // The network would tell pixels in the wrong order from those in the right one.
    let unturned = pool.computed(with_view(&seen.view)).await;
    assert_ne!(read(&unturned).action, expected);
    pool.drain().await;
}

#[tokio::test]
async fn a_row_gives_the_same_bits_alone_and_among_strangers() {
    let pool = Pool::of(draft(), 8).await;
    let seen: Vec<_> = (0..6).map(Seen::number).collect();
    let sampled = |seen| Native {
        deterministic: false,
        seed: Some(7),
        want: vec!["value", "log_prob", "raw_action"],
        ..Seen::request(seen)
    };
    let requests: Vec<_> = seen.iter().map(sampled).collect();
    let (replies, batches) = pool.together(&requests).await;
    assert_eq!(batches, [6]);
    for (request, among) in requests.iter().zip(replies) {
        let alone = pool.alone(request).await;
        let numbers = |reply: Reply| {
            (reply.action, reply.value.unwrap(), reply.log_prob.unwrap(), reply.raw_action.unwrap())
        };
        assert_eq!(numbers(among), numbers(alone));
    }
    pool.drain().await;
}

#[tokio::test]
async fn what_is_no_observation_of_the_dict_is_refused_by_name_and_the_next_one_is_served() {
    let pool = Pool::of(draft(), 8).await;
    let seen = Seen::number(1);
    let tensor = |shape: &[usize], values| TensorView::new(shape, values);
    let with =
        |name, tensor| Native::of(Obs::Dict([&seen.tensors()[..], &[(name, tensor)]].concat()));
    let lacking = Native::of(Obs::Dict(seen.tensors()[..2].to_vec()));
    for (request, code, field) in [
        (lacking, Code::Malformed, "obs.at"),
        (with("radar", tensor(&[1], Values::F4(&[1.0]))), Code::Malformed, "obs"),
        (with("gear", tensor(&[], Values::I8(&[4]))), Code::InvalidValue, "obs.gear"),
        (with("at", tensor(&[2], Values::F4(&[1.0; 2]))), Code::InvalidShape, "obs.at"),
        (with("at", tensor(&[1, 3], Values::F4(&[1.0; 3]))), Code::InvalidShape, "obs.at"),
        (Native::one(&[1.0; 94]), Code::Malformed, "obs"),
    ] {
        assert_eq!(pool.refused(&request).await, (code, Some(field.to_string())));
        assert_eq!(pool.alone(&seen.request()).await.action.shape, [2]);
    }
    pool.drain().await;
}

#[tokio::test]
async fn the_spec_has_the_spaces_in_the_policys_order() {
    let pool = Pool::of(draft(), 8).await;
    let spec = pool.spec().await;
    assert_eq!(spec.observation_space, draft().card.policy.observation_space);
    assert_eq!(spec.wants, ["value", "log_prob", "raw_action"]);
    assert_eq!((spec.recurrent, spec.masked), (false, false));
    let json = pool.spec_in_json().await;
    let names = json["observation_space"]["spaces"].as_array().unwrap().iter();
    let names: Vec<_> = names.map(|pair| pair[0].as_str().unwrap()).collect();
    assert_eq!(names, ["view", "gear", "at"]);
    pool.drain().await;
}
