//! A worker on the network: takes requests, answers them, drains.

mod presence;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    answer::Answer,
    confirmation::Confirmation,
    endurance::Endurance,
    engine::{self, Done},
    intake::{Intake, Taken},
    membership::{Membership, TICK},
    outbox::Outbox,
    pending::Pending,
    queue::Queue,
    refusal,
    responder::Responder,
    run::Setup,
    saturation::Saturation,
    served::Served,
    spec_service::SpecService,
    standstill::Standstill,
};
use crate::{
    failure::Failure,
    nats::{self, Connection, Link},
    settings,
    telemetry::{Outcome, Vitals},
    wire::{Code, State, WireError, subjects},
};

/// Requests taken in one go before the device hears of them and finished batches get their turn:
/// the runtime's own budget for one turn of a task, past which the connection is to be served.
const BURST: usize = 128;
/// So many failed batches in a row mean a broken device.
const MAX_FAILURES: u64 = 8;
const BROKEN: &str = "the device is broken; the log says how";
/// How long a worker with a broken device goes on refusing what is under way to it.
const LAST_WORDS: Duration = Duration::from_secs(10);

pub struct Service {
    served: Arc<Served>,
    queue: Arc<Queue>,
    intake: Intake,
    standstill: Standstill,
    responder: Responder,
    membership: Membership,
    saturation: Saturation,
    endurance: Endurance,
    data: Connection,
    /// For the spec subject: what comes in on either connection is counted.
    control: Connection,
    /// The broker is about to shut down: we leave it, and look for another server.
    moving: bool,
    spec: Option<SpecService>,
    prefix: String,
    done: mpsc::Receiver<Done>,
    outbox: Outbox,
    /// Whether the broker knows of our membership.
    confirmation: Confirmation,
    /// Whether all is here that was under way when this process stood still.
    old_ones: Confirmation,
    drain_timeout: Duration,
    drain_by: Option<Instant>,
    vitals: Arc<Vitals>,
}

impl Service {
    /// Warms the device up, connects and joins the queue group.
    ///
    /// # Errors
    /// No broker, or the device fails.
    pub async fn start(setup: Setup) -> Result<Self, Failure> {
        let Setup { served, policy, canary, nats, drain_timeout, default_budget, vitals } = setup;
        let limits = vitals.about.limits;
        let served = Arc::new(served);
        let queue = Arc::new(Queue::new(limits));
        let looked_at = queue.clone();
        vitals.watch_queue(move || looked_at.look());
        let done = engine::start(policy, canary, queue.clone(), vitals.clone()).await?;
        let data = connect(&nats, nats::REQUESTS, &vitals).await?;
        let control = connect(&nats, nats::CONTROL, &vitals).await?;
        let model = served.spec.model.clone();
        let subject = subjects::infer(&nats.prefix, &model);
        let membership = Membership::new(data.client.clone(), subject, model);
        Ok(Self {
            intake: Intake::new(served.clone(), queue.clone(), vitals.clone(), default_budget),
            standstill: Standstill::new(queue.now()),
            responder: Responder::new(served.clone()),
            saturation: Saturation::new(limits.queue_rows),
            endurance: Endurance::default(),
            control,
            moving: false,
            spec: None,
            prefix: nats.prefix,
            outbox: Outbox::new(data.client.clone(), vitals.clone(), queue.clone()),
            confirmation: Confirmation::default(),
            old_ones: Confirmation::default(),
            drain_by: None,
            served,
            queue,
            membership,
            data,
            done,
            drain_timeout,
            vitals,
        })
    }

