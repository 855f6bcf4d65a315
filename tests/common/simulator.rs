//! One connection's requests and answers.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_nats::{Client, Message, Subscriber, connection::State};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{
    echo,
    load::{Pace, Plan, Progress},
    message,
    oracle::{Oracle, Verdict},
};

/// Requests or answers in one go, before the others get their turn.
const BURST: usize = 256;
/// After so long, a request that is not answered no longer holds another one up.
const PATIENCE: Duration = Duration::from_secs(1);
/// After so much silence at the end, nothing more is to come.
const SILENCE: Duration = Duration::from_secs(3);

pub struct Simulator {
    client: Client,
    inbox: String,
    replies: Subscriber,
    plan: Plan,
    oracle: Oracle,
    progress: Arc<Progress>,
    /// Requests that may be sent by now, and until when that was counted.
    allowance: f64,
    counted: Duration,
}

impl Simulator {
    /// # Errors
    /// There is no broker at `url`.
    pub async fn connect(
        url: &str,
        plan: Plan,
        connection: u32,
        progress: Arc<Progress>,
    ) -> Result<Self, async_nats::Error> {
        let client = async_nats::ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(url)
            .await?;
        let inbox = client.new_inbox();
        let replies = client.subscribe(format!("{inbox}.*")).await?;
        let (oracle, counted) = (Oracle::new(connection), progress.began.elapsed());
        Ok(Self { client, inbox, replies, plan, oracle, progress, allowance: 0.0, counted })
    }

    pub async fn run(mut self) -> Verdict {
        let mut tick = interval(Duration::from_millis(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_over() {
            tokio::select! {
                Some(reply) = self.replies.next() => self.hear_burst(reply),
                _ = tick.tick() => self.count(),
            }
            self.send_burst().await;
        }
        self.hear_the_rest().await;
        self.oracle.close()
    }

    fn is_over(&self) -> bool {
        let share = self.plan.requests / u64::from(self.plan.connections);
        self.progress.stop.load(Ordering::Relaxed) || self.oracle.next() as u64 >= share
    }

    /// What may be sent by now. A broker that is away gets nothing later instead.
    fn count(&mut self) {
        let now = self.progress.began.elapsed();
        let connections = f64::from(self.plan.connections);
        self.oracle.give_up(now.saturating_sub(PATIENCE));
        self.allowance = match self.plan.pace {
            _ if self.client.connection_state() != State::Connected => 0.0,
            Pace::Window(requests) => requests as f64 / connections - self.oracle.open() as f64,
            Pace::Rate(rate) => {
                self.allowance + rate / connections * (now - self.counted).as_secs_f64()
            }
        };
        self.counted = now;
    }

    async fn send_burst(&mut self) {
        for _ in 0..BURST {
            if self.allowance < 1.0 || self.is_over() {
                return;
            }
            self.allowance -= 1.0;
            self.send().await;
        }
    }

    async fn send(&mut self) {
        let number = self.oracle.next();
        let bad = (self.plan.bad)(number);
        self.oracle.asked(self.progress.began.elapsed(), bad.is_none());
        let body = Bytes::from(bad.unwrap_or_else(|| message::good(self.oracle.id(number))));
        let (client, inbox) = (&self.client, format!("{}.{number}", self.inbox));
        let sent = match self.plan.headers.clone() {
            None => client.publish_with_reply(echo::INFER, inbox, body).await,
            Some(headers) => {
                client.publish_with_reply_and_headers(echo::INFER, inbox, headers, body).await
            }
        };
        sent.expect("the library takes it");
        self.progress.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn hear_burst(&mut self, first: Message) {
        let mut reply = Some(first);
        let mut heard = 0;
        while let Some(message) = reply {
            self.hear(&message);
            heard += 1;
            let next = self.replies.next();
            reply = if heard < BURST { next.now_or_never().flatten() } else { None };
        }
        if matches!(self.plan.pace, Pace::Window(_)) {
            self.count();
        }
    }

    fn hear(&mut self, message: &Message) {
        let Some(number) = self.number(message) else { return };
        let now = self.progress.began.elapsed();
        let sent = self.oracle.hear(number, message::read(message), now);
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
        if let Some(sent) = sent {
            self.progress.served(sent, now);
        }
    }

    /// Which request it answers; the last part of its subject.
    fn number(&self, message: &Message) -> Option<usize> {
        message.subject.get(self.inbox.len() + 1..)?.parse().ok()
    }

    async fn hear_the_rest(&mut self) {
        self.oracle.give_up(Duration::ZERO);
        while self.oracle.open() > 0 {
            match timeout(SILENCE, self.replies.next()).await {
                Ok(Some(reply)) => self.hear(&reply),
                _ => return,
            }
        }
        self.hear_what_is_here().await;
    }

    /// A further answer that the broker already has comes before a message to ourselves.
    async fn hear_what_is_here(&mut self) {
        let end = format!("{}.end", self.inbox);
        if self.client.publish(end.clone(), "".into()).await.is_err() {
            return;
        }
        while let Ok(Some(reply)) = timeout(SILENCE, self.replies.next()).await {
            if reply.subject.as_str() == end {
                return;
            }
            self.hear(&reply);
        }
    }
}
