//! Bodies that no worker can serve.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::json;

use carla_rl::wire::{
    Encoding,
    view::{TensorView, Values},
};

/// All requests are good.
pub fn none(_: usize) -> Option<Vec<u8>> {
    None
}

/// One request in eleven is bad, in one of several ways; the same for the same number.
pub fn one_in_eleven(number: usize) -> Option<Vec<u8>> {
    number.is_multiple_of(11).then(|| body(number))
}

/// Bad in one of several ways.
pub fn body(number: usize) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(number as u64);
    match random.random_range(0..7) {
        0 => noise(&mut random),
        1 => truncated(&mut random),
        2 => shaped(&[1.0, 2.0, 3.0], vec![3]),
        3 => shaped(&[1.0; 4], vec![1, 2, 2]),
        4 => shaped(&[f32::NAN, 1.0], vec![2]),
        5 => shaped(&[f32::NEG_INFINITY, f32::INFINITY], vec![2]),
        _ => json!({"obs": [true, false], "deterministic": true}).to_string().into_bytes(),
    }
}

fn noise(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..200)];
    random.fill_bytes(&mut bytes);
    bytes
}

fn truncated(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut whole = shaped(&[1.0, 2.0], vec![2]);
    whole.truncate(random.random_range(0..whole.len()));
    whole
}

fn shaped(values: &[f32], shape: Vec<usize>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Request<'a> {
        obs: TensorView<'a>,
    }
    let obs = TensorView { shape, values: Values::F4(values) };
    Encoding::MessagePack.write(&Request { obs }).expect("it can be written")
}
