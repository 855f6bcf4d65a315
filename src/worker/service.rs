//! One worker's life on the network: start, serve, drain.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::Client;
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    answer::Answer,
    engine::{self, Done},
    intake::{Intake, Taken},
    lifecycle::State,
    membership::{Membership, TICK},
    queue::Queue,
    responder::Responder,
    saturation::Saturation,
    served::Served,
    spec_service,
};
use crate::{
    batch::Limits,
    failure::Failure,
    nats::{self, Connection, Link},
    policy::Policy,
    settings,
    wire::{Code, WireError, subjects},
};

/// Requests taken in one go before the device hears of them and finished batches get their turn.
const BURST: usize = 256;
/// How long the broker may take to confirm, at the end, that it has all replies.
const FENCE: Duration = Duration::from_secs(5);

/// What a worker is made of.
pub struct Setup {
    pub served: Served,
    pub policy: Box<dyn Policy>,
    pub limits: Limits,
    pub nats: settings::Nats,
    pub drain_timeout: Duration,
    /// Told of every change.
    pub state: watch::Sender<State>,
}

/// What a worker has done. Every request that it took is in `answered` once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stopped {
    pub received: u64,
    /// Replies by outcome: `ok`, or the error's code.
    pub answered: BTreeMap<&'static str, u64>,
    /// Requests without a reply subject that could be used.
    pub ignored: u64,
}

/// Serves until `stop` becomes true, then drains.
///
/// # Errors
/// It could not start, or the device died. What was taken is answered all the same.
pub async fn run(setup: Setup, mut stop: watch::Receiver<bool>) -> Result<Stopped, Failure> {
    let drain = stop.clone();
    tokio::select! {
        service = Service::start(setup) => service?.serve(drain).await,
        _ = stop.wait_for(|stop| *stop) => Ok(Stopped::default()),
    }
}

struct Service {
    served: Arc<Served>,
    queue: Arc<Queue>,
    intake: Intake,
    responder: Responder,
    membership: Membership,
    saturation: Saturation,
    data: Connection,
    /// Its own connection: what comes in on `data` is counted.
    control: Client,
    /// Answers on the spec subject while we are a member.
    spec: Option<tokio::task::JoinHandle<()>>,
    prefix: String,
    done: mpsc::Receiver<Done>,
    connected: bool,
    /// Answers handed to a connection that is down.
    undelivered: u64,
    drain_timeout: Duration,
    drain_by: Option<Instant>,
    state: watch::Sender<State>,
    stopped: Stopped,
}

impl Service {
    /// Warms the device up, connects and joins the queue group.
    async fn start(setup: Setup) -> Result<Self, Failure> {
        let Setup { served, policy, limits, nats, drain_timeout, state } = setup;
        let served = Arc::new(served);
        let queue = Arc::new(Queue::new(limits));
        let done = warm_engine(policy, queue.clone(), limits.batch_rows).await?;
        let worker = &served.spec.worker;
        let data = nats::connect(&nats, &format!("{worker} requests")).await?;
        let control = nats::connect(&nats, &format!("{worker} control")).await?;
        let model = served.spec.model.clone();
        let subject = subjects::infer(&nats.prefix, &model);
        let membership = Membership::new(data.client.clone(), subject, model);
        let mut service = Self {
            intake: Intake::new(served.clone(), queue.clone()),
            responder: Responder::new(served.clone()),
            saturation: Saturation::new(limits.queue_rows),
            control: control.client,
            spec: None,
            prefix: nats.prefix,
            connected: true,
            undelivered: 0,
            drain_by: None,
            stopped: Stopped::default(),
            served,
            queue,
            membership,
            data,
            done,
            drain_timeout,
            state,
        };
        service.join().await;
        Ok(service)
    }

