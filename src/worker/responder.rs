//! From computed batches to encoded replies. Keeps what was taken and not yet answered, so that
//! each request gets one answer, whatever happens to its batch.

use std::{collections::HashMap, ops::Range, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;

use super::{
    answer::Answer,
    engine::Done,
    pending::{Form, Pending},
    served::Served,
};
use crate::{
    policy::{Actions, Output},
    wire::{
        Code, WireError,
        named::{NamedAction, NamedReply},
        reply::Reply,
        view::{self, Shape, TensorView, Values},
    },
};

pub struct Responder {
    served: Arc<Served>,
    open: HashMap<u64, Open, RandomState>,
    /// The shape of one action.
    action: Shape,
    /// Replies are written behind each other, and each is a part of it.
    buffer: BytesMut,
}

struct Open {
    pending: Arc<Pending>,
    /// The rows computed so far, of a request that takes several batches.
    computed: Option<Output>,
}

/// Bytes that there is room for before a reply is written; most are smaller, and share one
/// allocation with those around them.
const ROOM: usize = 512;
/// Bytes of such an allocation.
const CHUNK: usize = 1 << 16;

/// Where a request's time went.
#[derive(Clone, Copy)]
struct Timing {
    batch_rows: usize,
    started: Duration,
    finished: Duration,
}

impl Responder {
    pub fn new(served: Arc<Served>) -> Self {
        let action = Shape::from(served.spec.action_space.shape());
        Self { served, open: HashMap::default(), action, buffer: BytesMut::with_capacity(CHUNK) }
    }

    /// Remembers a queued request until it is answered.
    pub fn expect(&mut self, pending: &Arc<Pending>) {
        let open = Open { pending: pending.clone(), computed: None };
        self.open.insert(pending.number, open);
    }

    /// Requests without an answer.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The answers that a computed batch completes.
    pub fn answer(&mut self, done: &mut Done, max_payload: usize) -> Vec<Answer> {
        let Done { batch, output, started, finished, .. } = done;
        let timing = Timing { batch_rows: batch.rows, started: *started, finished: *finished };
        let mut answers = Vec::with_capacity(batch.parts.len());
        let mut first = 0;
        for part in batch.parts.drain(..) {
            let rows = first..first + part.rows.len();
            first = rows.end;
            answers.extend(match &output {
                Ok(output) => self.add_rows(part.item, (output, rows), timing, max_payload),
                Err(problem) => self.fail(&part.item, problem),
            });
        }
        answers
    }

    /// Answers a request that is not going to be computed.
    pub fn refuse(&mut self, pending: &Pending, error: &WireError) -> Option<Answer> {
        self.open.remove(&pending.number)?;
        Some(Answer::error(&pending.to, error, pending.id.as_ref()))
    }

    /// Answers everything that is still open with an error.
    pub fn refuse_all(&mut self, error: &WireError) -> Vec<Answer> {
        let refuse = |open: Open| Answer::error(&open.pending.to, error, open.pending.id.as_ref());
        self.open.drain().map(|(_, open)| refuse(open)).collect()
    }

    /// The reply, once all rows are there. A request that was answered before (it failed, or the
    /// worker gave up on it) gets nothing more.
    fn add_rows(
        &mut self,
        pending: Arc<Pending>,
        (output, rows): (&Output, Range<usize>),
        timing: Timing,
        max_payload: usize,
    ) -> Option<Answer> {
        let mut open = self.open.remove(&pending.number)?;
        if rows.len() == pending.rows.count {
            drop(open);
            return Some(self.reply(pending, (output, rows), timing, max_payload));
        }
        let rows = output.rows(rows);
        let computed = match open.computed.take() {
            Some(mut computed) => {
                computed.append(rows);
                computed
            }
            None => rows,
        };
        if computed.sound.len() < pending.rows.count {
            open.computed = Some(computed);
            self.open.insert(pending.number, open);
            return None;
        }
        drop(open);
        let rows = 0..pending.rows.count;
        Some(self.reply(pending, (&computed, rows), timing, max_payload))
    }

    fn fail(&mut self, pending: &Pending, problem: &str) -> Option<Answer> {
        self.open.remove(&pending.number)?;
        let error = WireError::new(Code::Internal, "the forward pass failed").got(problem);
        Some(Answer::error(&pending.to, &error, pending.id.as_ref()))
    }

    fn reply(
        &mut self,
        pending: Arc<Pending>,
        output: (&Output, Range<usize>),
        timing: Timing,
        max_payload: usize,
    ) -> Answer {
        let body = match self.encode(&pending, output, timing) {
            Ok(body) => body,
            Err(error) => return Answer::error(&pending.to, &error, pending.id.as_ref()),
        };
        // Nobody else has it any more, unless its batch was given up meanwhile.
        let (to, id) = match Arc::try_unwrap(pending) {
            Ok(pending) => (pending.to, pending.id),
            Err(pending) => (pending.to.clone(), pending.id.clone()),
        };
        let mut answer = Answer::action(to, body);
        answer.fit(max_payload, id.as_ref().filter(|id| id.is_short()));
        answer
    }

    fn encode(
        &mut self,
        pending: &Pending,
        (output, rows): (&Output, Range<usize>),
        timing: Timing,
    ) -> Result<Bytes, WireError> {
        if let Some(row) = output.sound[rows.clone()].iter().position(|sound| !sound) {
            return Err(WireError::new(Code::Internal, "the policy gave no finite action")
                .field(format!("row {row}")));
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.reserve(ROOM);
        let encoding = pending.to.encoding;
        let body = match (pending.form, &self.served.named, &output.action) {
            (Form::Named, Some(named), Actions::F32(action)) => {
                let action = share(action, output, &rows);
                let reply = self.named_reply(pending, &named.actions, action, timing);
                encoding.write_in(&reply, &mut buffer)
            }
            _ => {
                let state = self.served.state.zip(output.state.as_deref());
                let state = state.map(|(form, values)| form.write(share(values, output, &rows)));
                let reply = self.tensor_reply(pending, (output, &rows), state.as_deref(), timing);
                reply.write_in(encoding, &mut buffer)
            }
        };
        self.buffer = buffer;
        body
    }

    fn named_reply<'a>(
        &'a self,
        pending: &'a Pending,
        names: &'a [String],
        action: &'a [f32],
        timing: Timing,
    ) -> NamedReply<'a> {
        let spent = timing.finished.saturating_sub(pending.to.arrived);
        NamedReply {
            actions: action
                .chunks_exact(names.len())
                .map(|values| NamedAction { names, values })
                .collect(),
            version: format!("v{}", self.served.spec.model_version),
            timing_ms: spent.as_micros() as f64 / 1000.0,
            deterministic: pending.seed.is_none(),
            seed: pending.seed,
            id: pending.id.as_ref(),
        }
    }

    fn tensor_reply<'a>(
        &'a self,
        pending: &'a Pending,
        (output, rows): (&'a Output, &Range<usize>),
        state: Option<&'a [u8]>,
        timing: Timing,
    ) -> Reply<'a> {
        let tensor = |values, inner: &[usize]| {
            let mut shape = Shape::new();
            shape.extend((!pending.rows.single).then_some(pending.rows.count));
            shape.extend_from_slice(inner);
            TensorView::new(shape, values)
        };
        let wants = pending.wants;
        let number = |values: &'a Option<Vec<f32>>, wanted: bool| {
            let values = share(values.as_deref().filter(|_| wanted)?, output, rows);
            Some(tensor(Values::F4(values), &[]))
        };
        let list = |values: &'a Option<Vec<f32>>, wanted: bool| {
            let values = share(values.as_deref().filter(|_| wanted)?, output, rows);
            Some(tensor(Values::F4(values), &[values.len() / rows.len()]))
        };
        let actions = |actions: &'a Actions| match actions {
            Actions::F32(values) => Values::F4(share(values, output, rows)),
            Actions::I64(values) => Values::I8(share(values, output, rows)),
        };
        Reply {
            action: tensor(actions(&output.action), &self.action),
            value: number(&output.value, wants.value),
            log_prob: number(&output.log_prob, wants.log_prob),
            raw_action: wants.raw_action.then(|| tensor(actions(&output.raw_action), &self.action)),
            probs: list(&output.probs, wants.probs),
            q_values: list(&output.q_values, wants.q_values),
            state: state.map(view::Bytes),
            seed: pending.seed,
            model_version: &self.served.spec.model_version,
            weights: &self.served.spec.weights,
            worker: &self.served.spec.worker,
            batch_rows: timing.batch_rows,
            queue_us: micros(timing.started.saturating_sub(pending.to.arrived)),
            compute_us: micros(timing.finished.saturating_sub(timing.started)),
            id: pending.id.as_ref(),
        }
    }
}

/// What belongs to these rows of a whole output's values.
fn share<'a, T>(values: &'a [T], output: &Output, rows: &Range<usize>) -> &'a [T] {
    let size = values.len() / output.sound.len();
    &values[rows.start * size..rows.end * size]
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
