//! The barest answer: what came goes back. No worker can be faster with the same client library.

use async_nats::Client;
use futures_util::StreamExt;

/// Answers on `subject`, as one of a queue group, for as long as the connection lives.
///
/// # Errors
/// What the client library says.
pub async fn answer(client: &Client, subject: String, group: String) -> Result<(), String> {
    let requests = client.queue_subscribe(subject, group).await;
    let mut requests = requests.map_err(|error| error.to_string())?;
    while let Some(request) = requests.next().await {
        if let Some(reply) = request.reply {
            client.publish(reply, request.payload).await.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
