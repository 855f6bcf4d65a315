//! A worker's place in the queue groups: joining, leaving, losing the broker and finding it again.

use std::time::Instant;

use super::Service;
use crate::{
    failure::Failure,
    nats::Link,
    wire::{Code, State, WireError},
    worker::{endurance::Verdict, saturation::Load, spec_service::SpecService},
};

impl Service {
    pub(super) async fn on_link(&mut self, link: Link) -> Result<(), Failure> {
        match link {
            Link::Refused(why) => return Err(self.refused(&why).await),
            // Logged where it was heard.
            Link::Denied(_) => {}
            Link::LameDuck => self.move_out(),
            Link::Up if self.outbox.connected => {}
            Link::Up => {
                tracing::info!("the broker is back");
                (self.outbox.connected, self.moving) = (true, false);
                if self.drain_by.is_none() {
                    self.come_back().await;
                }
            }
            Link::Down => {
                (self.outbox.connected, self.moving) = (false, false);
                let messages = self.membership.disconnected();
                self.take(messages).await;
                // Whatever else was under way to us is lost.
                self.standstill.end();
                self.old_ones.forget();
                self.vitals.set_subscribed(false);
                self.queue.wake();
                if self.drain_by.is_none() {
                    self.leave(State::Starting);
                }
            }
        }
        Ok(())
    }

    /// We may not join again. Before a reconnection we may have, so there can be open requests.
    async fn refused(&mut self, why: &str) -> Failure {
        let error = WireError::new(Code::Internal, "this worker lost its place at the broker");
        self.refuse_all(&error).await;
        if let Err(unproven) = self.outbox.prove().await {
            tracing::warn!(%unproven, "ending");
        }
        Failure::Configuration(format!("the broker refuses us: {why}"))
    }

    /// The broker is back, which is no reason to join for a worker that had left by itself: a tick
    /// will find when that has ended.
    async fn come_back(&mut self) {
        if self.saturation.is_away() {
            self.enter(State::Saturated);
        } else if self.endurance.is_well() {
            self.join().await;
        }
    }

    /// Joins the queue groups; ready once the broker has confirmed it.
    pub(super) async fn join(&mut self) {
        if let Err(error) = self.membership.join().await {
            return tracing::warn!(error, "joining the queue group");
        }
        self.membership.expect_other();
        self.confirmation.begin(self.data.client.clone());
        let (served, vitals) = (self.served.clone(), self.vitals.clone());
        let spec = SpecService::start(self.control.client.clone(), &self.prefix, served, vitals);
        match spec.await {
            Ok(spec) => self.spec = Some(spec),
            Err(error) => tracing::warn!(error, "joining the spec subject's queue group"),
        }
    }

    pub(super) fn on_confirmed(&mut self, confirmed: Result<(), String>) {
        if let Err(error) = confirmed {
            tracing::warn!(error, "no confirmation that we are in the queue group");
        }
        if self.membership.is_member() && !self.membership.is_leaving() {
            self.vitals.set_subscribed(true);
            self.enter(State::Ready);
        }
    }

    /// No longer ready: who asks for a worker shall find another one.
    pub(super) fn leave(&mut self, state: State) {
        self.enter(state);
        self.step_out();
    }

    /// The same in the state as it is.
    fn step_out(&mut self) {
        if let Some(spec) = &mut self.spec {
            spec.leave();
        }
        self.membership.leave();
    }

    /// Whether the worker can go on.
    pub(super) async fn tick(&mut self) -> bool {
        self.membership.tick().await;
        if !self.membership.is_member() {
            self.vitals.set_subscribed(false);
        }
        self.count_lost();
        let device = self.vitals.stuck_device();
        let device = self.endurance.look(device.is_some(), self.vitals.patience());
        if self.drain_by.is_some_and(|by| Instant::now() >= by) {
            self.give_up().await;
        }
        if self.drain_by.is_none() && self.outbox.connected {
            self.come_or_go(device == Verdict::Well).await;
        }
        device != Verdict::GiveUp
    }

    async fn come_or_go(&mut self, device_is_well: bool) {
        if self.moving {
            return self.move_on().await;
        }
        let (rows, refused) = (self.queue.rows(), self.outbox.refused());
        let saturated =
            self.saturation.look(Load { rows, refused, unread: self.membership.unread() });
        match (self.membership.is_member(), self.membership.is_leaving()) {
            (true, false) if saturated => self.leave(State::Saturated),
            (true, false) if !device_is_well => self.step_out(),
            (false, _) if !saturated && device_is_well => self.join().await,
            _ => {}
        }
    }

    /// The client library drops what does not fit its line, and in leaving what comes after the last
    /// request that it was told to wait for.
    fn count_lost(&mut self) {
        if let Some(lost) = self.membership.lost()
            && self.vitals.lost(lost)
        {
            tracing::error!(requests = lost, "the client library lost requests: too many at once");
        }
    }

    /// The broker is about to shut down: a server that still takes us may be another one.
    fn move_out(&mut self) {
        if self.drain_by.is_none() && !self.moving {
            self.moving = true;
            self.leave(State::Starting);
        }
    }

    /// Once nothing is open any more: looks for another server.
    async fn move_on(&mut self) {
        let has_left = self.spec.as_ref().is_none_or(SpecService::has_left);
        if self.membership.is_member() || !has_left || self.reception.responder.open() > 0 {
            return;
        }
        self.moving = false;
        self.membership.expect_other();
        if let Err(unproven) = self.outbox.prove().await {
            tracing::warn!(%unproven, "before looking for another server");
        }
        for client in [&self.data.client, &self.control.client] {
            if let Err(error) = client.force_reconnect().await {
                tracing::warn!(%error, "looking for another server");
            }
        }
    }
}
