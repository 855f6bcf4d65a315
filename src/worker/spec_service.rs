//! The spec subject: what the pool's model takes and gives.

use std::sync::Arc;

use async_nats::{Client, Message};
use futures_util::StreamExt;

use super::served::Served;
use crate::wire::{Encoding, subjects};

/// Answers on the spec subject, as a member of the queue group, until it is dropped.
///
/// # Errors
/// The connection is gone.
pub async fn start(
    client: Client,
    prefix: &str,
    served: Arc<Served>,
) -> Result<tokio::task::JoinHandle<()>, String> {
    let model = served.spec.model.clone();
    let subscribed = client.queue_subscribe(subjects::spec(prefix, &model), model);
    let mut requests = subscribed.await.map_err(|error| error.to_string())?;
    Ok(tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            answer(&client, &served, request).await;
        }
    }))
}

async fn answer(client: &Client, served: &Served, request: Message) {
    let Some(inbox) = request.reply else { return };
    let sent = match Encoding::of(&request.payload).write(&served.spec) {
        Ok(body) => client.publish(inbox, body.into()).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = sent {
        tracing::warn!(error, "a spec request went unanswered");
    }
}
