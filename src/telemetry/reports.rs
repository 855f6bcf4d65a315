//! Health and metrics on their subjects.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_nats::{Client, connection};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Interval, MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    desk::Desk,
    services,
    vitals::{BEAT, TURN},
};
use crate::{
    nats, settings,
    wire::{Encoding, State, subjects},
};

const METRICS: Duration = Duration::from_secs(5);
/// After a broker that refuses us.
const RETRY: Duration = Duration::from_secs(10);
/// How long the broker may take for the last message.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Publishes until `stop` becomes true, and the last state then. Looks for the broker as long as
/// it takes; what there would have been to tell meanwhile is not told later.
pub async fn publish(desk: &Arc<Desk>, nats: settings::Nats, mut stop: watch::Receiver<bool>) {
    let vitals = &desk.vitals;
    let name = format!("{} {}", vitals.about.spec.worker, nats::MONITORING);
    let connection = tokio::select! {
        connection = connect(&nats, &name) => connection,
        // There may be a broker all the same, who shall hear of the end.
        () = told(&mut stop) => match timeout(LAST_WORD, nats::connect_once(&nats, &name)).await {
            Ok(Ok(connection)) => connection,
            _ => return,
        },
    };
    vitals.watch_connection(nats::MONITORING, &connection);
    let nats::Connection { client, mut events, .. } = connection;
    let mut tasks = JoinSet::new();
    let leaving = client.clone();
    tasks.spawn(async move {
        // What counts of the others is counted already.
        while let Some(link) = events.recv().await {
            if link == nats::Link::LameDuck
                && let Err(error) = leaving.force_reconnect().await
            {
                tracing::warn!(%error, "looking for another server");
            }
        }
    });
    tasks.spawn(measure(desk.clone(), client.clone()));
    tasks.spawn(services::answer(desk.clone(), client.clone()));
    Reports::new(desk.clone(), client).run(stop).await;
}

/// However long it takes. Even a broker that refuses us may let us in later: the connections that
/// serve stand.
async fn connect(nats: &settings::Nats, name: &str) -> nats::Connection {
    let patient = settings::Nats { connect_timeout: None, ..nats.clone() };
    loop {
        match nats::connect(&patient, name).await {
            Ok(connection) => return connection,
            Err(error) => tracing::warn!(%error, "no health and metrics messages"),
        }
        sleep(RETRY).await;
    }
}

struct Reports {
    desk: Arc<Desk>,
    client: Client,
    health: String,
    metrics: String,
    snapshots: u64,
    told: Option<State>,
}

impl Reports {
    fn new(desk: Arc<Desk>, client: Client) -> Self {
        let about = &desk.vitals.about;
        let (prefix, spec) = (&about.prefix, &about.spec);
        Self {
            health: subjects::health(prefix, &spec.model, &spec.worker),
            metrics: subjects::metrics(prefix, &spec.model, &spec.worker),
            snapshots: 0,
            told: None,
            desk,
            client,
        }
    }

    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut states = self.desk.vitals.states();
        // A worker becomes degraded by the passing of time, too.
        let mut look = interval(BEAT);
        let (mut health, mut metrics) = (interval(TURN), interval(METRICS));
        for tick in [&mut look, &mut health, &mut metrics] {
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                biased;
                () = told(&mut stop) => return self.end().await,
                _ = states.changed() => self.tell_change(&mut health).await,
                _ = look.tick() => self.tell_change(&mut health).await,
                _ = health.tick() => self.tell().await,
                _ = metrics.tick() => self.count().await,
            }
        }
    }

    async fn tell_change(&mut self, next: &mut Interval) {
        if self.told != Some(self.desk.vitals.shown_state()) {
            self.tell().await;
            next.reset();
        }
    }

    async fn tell(&mut self) {
        if !self.is_connected() {
            return;
        }
        let health = self.desk.health(self.desk.next_seq());
        self.told = Some(health.state);
        self.send(&self.health, Encoding::Json.write(&health)).await;
    }

    async fn count(&mut self) {
        if !self.is_connected() {
            return;
        }
        self.snapshots += 1;
        let snapshot = self.desk.snapshot(self.snapshots);
        self.send(&self.metrics, Encoding::MessagePack.write(&snapshot)).await;
    }

    async fn send(&self, subject: &str, body: Result<Vec<u8>, impl std::fmt::Display>) {
        let sent = match body {
            Ok(body) => {
                let sent = self.client.publish(subject.to_string(), body.into()).await;
                sent.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = sent {
            tracing::warn!(error, subject, "a report could not be published");
        }
    }

    async fn end(mut self) {
        if !self.is_connected() {
            return;
        }
        if self.told != Some(self.desk.vitals.shown_state()) {
            self.tell().await;
        }
        self.count().await;
        if !matches!(timeout(LAST_WORD, nats::round_trip(&self.client)).await, Ok(Ok(()))) {
            tracing::warn!("the broker may not have the last health message");
        }
    }

    /// What is published without a connection would come in a heap when it is back.
    fn is_connected(&self) -> bool {
        self.client.connection_state() == connection::State::Connected
    }
}

/// How long a message takes over the broker and back.
async fn measure(desk: Arc<Desk>, client: Client) {
    let mut tick = interval(TURN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if client.connection_state() != connection::State::Connected {
            continue;
        }
        let began = Instant::now();
        if nats::round_trip(&client).await.is_ok() {
            desk.set_round_trip(began.elapsed());
        }
    }
}

async fn told(stop: &mut watch::Receiver<bool>) {
    // Its sender lives as long as the monitor.
    let _ = stop.wait_for(|stop| *stop).await;
}
