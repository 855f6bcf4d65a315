//! Simulators that say who they are share a worker fairly.

use std::time::Duration;

use carla_rl::wire::State;

use crate::{
    asker::Asker,
    support::{TestBroker, until},
};

#[tokio::test]
async fn simulators_take_turns_whoever_sent_more_before() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.batch_rows = 1);
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[]).await;
    until("the device has the first", || gate.batches() == [1]).await;
    for i in [10, 11, 12] {
        asker.ask(i, &[("Env-Id", "greedy")]).await;
    }
    asker.ask(20, &[("Env-Id", "b")]).await;
    asker.ask(30, &[("Env-Id", "c")]).await;
    asker.ask(21, &[("Env-Id", "b")]).await;
    asker.settle().await;
    gate.open();
    assert_eq!(asker.actions(7).await, [0, 10, 20, 30, 11, 21, 12]);
    worker.drain().await;
}

#[tokio::test]
async fn a_simulator_with_too_many_open_requests_is_refused_and_the_others_are_not() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.simulator_requests = 2);
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    for i in 0..3 {
        asker.ask(i, &[("Env-Id", "greedy")]).await;
    }
    let (number, error) = asker.error().await;
    assert_eq!(
        (number, &error["code"], &error["field"]),
        (2, &"overloaded".into(), &"Env-Id".into())
    );
    asker.ask(3, &[("Env-Id", "modest")]).await;
    asker.settle().await;
    gate.open();
    let mut served = asker.actions(3).await;
    served.sort_unstable();
    assert_eq!(served, [0, 1, 3]);
    asker.ask(4, &[("Env-Id", "greedy")]).await;
    assert_eq!(asker.actions(1).await, [4], "what was computed is open no more");
    assert_eq!(*worker.vitals.states().borrow(), State::Ready);
    worker.drain().await;
}

#[tokio::test]
async fn a_later_observation_supersedes_the_one_that_waits_if_the_newest_is_to_win() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.newest_wins = true);
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[("Env-Id", "a")]).await;
    until("the device has the first", || gate.batches() == [1]).await;
    for i in 1..4 {
        asker.ask(i, &[("Env-Id", "a")]).await;
    }
    asker.ask(4, &[]).await;
    for i in 1..3 {
        let (number, error) = asker.error().await;
        assert_eq!((number, &error["code"]), (i, &"superseded".into()));
    }
    asker.settle().await;
    gate.open();
    let mut served = asker.actions(3).await;
    served.sort_unstable();
    assert_eq!(served, [0, 3, 4], "what is computed stays, and so does who has no name");
    assert_eq!(gate.batches(), [1, 2]);
    let stopped = worker.drain().await;
    assert_eq!((stopped.answered["ok"], stopped.answered["superseded"]), (3, 2));
}

#[tokio::test]
async fn a_fleet_in_lock_step_does_not_wait_for_the_delay() {
    let broker = TestBroker::start();
    let hour = Duration::from_secs(3600);
    let worker = broker.worker().with(|worker| worker.batch.max_delay = hour).start().await;
    let mut asker = Asker::new(&broker).await;
    // Nobody else has ever asked: the first one is the whole fleet.
    asker.ask(0, &[("Env-Id", "a")]).await;
    assert_eq!(asker.actions(1).await, [0]);
    asker.ask(1, &[("Env-Id", "b")]).await;
    asker.settle().await;
    asker.ask(2, &[("Env-Id", "a")]).await;
    assert_eq!(asker.actions(2).await, [1, 2]);
    let closed: Vec<_> = worker.vitals.tally().closed().filter(|(_, count)| *count > 0).collect();
    assert!(matches!(closed[..], [("lockstep", _)]), "{closed:?}");
    worker.drain().await;
}
