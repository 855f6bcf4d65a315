//! One worker's life: start, serve, drain.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::interval};

use super::{canary::Canary, served::Served, service::Service, stopped::Stopped};
use crate::{
    failure::Failure,
    policy::Policy,
    settings,
    telemetry::{Vitals, vitals::BEAT},
    wire::State,
};

/// What a worker is made of.
pub struct Setup {
    pub served: Served,
    pub policy: Box<dyn Policy>,
    /// How an idle device is held to what it gave at first.
    pub canary: Option<Canary>,
    pub nats: settings::Nats,
    pub drain_timeout: Duration,
    /// How long requests may wait for their answer that do not say it themselves.
    pub default_budget: Option<Duration>,
    /// Told of all that happens.
    pub vitals: Arc<Vitals>,
}

/// Serves until `stop` becomes true, then drains.
///
/// # Errors
/// It could not start, or the device died. What was taken is answered all the same.
pub async fn run(setup: Setup, mut stop: watch::Receiver<bool>) -> Result<Stopped, Failure> {
    let (drain, vitals) = (stop.clone(), setup.vitals.clone());
    let beating = tokio::spawn(beat(vitals.clone()));
    let served = tokio::select! {
        service = Service::start(setup) => match service {
            Ok(service) => service.serve(drain).await,
            Err(failure) => Err(failure),
        },
        _ = stop.wait_for(|stop| *stop) => Ok(()),
    };
    beating.abort();
    match served {
        Ok(()) => {
            vitals.enter(State::Stopped);
            Ok(Stopped::of(&vitals.tally()))
        }
        Err(failure) => {
            vitals.fail(failure.to_string());
            Err(failure)
        }
    }
}

/// Shows that this thread makes turns.
async fn beat(vitals: Arc<Vitals>) {
    let mut tick = interval(BEAT);
    loop {
        tick.tick().await;
        vitals.beat();
    }
}
