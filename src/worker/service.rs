//! A worker on the network: takes requests, answers them, drains.

mod presence;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use async_nats::Message;
use tokio::{
    sync::{mpsc, watch},
    time::{Interval, MissedTickBehavior, interval, timeout},
};

use super::{
    alarm::Alarm,
    answer::Answer,
    confirmation::Confirmation,
    endurance::Endurance,
    engine::Done,
    membership::{Membership, TICK},
    outbox::Outbox,
    pending::Pending,
    queue::Queue,
    reception::Reception,
    refusal,
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
    telemetry::Vitals,
    wire::{Code, State, WireError, subjects},
};

/// Requests taken in one go before they are computed and finished batches get their turn: the
/// runtime's own budget for one turn of a task, past which the connection is to be served.
const BURST: usize = 128;
/// So many failed batches in a row mean a broken device.
const MAX_FAILURES: u64 = 8;
const BROKEN: &str = "the device is broken; the log says how";
/// How long a worker with a broken device goes on refusing what is under way to it.
const LAST_WORDS: Duration = Duration::from_secs(10);

pub struct Service {
    served: Arc<Served>,
    queue: Arc<Queue>,
    reception: Reception,
    /// For the next request that expires.
    alarm: Alarm,
    standstill: Standstill,
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
        let served = Arc::new(served);
        let device = (policy, canary);
        let (reception, done) =
            Reception::open(served.clone(), device, default_budget, vitals.clone()).await?;
        let (queue, looked_at) = (reception.queue.clone(), reception.queue.clone());
        vitals.watch_queue(move || looked_at.look());
        let data = connect(&nats, nats::REQUESTS, &vitals).await?;
        let control = connect(&nats, nats::CONTROL, &vitals).await?;
        let model = served.spec.model.clone();
        let subject = subjects::infer(&nats.prefix, &model);
        let membership = Membership::new(data.client.clone(), subject, model);
        Ok(Self {
            reception,
            alarm: Alarm::new(),
            standstill: Standstill::new(queue.now()),
            saturation: Saturation::new(queue.limits.queue_rows),
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
            let now = self.queue.now();
            if self.standstill.turn(now) {
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
                () = self.alarm.ring(self.queue.next_expiry(), now) => self.expire().await,
                _ = self.old_ones.wait() => self.catch_up().await,
                confirmed = self.confirmation.wait() => self.on_confirmed(confirmed),
                done = self.done.recv(), if self.outbox.connected => {
                    if !self.reply(done).await {
                        return self.device_died(tick).await;
                    }
                }
                message = self.membership.next() => if let Some(message) = message {
                    self.take_burst(message).await;
                    if !self.compute_brief().await {
                        return self.device_died(tick).await;
                    }
                },
            }
        }
        self.finish().await
    }

    /// What has waited for as long as this process stood still is here now: takes it.
    async fn catch_up(&mut self) {
        let messages = self.membership.take_all();
        self.take(messages).await;
        self.standstill.end();
        self.queue.wake();
    }

    /// Takes what has arrived: what came together is computed together.
    async fn take_burst(&mut self, first: Message) {
        let began = self.queue.now();
        let arrived = self.standstill.arrival(began);
        let (mut messages, mut bytes) = (0, 0);
        let mut message = Some(first);
        while let Some(received) = message {
            messages += 1;
            bytes += received.payload.len();
            self.reception.check(received, arrived);
            message = if messages < BURST { self.membership.try_next() } else { None };
        }
        self.vitals.tally().received(messages as u64, bytes);
        let refused = self.reception.queue_checked();
        self.refuse(refused).await;
        let spent = self.queue.now().saturating_sub(began);
        self.vitals.tally().decode.record(spent.as_secs_f64());
    }

    /// Takes these.
    async fn take(&mut self, messages: impl IntoIterator<Item = Message>) {
        let arrived = self.standstill.arrival(self.queue.now());
        for message in messages {
            self.vitals.tally().received(1, message.payload.len());
            self.reception.check(message, arrived);
        }
        let refused = self.reception.queue_checked();
        self.refuse(refused).await;
    }

    /// Answers those whose deadline has passed while they waited.
    async fn expire(&mut self) {
        for pending in self.queue.take_expired() {
            self.refuse_open(&pending, &refusal::expired(&pending)).await;
        }
    }

    async fn refuse_open(&mut self, pending: &Pending, error: &WireError) {
        let answer = self.reception.responder.refuse(pending, error);
        self.refuse(answer).await;
    }

    async fn refuse_all(&mut self, error: &WireError) {
        let answers = self.reception.responder.refuse_all(error);
        self.refuse(answers).await;
    }

    /// Sends answers that no batch has computed.
    async fn refuse(&mut self, answers: impl IntoIterator<Item = Answer>) {
        for request in self.outbox.send(answers).await {
            self.vitals.traces.record_refused(self.epoch(), &request);
        }
    }

    /// When the worker's clock was at zero, by the wall clock of now: that may be set.
    fn epoch(&self) -> SystemTime {
        SystemTime::now() - self.queue.now()
    }

    /// Computes what is due and brief here and now; the device thread hears of the rest. Whether the
    /// device can go on.
    async fn compute_brief(&mut self) -> bool {
        while self.outbox.connected
            && let Some(done) = self.reception.compute_brief()
        {
            if !self.reply(Some(done)).await {
                return false;
            }
        }
        self.queue.wake();
        true
    }

    /// Sends the answers of a batch; whether the device can go on. After a panic it has ended, and
    /// there is no further batch.
    async fn reply(&mut self, done: Option<Done>) -> bool {
        let Some(done) = done else { return false };
        let panicked = done.panicked;
        if let Err(problem) = &done.output {
            tracing::error!(rows = done.batch.rows, problem, "a batch failed");
        }
        self.count(&done);
        let mut trace = done.trace();
        let began = self.queue.now();
        let answers = self.reception.answer(done, self.data.client.max_payload());
        let encoded = self.queue.now();
        trace.requests = self.outbox.send(answers).await;
        let published = self.queue.now();
        if !trace.requests.is_empty() {
            (trace.finished, trace.epoch) = (published, self.epoch());
            self.vitals.traces.record(&trace);
        }
        let mut tally = self.vitals.tally();
        tally.encode.record((encoded - began).as_secs_f64());
        tally.publish.record((published - encoded).as_secs_f64());
        !panicked && tally.failing < MAX_FAILURES
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
        self.drain_by.is_some() && left && self.reception.responder.open() == 0
    }

    /// The time to drain is over: whoever still waits is told so.
    async fn give_up(&mut self) {
        self.spec = None;
        self.membership.leave_now().await;
        self.queue.abandon();
        let error =
            WireError::new(Code::Draining, "this worker shuts down and could not finish it");
        if self.reception.responder.open() > 0 {
            tracing::warn!(
                requests = self.reception.responder.open(),
                "worker.drain_timeout_s is over"
            );
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
                    message = self.membership.next() => self.take(message).await,
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
            weights = spec.weights, device = spec.device, open = self.reception.responder.open(), "worker"
        );
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