    /// Serves until `stop` becomes true, then drains.
    ///
    /// # Errors
    /// The device died, or the broker refuses us. What was taken is answered all the same.
    pub async fn serve(mut self, mut stop: watch::Receiver<bool>) -> Result<(), Failure> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Here, where a stop can't cut it off: from now on requests may be under way to us.
        self.join().await;
        while !self.is_drained() {
            if self.standstill.turn(self.queue.now()) {
                self.membership.expect_other();
                self.old_ones.begin(self.data.client.clone());
            }
            tokio::select! {
                biased;
                Some(link) = self.data.events.recv() => self.on_link(link).await?,
                Some(link) = self.control.events.recv() => if link == Link::LameDuck {
                    self.on_link(link).await?;
                },
                // What is rare comes before what may never end.
                _ = stop.wait_for(|stop| *stop), if self.drain_by.is_none() => self.drain(),
                _ = tick.tick() => if !self.tick().await {
                    return self.device_died(tick).await;
                },
                () = at(self.queue.next_expiry(), self.queue.now()) => self.expire().await,
                _ = self.old_ones.wait() => self.catch_up().await,
                confirmed = self.confirmation.wait() => self.on_confirmed(confirmed),
                done = self.done.recv(), if self.outbox.connected => {
                    if !self.reply(done).await {
                        return self.device_died(tick).await;
                    }
                }
                message = self.membership.next() => if let Some(message) = message {
                    self.take_burst(message).await;
                },
            }
        }
        self.finish().await
    }

    /// What has waited for as long as this process stood still is here now: takes it.
    async fn catch_up(&mut self) {
        for message in self.membership.take_all() {
            self.take(message).await;
        }
        self.standstill.end();
        self.queue.wake();
    }

    /// Takes what has arrived, then tells the device: it computes what came together together.
    async fn take_burst(&mut self, first: async_nats::Message) {
        let began = self.queue.now();
        let mut message = Some(first);
        let mut taken = 0;
        while let Some(received) = message {
            self.take(received).await;
            taken += 1;
            message = if taken < BURST { self.membership.try_next() } else { None };
        }
        self.queue.wake();
        let spent = self.queue.now().saturating_sub(began);
        self.vitals.tally().decode.record(spent.as_secs_f64());
    }

    async fn take(&mut self, message: async_nats::Message) {
        self.vitals.tally().received(message.payload.len());
        let arrived = self.standstill.arrival(self.queue.now());
        match self.intake.take(message, arrived) {
            Taken::Queued(pending, superseded) => {
                self.responder.expect(pending);
                if let Some(superseded) = superseded {
                    self.refuse_open(&superseded, &refusal::superseded()).await;
                }
            }
            Taken::Refused(answer) => self.refuse(answer).await,
            Taken::Ignored => {
                tracing::warn!("a request without a subject to which a reply may go");
                self.vitals.tally().ended(Outcome::NoReplySubject);
            }
        }
    }

    /// Sends an answer that no batch has computed.
    async fn refuse(&mut self, answer: Answer) {
        if let Some(request) = self.outbox.send(answer).await {
            self.vitals.traces.record_refused(self.epoch(), &request);
        }
    }

    /// Answers those whose deadline has passed while they waited.
    async fn expire(&mut self) {
        for pending in self.queue.take_expired() {
            self.refuse_open(&pending, &refusal::expired(&pending)).await;
        }
    }

    async fn refuse_open(&mut self, pending: &Pending, error: &WireError) {
        if let Some(answer) = self.responder.refuse(pending, error) {
            self.refuse(answer).await;
        }
    }

    async fn refuse_all(&mut self, error: &WireError) {
        for answer in self.responder.refuse_all(error) {
            self.refuse(answer).await;
        }
    }

    /// When the worker's clock was at zero, by the wall clock of now: that may be set.
    fn epoch(&self) -> SystemTime {
        SystemTime::now() - self.queue.now()
    }

    /// Sends the answers of a batch; whether the device can go on. After a panic it has ended, and
    /// there is no further batch.
    async fn reply(&mut self, done: Option<Done>) -> bool {
        let Some(done) = done else { return false };
        if let Err(problem) = &done.output {
            tracing::error!(rows = done.batch.rows, problem, "a batch failed");
        }
        self.count(&done);
        let mut trace = done.trace();
        let began = self.queue.now();
        let answers = self.responder.answer(done, self.data.client.max_payload());
        let encoded = self.queue.now();
        for answer in answers {
            trace.requests.extend(self.outbox.send(answer).await);
        }
        let published = self.queue.now();
        if !trace.requests.is_empty() {
            (trace.finished, trace.epoch) = (published, self.epoch());
            self.vitals.traces.record(&trace);
        }
        let mut tally = self.vitals.tally();
        tally.encode.record((encoded - began).as_secs_f64());
        tally.publish.record((published - encoded).as_secs_f64());
        tally.failing < MAX_FAILURES
    }

    fn count(&self, done: &Done) {
        let mut tally = self.vitals.tally();
        tally.computed(&done.computed());
        let complete = done.batch.parts.iter().filter(|part| part.rows.end == part.item.rows.count);
        for part in complete {
            let waited = done.started.saturating_sub(part.item.to.arrived);
            tally.queue_wait.record(waited.as_secs_f64());
        }
    }

    fn drain(&mut self) {
        self.drain_by = Some(Instant::now() + self.drain_timeout);
        self.queue.drain();
        self.leave(State::Draining);
    }

    fn is_drained(&self) -> bool {
        // Without a broker there is no group to leave.
        let has_left =
            !self.outbox.connected || self.spec.as_ref().is_none_or(SpecService::has_left);
        let left = has_left && !self.membership.is_member();
        self.drain_by.is_some() && left && self.responder.open() == 0
    }

    /// The time to drain is over: whoever still waits is told so.
    async fn give_up(&mut self) {
        self.spec = None;
        self.membership.leave_now().await;
        self.queue.abandon();
        let error =
            WireError::new(Code::Draining, "this worker shuts down and could not finish it");
        if self.responder.open() > 0 {
            tracing::warn!(requests = self.responder.open(), "worker.drain_timeout_s is over");
        }
        self.refuse_all(&error).await;
    }

    /// Nothing is open any more: see that the broker has all replies, then end.
    async fn finish(mut self) -> Result<(), Failure> {
        self.queue.close();
        self.done.close();
        self.vitals.set_subscribed(false);
        self.outbox.prove().await?;
        self.enter(State::Stopped);
        Ok(())
    }

    /// Nothing can be computed any more: whoever asks is told so, until nobody asks.
    async fn device_died(mut self, mut tick: Interval) -> Result<(), Failure> {
        self.queue.close();
        self.vitals.fail(BROKEN.into());
        self.leave(State::Failed);
        let error = WireError::new(Code::Internal, "this worker's device is broken");
        let refusing = async {
            loop {
                self.refuse_all(&error).await;
                if !self.membership.is_member() {
                    return;
                }
                tokio::select! {
                    message = self.membership.next() => if let Some(message) = message {
                        self.take(message).await;
                    },
                    _ = tick.tick() => self.membership.tick().await,
                }
            }
        };
        let refused = timeout(LAST_WORDS, refusing).await;
        if refused.is_err() {
            self.membership.leave_now().await;
        }
        // What came of the last answers is no reason to call the device well.
        if let Err(unproven) = self.outbox.prove().await {
            tracing::warn!(%unproven, "ending");
        }
        Err(Failure::Defect(BROKEN.into()))
    }

    fn enter(&mut self, state: State) {
        if !self.vitals.enter(state) {
            return;
        }
        let spec = &self.served.spec;
        tracing::info!(
            %state, worker = spec.worker, model = spec.model, version = spec.model_version,
            weights = spec.weights, device = spec.device, open = self.responder.open(), "worker"
        );
    }
}

/// Until a moment on a clock that shows `now`; pending if there is none.
async fn at(moment: Option<Duration>, now: Duration) {
    match moment {
        Some(moment) => sleep(moment.saturating_sub(now)).await,
        None => std::future::pending().await,
    }
}

async fn connect(
    nats: &settings::Nats,
    name: &'static str,
    vitals: &Vitals,
) -> Result<Connection, Failure> {
    let worker = &vitals.about.spec.worker;
    let connection = nats::connect(nats, &format!("{worker} {name}")).await?;
    vitals.watch_connection(name, &connection);
    Ok(connection)
}
