//! One connection that asks.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use async_nats::{Client, Message, Subject, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval},
};

use super::{
    Question, Recorder,
    slots::{Asked, Slots, Token},
};

/// After this an answer is not waited for any longer. Longer than any worker lets a request wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the answers to the last requests are waited for.
const GRACE: Duration = Duration::from_secs(2);
/// How often is looked for requests to give up, and for the end.
const LOOK: Duration = Duration::from_millis(20);
/// Unanswered requests of one connection under an open loop. More can't come back before the load
/// ends, at any rate at which this is asked for.
pub const MOST_OPEN: usize = 16_384;

/// When a line asks.
pub enum Pace {
    /// Until then, always so many open.
    Closed { in_flight: usize, end: Duration },
    /// When told so.
    Open { due: UnboundedReceiver<Duration> },
}

pub struct Line {
    client: Client,
    question: Question,
    subject: Subject,
    inbox: String,
    replies: Subscriber,
    slots: Slots,
    /// Of the slots.
    tokens: Vec<(u32, Subject)>,
    /// Whether an answer has been looked at closely.
    examined: bool,
    recorder: Rc<RefCell<Recorder>>,
}

impl Line {
    /// # Errors
    /// The connection is gone.
    pub async fn new(
        client: Client,
        question: Question,
        pace: &Pace,
        recorder: Rc<RefCell<Recorder>>,
    ) -> Result<Self, String> {
        let inbox = client.new_inbox();
        let replies = client.subscribe(format!("{inbox}.>")).await;
        let most = match pace {
            Pace::Closed { in_flight, .. } => *in_flight,
            Pace::Open { .. } => MOST_OPEN,
        };
        Ok(Self {
            client,
            subject: question.subject.as_str().into(),
            question,
            inbox,
            replies: replies.map_err(|error| error.to_string())?,
            slots: Slots::new(most),
            tokens: Vec::new(),
            examined: false,
            recorder,
        })
    }

    /// Asks until the pace ends and all is answered or given up.
    ///
    /// # Errors
    /// The connection is gone for good.
    pub async fn run(mut self, mut pace: Pace, began: Instant) -> Result<(), String> {
        self.refill(&pace, began).await?;
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ended = None;
        loop {
            tokio::select! {
                biased;
                due = next_due(&mut pace), if ended.is_none() => match due {
                    Some(due) => self.ask(due, began.elapsed()).await?,
                    None => ended = Some(began.elapsed()),
                },
                message = self.replies.next() => {
                    self.hear_all(message.ok_or("the connection closed")?, began);
                    self.refill(&pace, began).await?;
                }
                _ = looks.tick() => {
                    let now = began.elapsed();
                    self.give_up(now.saturating_sub(PATIENCE));
                    if let Pace::Closed { end, .. } = pace && now >= end {
                        ended = Some(end);
                    }
                    self.refill(&pace, began).await?;
                }
            }
            let is_over = |end| self.slots.outstanding() == 0 || began.elapsed() > end + GRACE;
            if ended.is_some_and(is_over) {
                self.give_up(Duration::MAX);
                return Ok(());
            }
        }
    }

    /// Under a closed loop, as many requests as are missing.
    async fn refill(&mut self, pace: &Pace, began: Instant) -> Result<(), String> {
        let Pace::Closed { in_flight, end } = *pace else { return Ok(()) };
        while self.slots.outstanding() < in_flight {
            let now = began.elapsed();
            if now >= end {
                break;
            }
            self.ask(now, now).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, due: Duration, now: Duration) -> Result<(), String> {
        let Some(token) = self.slots.open(Asked { due, sent: now }) else {
            self.recorder.borrow_mut().withheld(due);
            return Ok(());
        };
        let (subject, reply) = (self.subject.clone(), self.reply_subject(token));
        let sent = self.client.publish_with_reply(subject, reply, self.question.body.clone());
        sent.await.map_err(|error| error.to_string())?;
        self.recorder.borrow_mut().sent(due);
        Ok(())
    }

    /// Written once for each slot and generation.
    fn reply_subject(&mut self, Token { slot, generation }: Token) -> Subject {
        let written = || format!("{}.{slot}.{generation}", self.inbox).into();
        match self.tokens.get_mut(slot) {
            Some((known, subject)) => {
                if *known != generation {
                    (*known, *subject) = (generation, written());
                }
                subject.clone()
            }
            // Slots come one by one.
            None => {
                let subject: Subject = written();
                self.tokens.push((generation, subject.clone()));
                subject
            }
        }
    }

    /// This message and all others that are there already.
    fn hear_all(&mut self, first: Message, began: Instant) {
        self.hear(&first, began.elapsed());
        while let Some(Some(message)) = self.replies.next().now_or_never() {
            self.hear(&message, began.elapsed());
        }
    }

    fn hear(&mut self, message: &Message, now: Duration) {
        let Some(asked) = self.token(message).and_then(|token| self.slots.close(token)) else {
            return;
        };
        let judged = match self.examined {
            true => self.question.expected.glance(message),
            false => self.question.expected.examine(message),
        };
        self.examined |= judged.is_ok();
        let mut recorder = self.recorder.borrow_mut();
        match judged {
            Ok(()) => recorder.answered(asked.due, now),
            Err(code) => recorder.failed(asked.due, &code),
        }
    }

    fn token(&self, message: &Message) -> Option<Token> {
        let tokens = message.subject.strip_prefix(self.inbox.as_str())?.strip_prefix('.')?;
        let (slot, generation) = tokens.split_once('.')?;
        Some(Token { slot: slot.parse().ok()?, generation: generation.parse().ok()? })
    }

    fn give_up(&mut self, before: Duration) {
        let given_up = self.slots.give_up(before);
        let mut recorder = self.recorder.borrow_mut();
        given_up.iter().for_each(|asked| recorder.unanswered(asked.due));
    }
}

/// Under a closed loop nothing is ever due by itself.
async fn next_due(pace: &mut Pace) -> Option<Duration> {
    match pace {
        Pace::Closed { .. } => std::future::pending().await,
        Pace::Open { due } => due.recv().await,
    }
}
