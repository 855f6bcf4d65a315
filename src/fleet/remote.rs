//! The fleet over NATS: every vehicle asks a pool of workers what to do.
//!
//! All vehicles tick together, as in a simulator with one synchronous world, and on a fixed
//! schedule (open loop): whoever has no reply when the next tick comes holds its last controls.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use async_nats::{Client, HeaderMap, Message};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    Controls, World,
    exchange::{Exchange, Heard},
    score::{Score, Snapshot},
    vehicle::MAX_STEP,
};
use crate::{failure::Failure, wire::subjects::ENV_ID_HEADER};

/// Requests of one vehicle without a reply; older ones are given up.
const MAX_OPEN: usize = 64;
/// How long the replies to the last tick are waited for.
const GRACE: Duration = Duration::from_secs(2);

/// The schedule of a drive.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// Ticks per second.
    pub hz: f64,
    pub duration: Duration,
}

/// Drives `world` until the time is over or `stop` becomes true. `every_second` hears how it goes.
///
/// # Errors
/// The connection is gone for good.
pub async fn drive(
    client: &Client,
    exchange: Exchange,
    world: &mut World,
    schedule: Schedule,
    mut stop: watch::Receiver<bool>,
    every_second: &mut dyn FnMut(&Snapshot),
) -> Result<Score, Failure> {
    let lost = |error: String| Failure::Unreachable(format!("the broker is gone: {error}"));
    let inbox = client.new_inbox();
    let mut replies =
        client.subscribe(format!("{inbox}.*")).await.map_err(|error| lost(error.to_string()))?;
    let mut fleet = Fleet::new(exchange, world.vehicles(), inbox);
    let mut ticks = interval(Duration::from_secs_f64(1.0 / schedule.hz));
    // A tick that comes late must not shift those behind it: the schedule is the vehicles' clock.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut seconds = interval(Duration::from_secs(1));
    seconds.tick().await;
    let started = Instant::now();
    let driving = async {
        loop {
            tokio::select! {
                biased;
                Some(message) = replies.next() => fleet.hear(&message),
                _ = ticks.tick() => fleet.tick(client, world, schedule.hz).await?,
                _ = seconds.tick() => every_second(&fleet.score.snapshot(world.on_road())),
            }
        }
    };
    // From outside: without a broker a tick may wait for as long as that stays away.
    let ended: Option<Result<(), String>> = tokio::select! {
        ended = driving => Some(ended),
        _ = tokio::time::sleep(schedule.duration) => None,
        _ = stop.wait_for(|stop| *stop) => None,
    };
    ended.transpose().map_err(lost)?;
    fleet.score.driven(started.elapsed());
    let rest = async {
        while fleet.is_waiting()
            && let Some(message) = replies.next().await
        {
            fleet.hear(&message);
        }
    };
    // Whoever is still silent then counts as unanswered.
    let _ = timeout(GRACE, rest).await;
    Ok(fleet.score)
}

struct Fleet {
    exchange: Exchange,
    inbox: String,
    vehicles: Vec<Asking>,
    score: Score,
    tick: u64,
}

/// What one vehicle has asked, and what it was told last.
#[derive(Default)]
struct Asking {
    controls: Controls,
    /// The tick from which `controls` are.
    told: u64,
    open: VecDeque<(u64, Instant)>,
}

impl Fleet {
    fn new(exchange: Exchange, vehicles: usize, inbox: String) -> Self {
        let vehicles = (0..vehicles).map(|_| Asking::default()).collect();
        Self { exchange, inbox, vehicles, score: Score::default(), tick: 0 }
    }

    /// Moves the world on by one tick with what the vehicles were told, then asks anew.
    async fn tick(&mut self, client: &Client, world: &mut World, hz: f64) -> Result<(), String> {
        if self.tick > 0 {
            self.move_on(world, 1.0 / hz);
        }
        self.tick += 1;
        for i in (0..world.vehicles()).filter(|i| !world.has_left(*i)).collect::<Vec<_>>() {
            let body = self.exchange.ask(&world.observe(i), self.tick)?;
            let (subject, reply) = (self.exchange.subject.clone(), format!("{}.{i}", self.inbox));
            let (headers, began) = (self.headers(i), Instant::now());
            let sent = client.publish_with_reply_and_headers(subject, reply, headers, body.into());
            sent.await.map_err(|error| error.to_string())?;
            // Not before: the end of the drive may cut the sending off.
            self.score.asked();
            let vehicle = &mut self.vehicles[i];
            vehicle.open.push_back((self.tick, began));
            if vehicle.open.len() > MAX_OPEN {
                vehicle.open.pop_front();
            }
        }
        Ok(())
    }

    /// Which simulator asks: the inbox is unlike that of any other fleet.
    fn headers(&self, vehicle: usize) -> HeaderMap {
        let fleet = self.inbox.rsplit('.').next().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(ENV_ID_HEADER, format!("{fleet}-{vehicle}"));
        headers
    }

    fn move_on(&mut self, world: &mut World, dt: f64) {
        for (i, vehicle) in self.vehicles.iter().enumerate() {
            if !world.has_left(i) && vehicle.told < self.tick {
                self.score.late();
            }
        }
        let controls: Vec<_> = self.vehicles.iter().map(|vehicle| vehicle.controls).collect();
        let steps = (dt / MAX_STEP).ceil().max(1.0);
        for _ in 0..steps as usize {
            world.step(&controls, dt / steps);
        }
    }

    fn hear(&mut self, message: &Message) {
        let number = message.subject.rsplit('.').next().and_then(|token| token.parse().ok());
        let Some(vehicle) = number.and_then(|i: usize| self.vehicles.get_mut(i)) else { return };
        match self.exchange.hear(message) {
            Heard::Controls { controls, tick, batch_rows } => {
                let Some(asked) = vehicle.close(tick) else { return };
                self.score.told(asked.elapsed(), batch_rows);
                if tick > vehicle.told {
                    (vehicle.controls, vehicle.told) = (controls, tick);
                }
            }
            Heard::Error { code, tick } => {
                // The broker's own "no responders" carries no tick: it is about the oldest.
                let tick = tick.or_else(|| vehicle.open.front().map(|(tick, _)| *tick));
                if tick.and_then(|tick| vehicle.close(tick)).is_some() {
                    self.score.failed(code);
                }
            }
        }
    }

    fn is_waiting(&self) -> bool {
        self.vehicles.iter().any(|vehicle| !vehicle.open.is_empty())
    }
}

impl Asking {
    /// When the request of `tick` was sent, if it is still open.
    fn close(&mut self, tick: u64) -> Option<Instant> {
        let at = self.open.iter().position(|(open, _)| *open == tick)?;
        self.open.remove(at).map(|(_, sent)| sent)
    }
}
