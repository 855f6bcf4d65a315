//! How much comes within a round trip: all that the server had sent when it heard of something.

use async_nats::Client;
use tokio::task::JoinHandle;

use crate::nats;

/// Closed until it is opened.
#[derive(Default)]
pub enum Window {
    #[default]
    Closed,
    /// A round trip is under way, that began when so many messages had been delivered.
    Open(JoinHandle<Result<(), String>>, u64),
    Seen(u64),
}

impl Window {
    pub fn is_closed(&self) -> bool {
        matches!(self, Window::Closed)
    }

    /// Begins a round trip on a connection on which so many messages have been delivered.
    pub fn open(&mut self, client: Client, delivered: u64) {
        let round_trip = tokio::spawn(async move { nats::round_trip(&client).await });
        *self = Window::Open(round_trip, delivered);
    }

    /// What has come, once the round trip has ended; one that fails closes the window.
    pub async fn look(&mut self, delivered: u64) -> Option<u64> {
        match std::mem::take(self) {
            Window::Open(round_trip, before) if round_trip.is_finished() => {
                if let Ok(Ok(())) = round_trip.await {
                    // Its own answer has come, too.
                    *self = Window::Seen(delivered.saturating_sub(before + 1));
                }
            }
            other => *self = other,
        }
        match self {
            Window::Seen(window) => Some(*window),
            _ => None,
        }
    }
}
