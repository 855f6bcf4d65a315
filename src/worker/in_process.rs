//! A worker without a broker: what remains of its time is its own.

use std::{sync::Arc, time::Duration};

use async_nats::Message;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::{answer::Answer, engine::Done, reception::Reception, served::Served};
use crate::{failure::Failure, policy::Policy, telemetry::Vitals, wire::Code};

/// A deadline, as every request has one by default.
const BUDGET: Duration = Duration::from_secs(10);

pub struct InProcess {
    reception: Reception,
    done: mpsc::Receiver<Done>,
}

impl InProcess {
    /// Warms the device up.
    ///
    /// # Errors
    /// The device fails.
    pub async fn start(
        served: Served,
        policy: Box<dyn Policy>,
        vitals: Arc<Vitals>,
    ) -> Result<Self, Failure> {
        let (served, device) = (Arc::new(served), (policy, None));
        let (reception, done) = Reception::open(served, device, Some(BUDGET), vitals).await?;
        Ok(Self { reception, done })
    }

    /// Takes messages that have come together, and gives the bodies of their replies, or why there is
    /// none, in the order in which a worker would send them. Blocks until all are there: not for an asynchronous context.
    ///
    /// # Panics
    /// If the device died.
    pub fn exchange(
        &mut self,
        messages: impl IntoIterator<Item = Message>,
    ) -> Vec<Result<Bytes, Code>> {
        let arrived = self.reception.queue.now();
        for message in messages {
            self.reception.check(message, arrived);
        }
        let mut answers = self.reception.queue_checked();
        while let Some(done) = self.reception.compute_brief() {
            answers.extend(self.reception.answer(done, usize::MAX));
        }
        self.reception.queue.wake();
        while self.reception.responder.open() > 0 {
            let done = self.done.blocking_recv().expect("the device computes");
            answers.extend(self.reception.answer(done, usize::MAX));
        }
        let body = |answer: Answer| answer.error.map_or(Ok(answer.payload), Err);
        answers.into_iter().map(body).collect()
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        self.reception.queue.close();
    }
}
