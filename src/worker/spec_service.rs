//! The spec subject: what the pool's model takes and gives.

use std::{sync::Arc, time::Instant};

use async_nats::{Client, Message};
use tokio::{sync::oneshot, task::JoinHandle, time::interval};

use super::{
    membership::{Membership, TICK},
    served::Served,
};
use crate::{
    nats,
    telemetry::{Outcome, Vitals},
    wire::{
        Encoding,
        subjects::{self, is_inbox},
    },
};

/// Answers on the spec subject, as a member of the queue group, on a connection that has no other
/// traffic. Told to leave, it answers what it has, and ends.
pub struct SpecService {
    leave: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl SpecService {
    /// # Errors
    /// The connection is gone.
    pub async fn start(
        client: Client,
        prefix: &str,
        served: Arc<Served>,
        vitals: Arc<Vitals>,
    ) -> Result<Self, String> {
        let model = served.spec.model.clone();
        let subject = subjects::spec(prefix, &model);
        let mut membership = Membership::new(client.clone(), subject, model);
        membership.join().await?;
        let (leave, left) = oneshot::channel();
        let task = tokio::spawn(serve(client, served, vitals, membership, left));
        Ok(Self { leave: Some(leave), task })
    }

    pub fn leave(&mut self) {
        if let Some(leave) = self.leave.take() {
            // It may have ended with its connection.
            let _ = leave.send(());
        }
    }

    pub fn has_left(&self) -> bool {
        self.task.is_finished()
    }
}

async fn serve(
    client: Client,
    served: Arc<Served>,
    vitals: Arc<Vitals>,
    mut membership: Membership,
    mut left: oneshot::Receiver<()>,
) {
    let mut tick = interval(TICK);
    while membership.is_member() {
        tokio::select! {
            biased;
            _ = &mut left, if !membership.is_leaving() => membership.leave(),
            _ = tick.tick() => membership.tick().await,
            request = membership.next() => if let Some(request) = request {
                let began = Instant::now();
                let outcome = answer(&client, &served, request).await;
                vitals.specs().ended(outcome, began.elapsed());
            },
        }
    }
    if let Err(error) = nats::round_trip(&client).await {
        tracing::warn!(error, "the last answers on the spec subject may be lost");
    }
}

/// Answers, if there is somebody to answer; how that ended.
async fn answer(client: &Client, served: &Served, request: Message) -> Outcome {
    let Some(inbox) = request.reply.filter(|inbox| is_inbox(inbox, &request.subject)) else {
        tracing::warn!("a spec request without a subject to which a reply may go");
        return Outcome::NoReplySubject;
    };
    let encoding = Encoding::of(&request.payload);
    let body = match encoding {
        Encoding::MessagePack => encoding.write(&served.spec),
        Encoding::Json => encoding.write(&served.spec.clone().finite()),
    };
    let sent = match body {
        Ok(body) => client.publish(inbox, body.into()).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match sent {
        Ok(()) => Outcome::Ok,
        Err(error) => {
            tracing::warn!(error, "a spec request went unanswered");
            Outcome::PublishFailed
        }
    }
}
