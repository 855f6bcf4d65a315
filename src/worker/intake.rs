//! From a message to rows in the queue, or to a typed error.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, HeaderValue, Message};
use bytes::Bytes;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    answer::Answer,
    pending::{Form, Pending, ReplyTo, Trace},
    served::Served,
};
use crate::{
    telemetry::Vitals,
    wire::{
        Code, Encoding, Rejection, Request, Rows, Scalar, Schedule, TraceContext, Wants, WireError,
        request::Input,
        subjects::{
            MODEL_VERSION_HEADER, REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER,
            is_inbox,
        },
    },
};

pub struct Intake {
    served: Arc<Served>,
    vitals: Arc<Vitals>,
    /// The budget of requests that bring none.
    default_budget: Option<Duration>,
    /// For requests that want a sample and bring no seed.
    seeds: ChaCha8Rng,
    count: u64,
}

/// What a message holds.
pub enum Checked {
    /// A request that may be queued.
    Pending(Arc<Pending>),
    Refused(Answer),
    /// Nobody could be answered.
    Ignored,
}

/// A request that was read and fits the model.
struct Asked {
    form: Form,
    rows: Rows,
    states: Option<Vec<f32>>,
    masks: Option<Vec<u8>>,
    seed: Option<u64>,
    wants: Wants,
    schedule: Schedule,
}

impl Intake {
    pub fn new(served: Arc<Served>, vitals: Arc<Vitals>, default_budget: Option<Duration>) -> Self {
        let seeds = ChaCha8Rng::from_os_rng();
        Self { served, vitals, default_budget, seeds, count: 0 }
    }

    /// Reads one message, always at once. `arrived`: when it came to this process, on the worker's
    /// clock.
    pub fn check(&mut self, message: Message, arrived: Duration) -> Checked {
        let Message { subject, reply, payload, headers, .. } = message;
        let Some(inbox) = reply.filter(|inbox| is_inbox(inbox, &subject)) else {
            return Checked::Ignored;
        };
        let headers = headers.as_ref();
        let request_id = headers.and_then(|headers| header(headers, REQUEST_ID_HEADER)).cloned();
        let encoding = Encoding::of(&payload);
        let to = ReplyTo { inbox, encoding, arrived, request_id, trace: self.trace(headers) };
        let (error, id) = match self.read(&payload) {
            Err(rejection) => (rejection.error, rejection.id),
            Ok(mut request) => {
                let id = request.id.take();
                match self.check_request(request, headers, &payload) {
                    Ok(asked) => return Checked::Pending(self.pending(to, id, asked)),
                    Err(error) => (error, id),
                }
            }
        };
        Checked::Refused(Answer::error(&to, &error, id.as_ref()))
    }

    fn pending(&mut self, to: ReplyTo, id: Option<Scalar>, asked: Asked) -> Arc<Pending> {
        let Asked { form, rows, states, masks, seed, wants, mut schedule } = asked;
        schedule.budget = schedule.budget.or(self.default_budget);
        self.count += 1;
        let number = self.count;
        Arc::new(Pending { number, to, form, rows, states, masks, seed, wants, schedule, id })
    }

    /// A header that can't be read is counted, and otherwise as none.
    fn trace(&self, headers: Option<&HeaderMap>) -> Option<Arc<Trace>> {
        let text = |name| headers.and_then(|headers| header(headers, name));
        let parent = text(TRACEPARENT_HEADER).and_then(|parent| {
            let read: Result<TraceContext, _> = parent.as_str().parse();
            self.vitals.tally().malformed_traceparents += u64::from(read.is_err());
            read.ok()
        });
        let traced = self.vitals.traces.decide(parent);
        let context = parent.or(traced.map(|traced| traced.context))?;
        let state = text(TRACESTATE_HEADER).filter(|_| traced.is_some());
        Some(Arc::new(Trace { context, traced, state: state.map(|state| state.to_string()) }))
    }

    fn read<'a>(&self, payload: &'a Bytes) -> Result<Request<'a>, Box<Rejection>> {
        self.check_bytes(payload.len()).map_err(|error| Box::new(Rejection { error, id: None }))?;
        Request::read(payload)
    }

    fn check_request(
        &mut self,
        mut request: Request<'_>,
        headers: Option<&HeaderMap>,
        payload: &Bytes,
    ) -> Result<Asked, WireError> {
        self.check_version(headers)?;
        let schedule = schedule(headers)?;
        self.check_support(&request)?;
        let form = match request.input {
            Input::Named(_) => Form::Named,
            _ => Form::Tensor,
        };
        let features = self.served.named.as_ref().map(|named| named.features.as_slice());
        let space = self.served.observation_space();
        let rows = request.rows(space, features, self.served.spec.max_rows)?;
        let states = request.memory(self.served.state, rows.count)?;
        let masks = request.mask(self.served.mask_size, &rows)?;
        let seed = match request.deterministic {
            true => None,
            false => Some(request.seed.unwrap_or_else(|| self.seeds.next_u64())),
        };
        let (wants, rows) = (request.wants, rows.kept_in(payload));
        Ok(Asked { form, rows, states, masks, seed, wants, schedule })
    }

    fn check_bytes(&self, got: usize) -> Result<(), WireError> {
        let limit = self.served.spec.max_bytes;
        if got <= limit {
            return Ok(());
        }
        Err(WireError::new(Code::TooLarge, "the request is too large")
            .expected(format!("at most {limit} bytes (limits.request_bytes)"))
            .got(format!("{got} bytes")))
    }

    fn check_version(&self, headers: Option<&HeaderMap>) -> Result<(), WireError> {
        let Some(wanted) = headers.and_then(|headers| header(headers, MODEL_VERSION_HEADER)) else {
            return Ok(());
        };
        let (wanted, served) = (wanted.as_str(), &self.served.spec.model_version);
        if wanted.strip_prefix('v').unwrap_or(wanted) == served {
            return Ok(());
        }
        Err(WireError::new(Code::UnknownVersion, "this version is not served here")
            .field(MODEL_VERSION_HEADER)
            .expected(served)
            .got(wanted))
    }

    fn check_support(&self, request: &Request) -> Result<(), WireError> {
        if matches!(request.input, Input::Named(_)) && request.wants != Wants::default() {
            return Err(WireError::new(
                Code::Unsupported,
                "named actions come without other fields",
            )
            .field("want")
            .expected("no want with observations; ask with obs"));
        }
        if request.wants.union(self.served.wants) == self.served.wants {
            return Ok(());
        }
        let has = self.served.wants.names();
        let lacks: Vec<_> =
            request.wants.names().into_iter().filter(|name| !has.contains(name)).collect();
        Err(WireError::new(Code::Unsupported, "this policy does not have all that is wanted")
            .field("want")
            .expected(has.join(", "))
            .got(lacks.join(", ")))
    }
}

fn schedule(headers: Option<&HeaderMap>) -> Result<Schedule, WireError> {
    let Some(headers) = headers else { return Ok(Schedule::default()) };
    Schedule::read(|name| header(headers, name).map(HeaderValue::as_str))
}

/// NATS keeps the case of header names; clients and their proxies don't.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let (_, values) = headers.iter().find(|(known, _)| {
        let known: &str = known.as_ref();
        known.eq_ignore_ascii_case(name)
    })?;
    values.first()
}
