//! The spec subject: what the pool's model takes and gives.

use std::sync::Arc;

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use tokio::sync::oneshot;

use super::served::Served;
use crate::wire::{Encoding, subjects};

/// Answers on the spec subject, as a member of the queue group. Dropped, it leaves the group,
/// answers what it has, and ends.
pub struct SpecService(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>);

/// # Errors
/// The connection is gone.
pub async fn start(
    client: Client,
    prefix: &str,
    served: Arc<Served>,
) -> Result<SpecService, String> {
    let model = served.spec.model.clone();
    let subscribed = client.queue_subscribe(subjects::spec(prefix, &model), model);
    let requests = subscribed.await.map_err(|error| error.to_string())?;
    let (held, dropped) = oneshot::channel();
    tokio::spawn(serve(client, served, requests, dropped));
    Ok(SpecService(held))
}

async fn serve(
    client: Client,
    served: Arc<Served>,
    mut requests: Subscriber,
    mut dropped: oneshot::Receiver<()>,
) {
    let mut leaving = false;
    loop {
        tokio::select! {
            request = requests.next() => match request {
                Some(request) => answer(&client, &served, request).await,
                None => return,
            },
            _ = &mut dropped, if !leaving => {
                leaving = true;
                if requests.drain().await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn answer(client: &Client, served: &Served, request: Message) {
    let Some(inbox) = request.reply else { return };
    let encoding = Encoding::of(&request.payload);
    let body = match encoding {
        Encoding::MessagePack => encoding.write(&served.spec),
        Encoding::Json => encoding.write(&served.spec.clone().finite()),
    };
    let sent = match body {
        Ok(body) => client.publish(inbox, body.into()).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = sent {
        tracing::warn!(error, "a spec request went unanswered");
    }
}
