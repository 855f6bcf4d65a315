//! A device that stands still, or computes something else, gets no requests, and not for ever.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, SystemTime},
};

use carla_rl::{
    failure::Failure,
    policy::{Actions, Input, Output, Policy, PolicySpec},
    telemetry::{About, Vitals, traces::Traces},
    wire::State,
    worker::Watchdog,
};

use crate::{
    asker::Asker,
    support::{INFER, Native, PATIENCE, TestBroker, action, observation, until},
};

#[tokio::test]
async fn a_stuck_worker_leaves_the_requests_to_others_and_comes_back_when_it_moves_again() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.stall = Duration::from_secs(2));
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[]).await;
    until("it has left the queue group", || !worker.vitals.is_subscribed()).await;
    let body = Native::one(&observation(1)).encode();
    let nobody = asker.client.request(INFER, body.into()).await.unwrap_err();
    assert_eq!(nobody.kind(), async_nats::RequestErrorKind::NoResponders);
    gate.open();
    assert_eq!(asker.actions(1).await, [0], "what it had taken is answered");
    until("it is back", || worker.vitals.is_ready()).await;
    action(&asker.client, &Native::one(&observation(1))).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_worker_that_stays_stuck_says_so_to_all_who_wait_and_ends() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.stall = Duration::from_millis(300));
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    for i in 0..3 {
        asker.ask(i, &[]).await;
    }
    let mut told: Vec<usize> = Vec::new();
    for _ in 0..3 {
        let (number, error) = asker.error().await;
        assert_eq!(error["code"], "internal");
        told.push(number);
    }
    told.sort_unstable();
    assert_eq!(told, [0, 1, 2]);
    let vitals = worker.vitals.clone();
    assert!(matches!(worker.join().await, Err(Failure::Defect(_))));
    assert_eq!(*vitals.states().borrow(), State::Failed);
    gate.open();
}

/// A policy that begins to give other numbers.
struct Drifting(Box<dyn Policy>, Arc<AtomicBool>);

impl Policy for Drifting {
    fn spec(&self) -> &PolicySpec {
        self.0.spec()
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()> {
        self.0.forward(input, output)?;
        if self.1.load(Ordering::Relaxed)
            && let Actions::F32(raw) = &mut output.raw_action
        {
            raw.iter_mut().for_each(|x| *x += 0.01);
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_idle_device_is_held_to_its_golden_row_and_ends_the_worker_when_it_gives_another() {
    let broker = TestBroker::start();
    let drifts = Arc::<AtomicBool>::default();
    let switch = drifts.clone();
    let builder = broker.worker().with_canary(Duration::from_millis(20));
    let worker = builder.wrap(|policy| Box::new(Drifting(policy, drifts))).start().await;
    let vitals = worker.vitals.clone();
    until("some rows were right", || vitals.tally().canaries > 3).await;
    action(&broker.client().await, &Native::one(&observation(1))).await;
    assert_eq!(vitals.tally().canary_failures, 0);
    switch.store(true, Ordering::Relaxed);
    assert!(matches!(worker.join().await, Err(Failure::Defect(_))));
    assert_eq!(vitals.tally().canary_failures, 1);
    let reasons = vitals.reasons().join("; ");
    assert!(reasons.contains("golden outputs") && reasons.contains("head[0]"), "{reasons}");
}

#[tokio::test]
async fn a_serving_thread_that_stands_still_for_too_long_ends_the_process() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let about = worker.vitals.about.clone();
    worker.drain().await;
    // Of a worker whose thread has made one turn, and no other.
    let about = About { stall: Duration::from_millis(100), started_at: SystemTime::now(), ..about };
    let vitals = Arc::new(Vitals::new(about, Traces::none()));
    vitals.enter(State::Ready);
    vitals.beat();
    let (end, ended) = mpsc::channel();
    Watchdog::start(vitals, move |why| end.send(why.to_string()).unwrap()).unwrap();
    let why = tokio::task::spawn_blocking(move || ended.recv_timeout(PATIENCE)).await.unwrap();
    assert!(why.unwrap().contains("has made no turn"));
}
