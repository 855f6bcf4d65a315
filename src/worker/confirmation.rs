//! A round trip that is on its way while requests are being taken.

use async_nats::Client;
use tokio::task::JoinHandle;

use crate::nats;

/// Whether the server knows of a membership: a round trip behind the subscription, on its way
/// while requests are already being taken.
#[derive(Default)]
pub struct Confirmation(Option<JoinHandle<Result<(), String>>>);

impl Confirmation {
    pub fn begin(&mut self, client: Client) {
        self.0 = Some(tokio::spawn(async move { nats::round_trip(&client).await }));
    }

    /// Nobody waits for it any more.
    pub fn forget(&mut self) {
        self.0 = None;
    }

    /// How it ended; pending if none is on its way.
    pub async fn wait(&mut self) -> Result<(), String> {
        let Some(round_trip) = &mut self.0 else { return std::future::pending().await };
        let result = round_trip.await.unwrap_or_else(|error| Err(error.to_string()));
        self.0 = None;
        result
    }
}
