//! Bodies that no worker can serve.

use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::json;

use carla_rl::wire::{
    Encoding,
    view::{Bytes, TensorView, Values},
};

/// Of a large body: most of what the broker takes.
const LARGE: usize = 1_000_000;

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
    let obs = TensorView::new(shape, Values::F4(values));
    Encoding::MessagePack.write(&Request { obs }).expect("it can be written")
}

/// A large body with nothing in it.
pub fn filler(number: usize) -> Option<Vec<u8>> {
    Some(vec![if number.is_multiple_of(2) { 0xc1 } else { b'{' }; LARGE])
}

/// A body that claims to hold more than there is, or holds it deeply nested.
pub fn bomb(number: usize) -> Option<Vec<u8>> {
    let obs = |value: &[u8]| [b"\x81\xa3obs", value].concat();
    let tensor = |shape: &[u8]| {
        let head: &[u8] = b"\x83\xa5dtype\xa2f4\xa4data\xc4\x00\xa5shape";
        obs(&[head, shape].concat())
    };
    Some(match number % 12 {
        // Arrays, maps, bytes, text of 4 G elements.
        0 => obs(b"\xdd\xff\xff\xff\xff\x01"),
        1 => obs(b"\xdf\xff\xff\xff\xff\xa1x\x01"),
        2 => obs(b"\xc6\xff\xff\xff\xff\x01"),
        3 => obs(b"\xdb\xff\xff\xff\xffx"),
        4 => b"\xdf\xff\xff\xff\xff".to_vec(),
        // Shapes of more elements than there are bytes anywhere.
        5 => tensor(b"\x92\xce\xff\xff\xff\xff\xce\xff\xff\xff\xff"),
        6 => tensor(b"\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        // Nested a million deep.
        7 => obs(&[0x91; LARGE]),
        8 => b"\x81\xa1x".repeat(LARGE / 3),
        9 => [b"{\"obs\":".to_vec(), vec![b'['; LARGE]].concat(),
        10 => b"{\"obs\":".repeat(LARGE / 7),
        // As many small things as there is room for.
        _ => obs(&[b"\xdd\x00\x0f\x00\x00".to_vec(), vec![0x90; 0x000f_0000]].concat()),
    })
}

/// A good request of exactly so many bytes, with a key that nobody reads.
pub fn padded(bytes: usize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Padded<'a> {
        obs: TensorView<'a>,
        id: u32,
        padding: Bytes<'a>,
    }
    let of = |padding: usize| {
        let (values, padding) = ([0.0, 0.0], vec![0; padding]);
        let obs = TensorView::new(&[2][..], Values::F4(&values));
        let padded = Padded { obs, id: 0, padding: Bytes(&padding) };
        Encoding::MessagePack.write(&padded).expect("it can be written")
    };
    // What is around the padding, whose length takes as much for all that are this long.
    let around = of(bytes).len() - bytes;
    of(bytes - around)
}

/// A request in JSON whose reply is longer than it is.
pub fn rows(rows: usize) -> Vec<u8> {
    json!({"obs": vec![[1, 1]; rows], "want": ["raw_action"]}).to_string().into_bytes()
}
