//! How requests come in: read, checked, queued, or refused at once.

use std::time::Duration;

use async_nats::Message;

use super::{super::intake::Checked, Service};
use crate::{
    telemetry::Outcome,
    worker::{answer::Answer, refusal},
};

/// Requests taken in one go before they are computed and finished batches get their turn: the
/// runtime's own budget for one turn of a task, past which the connection is to be served.
const BURST: usize = 128;

impl Service {
    /// What has waited for as long as this process stood still is here now: takes it.
    pub(super) async fn catch_up(&mut self) {
        let messages = self.membership.take_all();
        self.take(messages).await;
        self.standstill.end();
        self.queue.wake();
    }

    /// Takes what has arrived: what came together is computed together.
    pub(super) async fn take_burst(&mut self, first: Message) {
        let began = self.queue.now();
        let arrived = self.standstill.arrival(began);
        let (mut messages, mut bytes) = (0, 0);
        let mut message = Some(first);
        while let Some(received) = message {
            messages += 1;
            bytes += received.payload.len();
            self.check(received, arrived);
            message = if messages < BURST { self.membership.try_next() } else { None };
        }
        self.vitals.tally().received(messages as u64, bytes);
        self.queue_checked().await;
        let spent = self.queue.now().saturating_sub(began);
        self.vitals.tally().decode.record(spent.as_secs_f64());
    }

    /// Takes these.
    pub(super) async fn take(&mut self, messages: impl IntoIterator<Item = Message>) {
        let arrived = self.standstill.arrival(self.queue.now());
        for message in messages {
            self.vitals.tally().received(1, message.payload.len());
            self.check(message, arrived);
        }
        self.queue_checked().await;
    }

    fn check(&mut self, message: Message, arrived: Duration) {
        match self.intake.check(message, arrived) {
            Checked::Pending(pending) => self.checked.push(pending),
            Checked::Refused(answer) => self.refused.push(answer),
            Checked::Ignored => {
                tracing::warn!("a request without a subject to which a reply may go");
                self.vitals.tally().ended(Outcome::NoReplySubject);
            }
        }
    }

    /// Queues those that were checked, and answers those that can't be.
    async fn queue_checked(&mut self) {
        self.refuse_expired();
        let Self { checked, queue, responder, refused, vitals, .. } = self;
        for pending in checked.iter() {
            responder.expect(pending.clone());
        }
        let requests = checked.drain(..).map(|pending| {
            let request = pending.request();
            (pending, request)
        });
        queue.push_all(requests, |result| match result {
            Ok(None) => {}
            Ok(Some(superseded)) => {
                refused.extend(responder.refuse(&superseded, &refusal::superseded()));
            }
            Err(full) => {
                vitals.tally().refused(full.reason);
                refused.extend(
                    responder.refuse(&full.item, &refusal::overloaded(&full, queue.limits)),
                );
            }
        });
        if !refused.is_empty() {
            let refused = std::mem::take(refused);
            self.refuse(refused).await;
        }
    }

    /// Of those that were checked, these need not be queued.
    fn refuse_expired(&mut self) {
        let now = self.queue.now();
        let refused = &mut self.refused;
        self.checked.retain(|pending| {
            let expired = pending.deadline().is_some_and(|deadline| deadline <= now);
            if expired {
                let error = refusal::expired(pending);
                refused.push(Answer::error(&pending.to, &error, pending.id.as_ref()));
            }
            !expired
        });
    }
}
