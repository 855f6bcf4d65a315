//! Requests as a simulator writes them, and answers as it reads them.

use async_nats::{Message, StatusCode};
use carla_rl::wire::{
    Code, Encoding, subjects,
    view::{TensorView, Values},
};
use serde::{Deserialize, Serialize};

use super::{echo, oracle::Answer};

#[derive(Serialize)]
struct Request<'a> {
    obs: TensorView<'a>,
    deterministic: bool,
    id: u32,
}

#[derive(Deserialize)]
struct Body<'a> {
    id: Option<u32>,
    #[serde(borrow)]
    action: Option<Tensor<'a>>,
}

#[derive(Deserialize)]
struct Tensor<'a> {
    data: &'a [u8],
}

#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    code: Code,
}

/// The body of the request with this id.
pub fn good(id: u32) -> Vec<u8> {
    let values = echo::observation(id);
    let obs = TensorView::new(&[2][..], Values::F4(&values));
    let request = Request { obs, deterministic: true, id };
    Encoding::MessagePack.write(&request).expect("it can be written")
}

/// What a message says, whatever it answers.
pub fn read(message: &Message) -> Answer {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Answer::NoResponders;
    }
    let body = &message.payload;
    let unreadable = || Answer::Unreadable(String::from_utf8_lossy(body).into_owned());
    let headers = message.headers.as_ref();
    if headers.is_some_and(|headers| headers.get(subjects::ERROR_CODE_HEADER).is_some()) {
        let refusal: Option<Refusal> = match Encoding::of(body) {
            Encoding::Json => serde_json::from_slice(body).ok(),
            Encoding::MessagePack => rmp_serde::from_slice(body).ok(),
        };
        return refusal.map_or_else(unreadable, |refusal| Answer::Error(refusal.error.code));
    }
    let body: Option<Body> = rmp_serde::from_slice(body).ok();
    body.and_then(|body| action(&body)).unwrap_or_else(unreadable)
}

fn action(body: &Body) -> Option<Answer> {
    let (id, data) = (body.id?, body.action.as_ref()?.data);
    let (values, rest) = data.as_chunks::<4>();
    let [first, second] = values else { return None };
    let action = [f32::from_le_bytes(*first), f32::from_le_bytes(*second)];
    rest.is_empty().then_some(Answer::Action { id, action })
}
