//! Membership of the queue group: joining it, and leaving it without losing a request.
//!
//! The server hands requests to a member until it has processed the member's UNSUB; the client
//! library forgets a subscription as soon as it has sent one, and drops what is still under way.
//! So leaving asks the server to end the subscription after a number of messages that lies beyond
//! those under way, and serves until they have come.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Duration};

use super::window::Window;
use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};

/// How often [`Membership::tick`] is called.
pub const TICK: Duration = Duration::from_millis(100);
/// The requests of this many ticks are taken for what may be under way: a second's worth covers
/// any burst of simulators that tick at 1 Hz or faster, and any round trip.
const WINDOW: usize = 10;
/// At the least this many requests may be under way: simulators that were silent so far may all
/// begin at the moment at which we leave.
const FIRST_MARGIN: u64 = 8192;
/// The same once the leaving is under way, and whoever was to come has come.
const LATER_MARGIN: u64 = 16;
/// Ticks without a request, and a round trip in which none came, after which nothing is taken to be
/// under way.
const QUIET: u32 = 10;
/// Each time that so many ticks have passed the last second counts, and no longer the busiest one.
const RETELL: u32 = 30;

pub struct Membership {
    client: Client,
    subject: String,
    group: String,
    subscriber: Option<Subscriber>,
    leaving: Leaving,
    /// After how many messages the server is to end the subscription.
    last: u64,
    /// Ticks since joining.
    age: usize,
    /// The most that came within [`WINDOW`] ticks since joining.
    peak: u64,
    /// The connection's message count when the subscription began. Nothing else comes in on this
    /// connection, so the difference is what the server has delivered to us.
    base: u64,
    /// Messages that we took, and those that came for others, since the connection began.
    all_taken: u64,
    others: u64,
    /// Of what was delivered, what nobody will ever take.
    lost: u64,
    /// How many requests come within a round trip: those that the server had sent when it heard of
    /// something.
    window: Window,
    /// A request that was looked at, and is to be taken next.
    ahead: Option<Message>,
    /// Messages taken in each of the last ticks.
    recent: VecDeque<u64>,
    taken: u64,
    quiet: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// As soon as [`WINDOW`] ticks, and a round trip, have shown how many requests come.
    Wanted,
    /// So many ticks ago the server was told after how many messages to end the subscription.
    Told(u32),
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
            last: u64::MAX,
            age: 0,
            peak: 0,
            base: 0,
            all_taken: 0,
            others: 0,
            lost: 0,
            window: Window::default(),
            ahead: None,
            recent,
            taken: 0,
            quiet: 0,
        }
    }

    pub fn is_member(&self) -> bool {
        self.subscriber.is_some() || self.ahead.is_some()
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving != Leaving::No
    }

    /// Joins. The server knows of it when a round trip on the same connection has ended.
    ///
    /// # Errors
    /// The connection is gone, or the server refuses.
    pub async fn join(&mut self) -> Result<(), String> {
        self.base = self.client.statistics().in_messages.load(Ordering::Relaxed);
        let subscribed = self.client.queue_subscribe(self.subject.clone(), self.group.clone());
        self.subscriber = Some(subscribed.await.map_err(|error| error.to_string())?);
        (self.leaving, self.last) = (Leaving::No, u64::MAX);
        (self.age, self.quiet, self.peak) = (0, 0, 0);
        Ok(())
    }

    /// The next request; pending while not a member. `None`: the membership has ended.
    pub async fn next(&mut self) -> Option<Message> {
        if let Some(message) = self.ahead.take() {
            return Some(message);
        }
        let Some(subscriber) = &mut self.subscriber else { return std::future::pending().await };
        let message = subscriber.next().await;
        self.count(message.is_some());
        message
    }

    /// A request that is already here, within the runtime's budget for one turn of a task: the
    /// connection's own task needs its turns, too.
    pub fn try_next(&mut self) -> Option<Message> {
        if let Some(message) = self.ahead.take() {
            return Some(message);
        }
        let message = self.subscriber.as_mut()?.next().now_or_never()?;
        self.count(message.is_some());
        message
    }

    /// The same without a budget, which would make it say too early that there are none.
    fn try_next_unmetered(&mut self) -> Option<Message> {
        if let Some(message) = self.ahead.take() {
            return Some(message);
        }
        let next = tokio::task::unconstrained(self.subscriber.as_mut()?.next());
        let message = next.now_or_never()?;
        self.count(message.is_some());
        message
    }

    /// A message that is no request comes in on the connection.
    pub fn expect_other(&mut self) {
        self.others += 1;
    }

    /// Requests that the client library has been handed and we have not: they wait in its line.
    pub fn unread(&self) -> u64 {
        let delivered = self.client.statistics().in_messages.load(Ordering::Relaxed);
        delivered.saturating_sub(self.all_taken + self.others + self.lost)
    }

    /// Requests that were delivered and that nobody will ever take, since the connection began; `None`
    /// while some wait in line, so that nobody can tell.
    pub fn lost(&mut self) -> Option<u64> {
        if self.ahead.is_none() {
            self.ahead = self.try_next_unmetered();
        }
        if self.ahead.is_some() {
            return None;
        }
        self.lost += self.unread();
        Some(self.lost)
    }

    /// Begins to leave. Requests go on coming until [`Membership::next`] gives `None`.
    pub fn leave(&mut self) {
        if self.is_member() && !self.is_leaving() {
            self.leaving = Leaving::Wanted;
            self.open_window();
        }
    }

    fn open_window(&mut self) {
        self.window.open(self.client.clone(), self.delivered());
        self.expect_other();
    }

    /// What came within a round trip, once one has ended; the first look begins one.
    async fn look_through_window(&mut self) -> Option<u64> {
        if self.window.is_closed() {
            self.open_window();
        }
        self.window.look(self.delivered()).await
    }

    fn delivered(&self) -> u64 {
        self.client.statistics().in_messages.load(Ordering::Relaxed) - self.base
    }

    async fn leave_when_due(&mut self) {
        if self.age >= WINDOW
            && let Some(window) = self.look_through_window().await
        {
            // Simulators that have paused may all come back at once.
            let most = self.peak.max(self.recent()).max(FIRST_MARGIN);
            self.tell(most.max(2 * window)).await;
            // Silence from before tells nothing of what is under way now.
            self.quiet = 0;
        }
    }

    /// Those of the peak did not come back, so waits no longer for as many.
    async fn leave_sooner(&mut self, ticks: u32) {
        match self.look_through_window().await {
            Some(window) => self.tell(self.recent().max(2 * window).max(LATER_MARGIN)).await,
            None => self.leaving = Leaving::Told(ticks),
        }
    }

    /// Asks the server to end the subscription after so many further messages.
    async fn tell(&mut self, margin: u64) {
        let delivered = self.delivered();
        let Some(subscriber) = &mut self.subscriber else { return };
        (self.leaving, self.window) = (Leaving::Told(0), Window::default());
        // Never later than it was told before, or a trickle of requests would put it off for ever.
        if delivered + margin >= self.last {
            return;
        }
        tracing::debug!(delivered, margin, "leaving the queue group");
        self.last = delivered + margin;
        if let Err(error) = subscriber.unsubscribe_after(self.last).await {
            tracing::warn!(%error, "leaving the queue group");
        }
    }

    /// What arrived within the last [`WINDOW`] ticks.
    fn recent(&self) -> u64 {
        self.recent.iter().sum::<u64>() + self.taken
    }

    /// Leaves while nothing is under way, as a round trip shows. The library's own drain takes what
    /// comes until the next sign from the server: good for a straggler, not for a crowd.
    async fn leave_quietly(&mut self) {
        match self.look_through_window().await {
            Some(0) => {}
            Some(_) => return (self.quiet, self.window) = (0, Window::default()),
            None => return,
        }
        let Some(subscriber) = &mut self.subscriber else { return };
        if let Err(error) = subscriber.drain().await {
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
        self.peak = self.peak.max(self.recent());
        match self.leaving {
            Leaving::No => {}
            Leaving::Wanted => self.leave_when_due().await,
            Leaving::Told(_) if self.quiet >= QUIET => self.leave_quietly().await,
            Leaving::Told(ticks) if ticks >= RETELL => self.leave_sooner(ticks).await,
            Leaving::Told(ticks) => self.leaving = Leaving::Told(ticks + 1),
        }
    }

    /// The connection is gone, and with it the server's side of the membership. Returns what had
    /// come before. The library would renew a subscription that is still held, with message
    /// counts of its own that no longer are the server's.
    pub fn disconnected(&mut self) -> Vec<Message> {
        let received = self.take_all();
        self.end();
        received
    }

    /// All requests that are already here.
    pub fn take_all(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.try_next_unmetered()).collect()
    }

    fn count(&mut self, received: bool) {
        match received {
            true => {
                self.taken += 1;
                self.all_taken += 1;
            }
            false => self.end(),
        }
    }

    fn end(&mut self) {
        self.subscriber = None;
        (self.leaving, self.window) = (Leaving::No, Window::default());
    }
}
