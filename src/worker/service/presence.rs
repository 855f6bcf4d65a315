//! A worker's place in the queue groups: joining, leaving, losing the broker and finding it again.

use std::time::Instant;

use super::Service;
use crate::{
    failure::Failure,
    nats::Link,
    wire::{Code, State, WireError},
    worker::spec_service::SpecService,
};

impl Service {
    pub(super) async fn on_link(&mut self, link: Link) -> Result<(), Failure> {
        match link {
            Link::Refused(why) => return Err(self.refused(&why).await),
            // Logged where it was heard.
            Link::Denied(_) => {}
            Link::Up if self.outbox.connected => {}
            Link::Up => {
                tracing::info!("the broker is back");
                self.outbox.connected = true;
                if self.drain_by.is_none() {
                    self.join().await;
                }
            }
            Link::Down => {
                self.outbox.connected = false;
                for message in self.membership.disconnected() {
                    self.take(message).await;
                }
                self.vitals.set_subscribed(false);
                self.queue.wake();
                if self.drain_by.is_none() {
                    self.leave(State::Starting).await;
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

    /// Joins the queue groups; ready once the broker has confirmed it.
    pub(super) async fn join(&mut self) {
        if let Err(error) = self.membership.join().await {
            return tracing::warn!(error, "joining the queue group");
        }
        self.confirmation.begin(self.data.client.clone());
        let (served, vitals) = (self.served.clone(), self.vitals.clone());
        let spec = SpecService::start(self.control.clone(), &self.prefix, served, vitals);
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
    pub(super) async fn leave(&mut self, state: State) {
        self.enter(state);
        if let Some(spec) = &mut self.spec {
            spec.leave();
        }
        self.membership.leave().await;
    }

    pub(super) async fn tick(&mut self) {
        self.membership.tick().await;
        if !self.membership.is_member() {
            self.vitals.set_subscribed(false);
        }
        if self.drain_by.is_some_and(|by| Instant::now() >= by) {
            self.give_up().await;
        }
        if self.drain_by.is_some() || !self.outbox.connected {
            return;
        }
        let refused = self.outbox.refused();
        let saturated = self.saturation.look(self.queue.rows(), refused);
        match (saturated, self.membership.is_member(), self.membership.is_leaving()) {
            (true, true, false) => self.leave(State::Saturated).await,
            (false, false, _) => self.join().await,
            _ => {}
        }
    }
}
