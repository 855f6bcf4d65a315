//! Where messages become requests and batches become answers; nothing of the network.

use std::{sync::Arc, time::Duration};

use async_nats::Message;
use tokio::sync::mpsc;

use super::{
    answer::Answer,
    canary::Canary,
    engine::{Done, Engine},
    intake::{Checked, Intake},
    pending::Pending,
    queue::Queue,
    refusal,
    responder::Responder,
    served::Served,
};
use crate::{
    failure::Failure,
    policy::Policy,
    telemetry::{Outcome, Vitals},
};

pub struct Reception {
    pub queue: Arc<Queue>,
    pub responder: Responder,
    engine: Arc<Engine>,
    intake: Intake,
    /// Requests that are not yet queued.
    checked: Vec<Arc<Pending>>,
    /// Answers of those that are not going to be.
    refused: Vec<Answer>,
    vitals: Arc<Vitals>,
}

impl Reception {
    /// Warms the device up. What comes from it comes through the channel, but for brief batches.
    ///
    /// # Errors
    /// The device fails.
    pub async fn open(
        served: Arc<Served>,
        (policy, canary): (Box<dyn Policy>, Option<Canary>),
        default_budget: Option<Duration>,
        vitals: Arc<Vitals>,
    ) -> Result<(Self, mpsc::Receiver<Done>), Failure> {
        let queue = Arc::new(Queue::new(vitals.about.limits));
        let (engine, done) = Engine::start(policy, canary, queue.clone(), vitals.clone()).await?;
        let reception = Self {
            queue,
            responder: Responder::new(served.clone()),
            engine,
            intake: Intake::new(served, vitals.clone(), default_budget),
            checked: Vec::new(),
            refused: Vec::new(),
            vitals,
        };
        Ok((reception, done))
    }

    /// Reads a message, which waits to be queued with others.
    pub fn check(&mut self, message: Message, arrived: Duration) {
        match self.intake.check(message, arrived) {
            Checked::Pending(pending) => self.checked.push(pending),
            Checked::Refused(answer) => self.refused.push(answer),
            Checked::Ignored => {
                tracing::warn!("a request without a subject to which a reply may go");
                self.vitals.tally().ended(Outcome::NoReplySubject);
            }
        }
    }

    /// Queues all that were checked. Gives the answers of those that can't be.
    pub fn queue_checked(&mut self) -> Vec<Answer> {
        self.refuse_expired();
        let Self { checked, queue, responder, refused, vitals, .. } = self;
        let pending = checked.drain(..).inspect(|pending| responder.expect(pending));
        let mut told = Vec::new();
        queue.push_all(pending, |result| match result {
            Ok(None) => {}
            Ok(Some(superseded)) => told.push((superseded, refusal::superseded())),
            Err(full) => {
                vitals.tally().refused(full.reason);
                let error = refusal::overloaded(&full, queue.limits);
                told.push((full.item, error));
            }
        });
        refused.extend(told.iter().filter_map(|(pending, error)| responder.refuse(pending, error)));
        std::mem::take(refused)
    }

    /// Computes the next batch here and now if it is due and brief.
    pub fn compute_brief(&self) -> Option<Done> {
        self.engine.compute_brief()
    }

    /// The answers that a computed batch completes, none larger than `max_payload`.
    pub fn answer(&mut self, mut done: Done, max_payload: usize) -> Vec<Answer> {
        let answers = self.responder.answer(&mut done, max_payload);
        if let Ok(output) = done.output {
            self.engine.take_back(output);
        }
        answers
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
