//! Whether an answer is one.

use async_nats::{Message, StatusCode};
use bytes::Bytes;

use crate::{
    ping::target::Refusal,
    wire::{Encoding, Tensor, subjects},
};

/// What must come back.
#[derive(Clone, Debug)]
pub enum Expected {
    /// Finite numbers of this shape in the field `action`.
    Action(Vec<usize>),
    /// The request itself.
    Same(Bytes),
}

impl Expected {
    /// Whether the broker or a worker says that it is none. Cheap: for every answer.
    ///
    /// # Errors
    /// The code.
    pub fn glance(&self, message: &Message) -> Result<(), String> {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err("no_responders".into());
        }
        let headers = message.headers.as_ref();
        match headers.is_some_and(|headers| headers.get(subjects::ERROR_CODE_HEADER).is_some()) {
            true => Err(code(&message.payload)),
            false => Ok(()),
        }
    }

    /// Whether it is right.
    ///
    /// # Errors
    /// The code.
    pub fn examine(&self, message: &Message) -> Result<(), String> {
        self.glance(message)?;
        let is_right = match self {
            Expected::Same(body) => message.payload == *body,
            Expected::Action(shape) => is_action(&message.payload, shape),
        };
        if is_right { Ok(()) } else { Err("wrong_answer".into()) }
    }
}

fn code(body: &[u8]) -> String {
    let refusal: Option<Refusal> = match Encoding::of(body) {
        Encoding::Json => serde_json::from_slice(body).ok(),
        Encoding::MessagePack => rmp_serde::from_slice(body).ok(),
    };
    refusal.map_or("unreadable".into(), |refusal| refusal.error.code)
}

fn is_action(body: &[u8], shape: &[usize]) -> bool {
    let Ok(map) = Encoding::of(body).read(body, &["action"]) else { return false };
    let action = map.into_iter().find(|(key, _)| key.bytes() == b"action");
    let tensor = action.and_then(|(_, node)| Tensor::from_node(node, "action").ok());
    tensor.is_some_and(|tensor| {
        tensor.shape[..] == *shape && tensor.to_f64().iter().all(|number| number.is_finite())
    })
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;
    use crate::wire::{TensorView, Values};

    fn message(payload: Vec<u8>) -> Message {
        Message {
            subject: "i.0.0".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        }
    }

    fn action(values: &[f32]) -> Message {
        let view = TensorView::new(&[values.len()][..], Values::F4(values));
        let map = std::collections::BTreeMap::from([("action", view)]);
        message(Encoding::MessagePack.write(&map).unwrap())
    }

    #[test]
    fn only_finite_numbers_of_the_right_shape_are_an_action() {
        let expected = Expected::Action(vec![2]);
        assert_eq!(expected.examine(&action(&[1.0, 2.0])), Ok(()));
        for wrong in
            [action(&[1.0]), action(&[1.0, f32::NAN]), message(vec![]), message(vec![0x80])]
        {
            assert_eq!(expected.examine(&wrong), Err("wrong_answer".into()), "{wrong:?}");
        }
    }

    #[test]
    fn an_error_has_its_code_whatever_else_is_expected() {
        let mut refused = message(br#"{"error":{"code":"overloaded","message":"full"}}"#.to_vec());
        let mut headers = HeaderMap::new();
        headers.insert(subjects::ERROR_CODE_HEADER, "503");
        refused.headers = Some(headers);
        let same = Expected::Same(refused.payload.clone());
        for expected in [Expected::Action(vec![]), same] {
            assert_eq!(expected.glance(&refused), Err("overloaded".into()));
        }
        refused.payload = Bytes::new();
        assert_eq!(Expected::Action(vec![]).glance(&refused), Err("unreadable".into()));
    }

    #[test]
    fn nobody_there_is_an_error_even_where_an_empty_echo_would_do() {
        let mut nobody = message(vec![]);
        nobody.status = Some(StatusCode::NO_RESPONDERS);
        assert_eq!(Expected::Same(Bytes::new()).glance(&nobody), Err("no_responders".into()));
    }

    #[test]
    fn an_echo_must_be_what_was_sent() {
        let expected = Expected::Same("abc".into());
        assert_eq!(expected.examine(&message(b"abc".to_vec())), Ok(()));
        assert_eq!(expected.examine(&message(b"abd".to_vec())), Err("wrong_answer".into()));
    }
}
