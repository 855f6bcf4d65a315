//! Membership of the queue group: joining it, and leaving it without losing a request.
//!
//! The server hands requests to a member until it has processed the member's UNSUB; the client
//! library forgets a subscription as soon as it has sent one, and drops what is still under way.
//! So leaving asks the server to end the subscription after a number of messages that lies beyond
//! those under way, and serves until they have come.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};

use crate::nats;

/// How often [`Membership::tick`] is called.
pub const TICK: Duration = Duration::from_millis(100);
/// The requests of this many ticks are taken for what may be under way: a second's worth covers
/// any burst of simulators that tick at 1 Hz or faster, and any round trip.
const WINDOW: usize = 10;
/// At the least this many requests may be under way.
const MIN_MARGIN: u64 = 16;
/// Ticks without a request after which nothing is taken to be under way.
const QUIET: u32 = 10;
/// How long the server may take to confirm a subscription.
const CONFIRM: Duration = Duration::from_secs(5);

pub struct Membership {
    client: Client,
    subject: String,
    group: String,
    subscriber: Option<Subscriber>,
    leaving: Leaving,
    /// Ticks since joining.
    age: usize,
    /// The connection's message count when the subscription began. Nothing else comes in on this
    /// connection, so the difference is what the server has delivered to us.
    base: u64,
    /// Messages taken in each of the last ticks.
    recent: VecDeque<u64>,
    taken: u64,
    quiet: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// As soon as [`WINDOW`] ticks have shown how many requests come.
    Wanted,
    /// The server has been told after how many messages to end the subscription.
    Told,
}

impl Membership {
    pub fn new(client: Client, subject: String, group: String) -> Self {
        let recent = VecDeque::from([0; WINDOW]);
        Self {
            client,
            subject,
            group,
            subscriber: None,
            leaving: Leaving::No,
            age: 0,
            base: 0,
            recent,
            taken: 0,
            quiet: 0,
        }
    }

    pub fn is_member(&self) -> bool {
        self.subscriber.is_some()
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Joins, and returns when the server knows of it.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses.
    pub async fn join(&mut self) -> Result<(), String> {
        self.base = self.client.statistics().in_messages.load(Ordering::Relaxed);
        let subscribed = self.client.queue_subscribe(self.subject.clone(), self.group.clone());
        self.subscriber = Some(subscribed.await.map_err(|error| error.to_string())?);
        (self.leaving, self.age, self.quiet) = (Leaving::No, 0, 0);
        nats::round_trip(&self.client, CONFIRM).await
    }

    /// The next request; pending while not a member. `None`: the membership has ended.
    pub async fn next(&mut self) -> Option<Message> {
        let Some(subscriber) = &mut self.subscriber else { return std::future::pending().await };
        let message = subscriber.next().await;
        self.count(message.is_some());
        message
    }

    /// A request that is already here.
    pub fn try_next(&mut self) -> Option<Message> {
        let message = self.subscriber.as_mut()?.next().now_or_never()?;
        self.count(message.is_some());
        message
    }

    /// Begins to leave. Requests go on coming until [`Membership::next`] gives `None`.
    pub async fn leave(&mut self) {
        if self.is_member() && !self.is_leaving() {
            self.leaving = Leaving::Wanted;
            self.leave_when_due().await;
        }
    }

    async fn leave_when_due(&mut self) {
        let Some(subscriber) = &mut self.subscriber else { return };
        if self.leaving != Leaving::Wanted || self.age < WINDOW {
            return;
        }
        let delivered = self.client.statistics().in_messages.load(Ordering::Relaxed) - self.base;
        let margin = (self.recent.iter().sum::<u64>() + self.taken).max(MIN_MARGIN);
        tracing::debug!(delivered, margin, "leaving the queue group");
        self.leaving = Leaving::Told;
        if let Err(error) = subscriber.unsubscribe_after(delivered + margin).await {
            tracing::warn!(%error, "leaving the queue group");
        }
    }

    /// Leaves at once. Only where no request can be under way, or there is no time left.
    pub async fn leave_now(&mut self) {
        let Some(subscriber) = &mut self.subscriber else { return };
        if let Err(error) = subscriber.unsubscribe().await {
            tracing::warn!(%error, "leaving the queue group");
        }
    }

    /// To be called every [`TICK`]. Leaving ends here if requests have ceased to come.
    pub async fn tick(&mut self) {
        self.quiet = if self.taken == 0 { self.quiet + 1 } else { 0 };
        self.recent.pop_front();
        self.recent.push_back(std::mem::take(&mut self.taken));
        self.age += 1;
        self.leave_when_due().await;
        if self.leaving == Leaving::Told && self.quiet >= QUIET {
            self.leave_now().await;
        }
    }

    /// The connection is gone, and with it the server's side of the membership. Returns what had
    /// come before. The library would renew a subscription that is still held, with message
    /// counts of its own that no longer are the server's.
    pub fn disconnected(&mut self) -> Vec<Message> {
        let received = std::iter::from_fn(|| self.try_next()).collect();
        self.end();
        received
    }

    fn count(&mut self, received: bool) {
        match received {
            true => self.taken += 1,
            false => self.end(),
        }
    }

    fn end(&mut self) {
        self.subscriber = None;
        self.leaving = Leaving::No;
    }
}
