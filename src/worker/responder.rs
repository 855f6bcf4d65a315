//! From computed batches to encoded replies. Keeps what was taken and not yet answered, so that
//! each request gets one answer, whatever happens to its batch.

use std::{collections::HashMap, sync::Arc, time::Duration};

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
        view::{Bytes, TensorView, Values},
    },
};

pub struct Responder {
    served: Arc<Served>,
    open: HashMap<u64, Open>,
}

struct Open {
    pending: Arc<Pending>,
    /// The rows computed so far, of a request that takes several batches.
    computed: Option<Output>,
}

/// Where a request's time went.
#[derive(Clone, Copy)]
struct Timing {
    batch_rows: usize,
    started: Duration,
    finished: Duration,
}

impl Responder {
    pub fn new(served: Arc<Served>) -> Self {
        Self { served, open: HashMap::new() }
    }

    /// Remembers a queued request until it is answered.
    pub fn expect(&mut self, pending: Arc<Pending>) {
        self.open.insert(pending.number, Open { pending, computed: None });
    }

    /// Requests without an answer.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// The answers that a computed batch completes.
    pub fn answer(&mut self, done: Done, max_payload: usize) -> Vec<Answer> {
        let Done { batch, output, started, finished, .. } = done;
        let timing = Timing { batch_rows: batch.rows, started, finished };
        let mut answers = Vec::with_capacity(batch.parts.len());
        let mut first = 0;
        for part in batch.parts {
            let rows = first..first + part.rows.len();
            first = rows.end;
            let answer = match &output {
                Ok(output) => self.add_rows(&part.item, output.rows(rows), timing),
                Err(problem) => self.fail(part.item.number, problem),
            };
            let id = part.item.id.as_ref().filter(|id| id.is_short());
            answers.extend(answer.map(|answer| answer.within(max_payload, id)));
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
    fn add_rows(&mut self, pending: &Pending, rows: Output, timing: Timing) -> Option<Answer> {
        let open = self.open.get_mut(&pending.number)?;
        let computed = match open.computed.take() {
            Some(mut computed) => {
                computed.append(rows);
                computed
            }
            None => rows,
        };
        if computed.sound.len() < pending.rows.count {
            open.computed = Some(computed);
            return None;
        }
        self.open.remove(&pending.number);
        Some(match self.encode(pending, &computed, timing) {
            Ok(body) => Answer::action(&pending.to, body),
            Err(error) => Answer::error(&pending.to, &error, pending.id.as_ref()),
        })
    }

    fn fail(&mut self, number: u64, problem: &str) -> Option<Answer> {
        let Open { pending, .. } = self.open.remove(&number)?;
        let error = WireError::new(Code::Internal, "the forward pass failed").got(problem);
        Some(Answer::error(&pending.to, &error, pending.id.as_ref()))
    }

    fn encode(
        &self,
        pending: &Pending,
        output: &Output,
        timing: Timing,
    ) -> Result<Vec<u8>, WireError> {
        if let Some(row) = output.sound.iter().position(|sound| !sound) {
            return Err(WireError::new(Code::Internal, "the policy gave no finite action")
                .field(format!("row {row}")));
        }
        match (pending.form, &self.served.named, &output.action) {
            (Form::Named, Some(named), Actions::F32(action)) => {
                let reply = self.named_reply(pending, &named.actions, action, timing);
                pending.to.encoding.write(&reply)
            }
            _ => {
                let state = self.served.state.zip(output.state.as_deref());
                let state = state.map(|(form, values)| form.write(values));
                let reply = self.reply(pending, (output, state.as_deref()), timing);
                pending.to.encoding.write(&reply)
            }
        }
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

    fn reply<'a>(
        &'a self,
        pending: &'a Pending,
        (output, state): (&'a Output, Option<&'a [u8]>),
        timing: Timing,
    ) -> Reply<'a> {
        let space = &self.served.spec.action_space;
        let tensor = |values, inner: Vec<usize>| TensorView {
            shape: if pending.rows.single {
                inner
            } else {
                [vec![pending.rows.count], inner].concat()
            },
            values,
        };
        let wants = pending.wants;
        let number = |values: &'a Option<Vec<f32>>, wanted: bool| {
            let values = values.as_deref().filter(|_| wanted)?;
            Some(tensor(Values::F4(values), vec![]))
        };
        let list = |values: &'a Option<Vec<f32>>, wanted: bool| {
            let values = values.as_deref().filter(|_| wanted)?;
            Some(tensor(Values::F4(values), vec![values.len() / pending.rows.count]))
        };
        Reply {
            action: tensor(values(&output.action), space.shape()),
            value: number(&output.value, wants.value),
            log_prob: number(&output.log_prob, wants.log_prob),
            raw_action: wants.raw_action.then(|| tensor(values(&output.raw_action), space.shape())),
            probs: list(&output.probs, wants.probs),
            q_values: list(&output.q_values, wants.q_values),
            state: state.map(Bytes),
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

fn values(actions: &Actions) -> Values<'_> {
    match actions {
        Actions::F32(values) => Values::F4(values),
        Actions::I64(values) => Values::I8(values),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