    async fn serve(mut self, mut stop: watch::Receiver<bool>) -> Result<Stopped, Failure> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_drained() {
            tokio::select! {
                biased;
                Some(link) = self.data.events.recv() => self.on_link(link).await,
                done = self.done.recv(), if self.connected => match done {
                    Some(done) => self.reply(done).await,
                    None => return self.device_died().await,
                },
                message = self.membership.next() => if let Some(message) = message {
                    self.take_burst(message).await;
                },
                _ = stop.wait_for(|stop| *stop), if self.drain_by.is_none() => self.drain().await,
                _ = tick.tick() => self.tick().await,
            }
        }
        self.finish().await
    }

    /// Takes what has arrived, then tells the device: it computes what came together together.
    async fn take_burst(&mut self, first: async_nats::Message) {
        let mut message = Some(first);
        let mut taken = 0;
        while let Some(received) = message {
            self.take(received).await;
            taken += 1;
            message = if taken < BURST { self.membership.try_next() } else { None };
        }
        self.queue.wake();
    }

    async fn take(&mut self, message: async_nats::Message) {
        self.stopped.received += 1;
        match self.intake.take(message) {
            Taken::Queued(pending) => self.responder.expect(pending),
            Taken::Refused(answer) => self.publish(answer).await,
            Taken::Ignored => self.stopped.ignored += 1,
        }
    }

    async fn reply(&mut self, done: Done) {
        if let Err(problem) = &done.output {
            tracing::error!(rows = done.batch.rows, problem, "a batch failed");
        }
        for answer in self.responder.answer(done) {
            self.publish(answer).await;
        }
    }

    async fn publish(&mut self, answer: Answer) {
        let client = &self.data.client;
        let Answer { to, headers, payload, error } = answer.within(client.max_payload());
        let outcome = error.map_or("ok", Code::name);
        if let Some(request_id) = &to.request_id {
            tracing::debug!(request_id = request_id.as_str(), outcome, "answered");
        }
        let sent = match headers {
            None => client.publish(to.inbox, payload).await,
            Some(headers) => client.publish_with_headers(to.inbox, headers, payload).await,
        };
        self.undelivered = if self.connected { 0 } else { self.undelivered + 1 };
        *self.stopped.answered.entry(outcome).or_default() += 1;
        if let Err(error) = sent {
            tracing::warn!(%error, outcome, "a reply could not be published");
        }
    }

    async fn on_link(&mut self, link: Link) {
        match link {
            Link::Up if self.connected => {}
            Link::Up => {
                tracing::info!("the broker is back");
                self.connected = true;
                if self.drain_by.is_none() {
                    self.join().await;
                }
            }
            Link::Down => {
                self.connected = false;
                for message in self.membership.disconnected() {
                    self.take(message).await;
                }
                self.queue.wake();
                if self.drain_by.is_none() {
                    self.leave(State::Starting).await;
                }
            }
        }
    }

    async fn join(&mut self) {
        if let Err(error) = self.membership.join().await {
            tracing::warn!(error, "joining the queue group");
        }
        if !self.membership.is_member() {
            return;
        }
        let spec = spec_service::start(self.control.clone(), &self.prefix, self.served.clone());
        match spec.await {
            Ok(task) => self.spec = Some(task),
            Err(error) => tracing::warn!(error, "joining the spec subject's queue group"),
        }
        self.enter(State::Ready);
    }

    /// No longer ready: who asks for a worker shall find another one.
    async fn leave(&mut self, state: State) {
        self.enter(state);
        if let Some(spec) = self.spec.take() {
            spec.abort();
        }
        self.membership.leave().await;
    }

    async fn tick(&mut self) {
        self.membership.tick().await;
        if self.drain_by.is_some_and(|by| Instant::now() >= by) {
            self.give_up().await;
        }
        if self.drain_by.is_some() || !self.connected {
            return;
        }
        let saturated = self.saturation.look(self.queue.rows());
        match (saturated, self.membership.is_member()) {
            (true, true) if !self.membership.is_leaving() => {
                self.leave(State::Saturated).await;
            }
            (false, false) => self.join().await,
            _ => {}
        }
    }

    async fn drain(&mut self) {
        self.drain_by = Some(Instant::now() + self.drain_timeout);
        self.queue.drain();
        self.leave(State::Draining).await;
    }

    fn is_drained(&self) -> bool {
        self.drain_by.is_some() && !self.membership.is_member() && self.responder.open() == 0
    }

    /// The time to drain is over: whoever still waits is told so.
    async fn give_up(&mut self) {
        self.membership.leave_now().await;
        self.queue.abandon();
        let error =
            WireError::new(Code::Draining, "this worker shuts down and could not finish it");
        if self.responder.open() > 0 {
            tracing::warn!(requests = self.responder.open(), "worker.drain_timeout_s is over");
        }
        for answer in self.responder.refuse_all(&error) {
            self.publish(answer).await;
        }
    }

    /// Nothing is open any more: see that the broker has all replies, then end.
    async fn finish(mut self) -> Result<Stopped, Failure> {
        self.queue.close();
        self.done.close();
        if self.connected
            && let Err(error) = nats::round_trip(&self.data.client, FENCE).await
        {
            return Err(Failure::Unreachable(format!("the last replies may be lost: {error}")));
        }
        if self.undelivered > 0 {
            let lost = format!("the broker was gone before {} last replies", self.undelivered);
            return Err(Failure::Unreachable(lost));
        }
        self.enter(State::Stopped);
        Ok(self.stopped)
    }

    /// What was queued can't be computed any more.
    async fn device_died(mut self) -> Result<Stopped, Failure> {
        self.leave(State::Draining).await;
        self.membership.leave_now().await;
        let error = WireError::new(Code::Internal, "this worker's device failed");
        while let Some(message) = self.membership.try_next() {
            self.take(message).await;
        }
        for answer in self.responder.refuse_all(&error) {
            self.publish(answer).await;
        }
        let _ = nats::round_trip(&self.data.client, FENCE).await;
        Err(Failure::Defect("the policy panicked; the log has its message".into()))
    }

    fn enter(&mut self, state: State) {
        if self.state.send_replace(state) == state {
            return;
        }
        let Served { spec, .. } = &*self.served;
        tracing::info!(
            %state, worker = spec.worker, model = spec.model, version = spec.model_version,
            weights = spec.weights, device = spec.device, open = self.responder.open(), "worker"
        );
    }
}

/// Starts the device thread and waits until every batch size has run once.
async fn warm_engine(
    policy: Box<dyn Policy>,
    queue: Arc<Queue>,
    batch_rows: usize,
) -> Result<mpsc::Receiver<Done>, Failure> {
    let started = Instant::now();
    let defect = |error: String| Failure::Defect(format!("the device can't start: {error}"));
    let warmed = engine::start(policy, queue, batch_rows).map_err(|e| defect(e.to_string()))?;
    let engine::Started { done, warm } = warmed;
    match warm.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(defect(error)),
        Err(_) => return Err(defect("the policy panicked".into())),
    }
    tracing::debug!(elapsed_ms = started.elapsed().as_millis() as u64, "device warm");
    Ok(done)
}
