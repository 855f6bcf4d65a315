//! From a message to rows in the queue, or to a typed error.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, HeaderValue, Message};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    answer::Answer,
    pending::{Form, Pending, ReplyTo, Trace},
    queue::Queue,
    refusal,
    served::Served,
};
use crate::{
    batch,
    telemetry::Vitals,
    wire::{
        Code, Encoding, Request, Scalar, Schedule, TraceContext, Wants, WireError,
        request::Input,
        subjects::{
            MODEL_VERSION_HEADER, REQUEST_ID_HEADER, TRACEPARENT_HEADER, TRACESTATE_HEADER,
            is_inbox,
        },
    },
};

pub struct Intake {
    served: Arc<Served>,
    queue: Arc<Queue>,
    vitals: Arc<Vitals>,
    /// The budget of requests that bring none.
    default_budget: Option<Duration>,
    /// For requests that want a sample and bring no seed.
    seeds: ChaCha8Rng,
    count: u64,
}

/// What became of a message.
pub enum Taken {
    /// It waits, in the place of another one if there is one.
    Queued(Arc<Pending>, Option<Arc<Pending>>),
    Refused(Answer),
    /// Nobody could be answered.
    Ignored,
}

impl Intake {
    pub fn new(
        served: Arc<Served>,
        queue: Arc<Queue>,
        vitals: Arc<Vitals>,
        default_budget: Option<Duration>,
    ) -> Self {
        let seeds = ChaCha8Rng::from_os_rng();
        Self { served, queue, vitals, default_budget, seeds, count: 0 }
    }

    /// Takes one message, always at once. `arrived`: when it came to this process, on the worker's
    /// clock.
    pub fn take(&mut self, message: Message, arrived: Duration) -> Taken {
        let Some(inbox) = message.reply.filter(|inbox| is_inbox(inbox, &message.subject)) else {
            return Taken::Ignored;
        };
        let headers = message.headers.as_ref();
        let request_id = headers.and_then(|headers| header(headers, REQUEST_ID_HEADER)).cloned();
        let to = ReplyTo {
            inbox,
            encoding: Encoding::of(&message.payload),
            arrived,
            request_id,
            trace: self.trace(headers),
        };
        match self.check(&message.payload, headers, &to) {
            Ok(pending) => self.push(pending),
            Err(refusal) => Taken::Refused(Answer::error(&to, &refusal.error, refusal.id.as_ref())),
        }
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

    fn check(
        &mut self,
        payload: &[u8],
        headers: Option<&HeaderMap>,
        to: &ReplyTo,
    ) -> Result<Pending, Box<Refusal>> {
        let without_id = |error| Box::new(Refusal { error, id: None });
        self.check_bytes(payload.len()).map_err(without_id)?;
        let mut request = Request::read(payload)
            .map_err(|rejection| Box::new(Refusal { error: rejection.error, id: rejection.id }))?;
        let id = request.id.take();
        let checked = self
            .check_version(headers)
            .and_then(|()| schedule(headers))
            .and_then(|schedule| Ok((schedule, self.check_request(request, to)?)));
        match checked {
            Ok((schedule, pending)) => Ok(Pending { id, schedule, ..pending }),
            Err(error) => Err(Box::new(Refusal { error, id })),
        }
    }

    fn check_request(&mut self, mut request: Request, to: &ReplyTo) -> Result<Pending, WireError> {
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
        self.count += 1;
        let (number, to) = (self.count, to.clone());
        let (wants, schedule) = (request.wants, Schedule::default());
        Ok(Pending { number, to, form, rows, states, masks, seed, wants, schedule, id: None })
    }

    fn push(&self, mut pending: Pending) -> Taken {
        pending.schedule.budget = pending.schedule.budget.or(self.default_budget);
        let request = request(&pending);
        let pending = Arc::new(pending);
        let error = match request.deadline.is_some_and(|deadline| deadline <= self.queue.now()) {
            true => refusal::expired(&pending),
            false => match self.queue.push(pending.clone(), request) {
                Ok(superseded) => return Taken::Queued(pending, superseded),
                Err(refused) => {
                    self.vitals.tally().refused(refused.reason);
                    refusal::overloaded(&refused, self.queue.limits)
                }
            },
        };
        Taken::Refused(Answer::error(&pending.to, &error, pending.id.as_ref()))
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

/// What the queue is to know of it.
fn request(pending: &Pending) -> batch::Request {
    let schedule = &pending.schedule;
    batch::Request {
        rows: pending.rows.count,
        priority: schedule.priority,
        deadline: schedule.budget.map(|budget| pending.to.arrived + budget),
        simulator: schedule.env_id.clone(),
    }
}

fn schedule(headers: Option<&HeaderMap>) -> Result<Schedule, WireError> {
    let Some(headers) = headers else { return Ok(Schedule::default()) };
    Schedule::read(|name| header(headers, name).map(HeaderValue::as_str))
}

struct Refusal {
    error: WireError,
    id: Option<Scalar>,
}

/// NATS keeps the case of header names; clients and their proxies don't.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a HeaderValue> {
    let (_, values) = headers.iter().find(|(known, _)| {
        let known: &str = known.as_ref();
        known.eq_ignore_ascii_case(name)
    })?;
    values.first()
}
