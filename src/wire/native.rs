//! The body that nearly all clients send, read where it lies: a MessagePack map of a native tensor,
//! `deterministic` and `seed`, each at most once.
//!
//! It says the same as the reader of all forms, or nothing: whatever is unusual, or wrong, is left to
//! that one, which takes several times as long.

use std::borrow::Cow;

use rmp::decode;
use smallvec::SmallVec;

use super::{
    dtype::DType,
    request::{Input, Request},
    tensor::Tensor,
    view::Shape,
};

/// More axes are for the reader of all forms.
const MAX_AXES: u32 = 8;

/// `None`: a body of another form, or a wrong one.
pub(super) fn read(body: &[u8]) -> Option<Request<'_>> {
    let mut rest = body;
    let keys = decode::read_map_len(&mut rest).ok()?;
    let (mut obs, mut deterministic, mut seed) = (None, None, None);
    for _ in 0..keys {
        match text(&mut rest)? {
            b"obs" if obs.is_none() => obs = Some(tensor(&mut rest)?),
            b"deterministic" if deterministic.is_none() => {
                deterministic = Some(decode::read_bool(&mut rest).ok()?);
            }
            b"seed" if seed.is_none() => seed = Some(decode::read_int(&mut rest).ok()?),
            _ => return None,
        }
    }
    let input = Input::Tensor(obs.filter(|_| rest.is_empty())?);
    Some(Request { deterministic: deterministic.unwrap_or(false), seed, ..Request::of(input) })
}

fn tensor<'a>(rest: &mut &'a [u8]) -> Option<Tensor<'a>> {
    if decode::read_map_len(rest).ok()? != 3 {
        return None;
    }
    let (mut dtype, mut shape, mut data) = (None, None, None);
    for _ in 0..3 {
        match text(rest)? {
            b"dtype" => dtype = Some(DType::parse(str::from_utf8(text(rest)?).ok()?)?),
            b"shape" => shape = Some(sizes(rest)?),
            b"data" => {
                let len = decode::read_bin_len(rest).ok()?;
                data = Some(split(rest, len)?);
            }
            _ => return None,
        }
    }
    Tensor::native(dtype?, shape?, Cow::Borrowed(data?))
}

fn sizes(rest: &mut &[u8]) -> Option<Shape> {
    let axes = decode::read_array_len(rest).ok().filter(|axes| *axes <= MAX_AXES)?;
    let mut shape = SmallVec::new();
    for _ in 0..axes {
        shape.push(decode::read_int::<u32, _>(rest).ok()? as usize);
    }
    Some(shape)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = decode::read_str_len(rest).ok()?;
    split(rest, len)
}

fn split<'a>(rest: &mut &'a [u8], len: u32) -> Option<&'a [u8]> {
    let (part, behind) = rest.split_at_checked(len as usize)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Encoding, TensorView, Values};
    use proptest::{collection::vec, prelude::*};
    use serde::Serialize;

    #[derive(Serialize)]
    struct Body<'a> {
        obs: TensorView<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seed: Option<u64>,
        deterministic: bool,
    }

    fn body(shape: &[usize], values: &[f32], seed: Option<u64>) -> Vec<u8> {
        let obs = TensorView::new(shape, Values::F4(values));
        Encoding::MessagePack.write(&Body { obs, seed, deterministic: true }).unwrap()
    }

    #[test]
    fn what_clients_of_the_native_form_send_is_read_here() {
        let long = vec![0.5; 70_000];
        for (shape, values) in
            [(vec![2], &long[..2]), (vec![], &long[..1]), (vec![700, 100], &long)]
        {
            let body = body(&shape, values, Some(u64::MAX));
            let request = read(&body).unwrap();
            assert_eq!(request, Request::read_any(&body).unwrap());
            assert_eq!((request.seed, request.deterministic), (Some(u64::MAX), true));
        }
    }

    proptest! {
        /// Whatever bytes are changed, left out or added.
        #[test]
        fn it_says_the_same_as_the_reader_of_all_forms_or_nothing(
            values in vec(any::<f32>(), 0..5),
            changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..4),
        ) {
            let mut body = body(&[values.len()], &values, Some(7));
            for (at, byte, change) in changes {
                let at = at.index(body.len());
                match change {
                    0 => body[at] = byte,
                    1 => body.insert(at, byte),
                    _ => { body.remove(at); }
                }
            }
            if let Some(request) = read(&body) {
                prop_assert_eq!(format!("{:?}", request), format!("{:?}", Request::read_any(&body).unwrap()));
            }
        }
    }
}
