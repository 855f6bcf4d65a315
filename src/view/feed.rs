//! What comes over NATS: health and counters of the workers, and the connection's own coming and
//! going.

use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::{sync::mpsc, time::timeout};

use super::{Moment, watch::Watch};
use crate::{
    failure::Failure,
    nats::{self, Connection, Link},
    settings::Nats,
    wire::subjects,
};

/// Messages that wait for the reader; further ones wait in the client library.
const WAITING: usize = 256;
const SUBSCRIBING: Duration = Duration::from_secs(5);

/// One thing that was heard.
#[derive(Debug)]
pub enum Heard {
    Health(Bytes),
    Metrics(Bytes),
    Found,
    Lost,
}

/// Everything heard, in order; an error is the last of it.
pub type Feed = mpsc::Receiver<Result<Heard, Failure>>;

/// Listens to the workers of `model` (`*`: of all) under `prefix`, once `connecting` is through.
/// A connection that is lost later comes back by itself.
pub fn listen(
    connecting: impl Future<Output = Result<Connection, Failure>> + Send + 'static,
    prefix: &str,
    model: &str,
) -> Feed {
    let health = subjects::health(prefix, model, "*");
    let metrics = subjects::metrics(prefix, model, "*");
    let (sender, feed) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let ended = match connecting.await {
            Ok(connection) => forward(connection, [health, metrics], &sender).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = ended {
            // Nobody listens any more.
            let _ = sender.send(Err(failure)).await;
        }
    });
    feed
}

impl Watch {
    pub fn hear(&mut self, heard: &Heard, now: Moment) {
        match heard {
            Heard::Health(body) => self.pool.hear_health(body, now),
            Heard::Metrics(body) => self.pool.hear_metrics(body, now),
            Heard::Found => self.broker.found(),
            Heard::Lost => self.broker.lost(now),
        }
    }
}

/// Until the reader or the connection ends.
async fn forward(
    mut connection: Connection,
    [health, metrics]: [String; 2],
    sender: &mpsc::Sender<Result<Heard, Failure>>,
) -> Result<(), Failure> {
    let mut health = subscribe(&connection.client, health).await?;
    let mut metrics = subscribe(&connection.client, metrics).await?;
    let mut heard = Heard::Found;
    while sender.send(Ok(heard)).await.is_ok() {
        let body = |message: Option<Message>| message.map(|message| message.payload);
        let next = tokio::select! {
            link = connection.events.recv() => of_link(link)?,
            message = health.next() => body(message).map(Heard::Health),
            message = metrics.next() => body(message).map(Heard::Metrics),
        };
        let Some(next) = next else { return Err(closed()) };
        heard = next;
    }
    Ok(())
}

/// A broker that is away again would let a subscription wait for ever.
async fn subscribe(client: &Client, subject: String) -> Result<Subscriber, Failure> {
    match timeout(SUBSCRIBING, client.subscribe(subject)).await {
        Ok(Ok(subscriber)) => Ok(subscriber),
        Ok(Err(_)) | Err(_) => Err(closed()),
    }
}

fn of_link(link: Option<Link>) -> Result<Option<Heard>, Failure> {
    match link {
        // We publish nothing; and whoever denies, or announces its end, is there.
        Some(Link::Up | Link::Denied(_) | Link::LameDuck) => Ok(Some(Heard::Found)),
        Some(Link::Down) => Ok(Some(Heard::Lost)),
        Some(Link::Refused(why)) => {
            Err(Failure::Configuration(format!("the broker refuses to let us listen: {why}")))
        }
        None => Ok(None),
    }
}

fn closed() -> Failure {
    Failure::Unreachable("the connection to the broker is closed for good".into())
}

/// Connects however long the broker stays away.
///
/// # Errors
/// The broker refuses our credentials.
pub async fn with_patience(nats: Nats) -> Result<Connection, Failure> {
    nats::connect(&Nats { connect_timeout: None, ..nats }, "top").await
}
