//! Requests get their answers in time, or hear at once that they won't.

use std::time::Duration;

use carla_rl::{
    policy::{Input, Output, Policy, PolicySpec},
    wire::State,
};

use crate::{
    asker::Asker,
    support::{TestBroker, assert_close, expected, observation, read, until},
};

#[tokio::test]
async fn what_expires_while_it_waits_is_told_so_at_once_and_never_computed() {
    let broker = TestBroker::start();
    let (worker, gate) = broker.worker().start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[]).await;
    until("the device has the first", || gate.batches() == [1]).await;
    asker.ask(1, &[("Deadline-Ms", "20")]).await;
    asker.ask(2, &[]).await;
    // The device still stands.
    let (number, error) = asker.error().await;
    assert_eq!((number, &error["code"]), (1, &"expired".into()));
    assert_eq!(error["field"], "Deadline-Ms");
    gate.open();
    assert_eq!(asker.actions(2).await, [0, 2]);
    assert_eq!(gate.batches(), [1, 1]);
    assert_eq!(worker.drain().await.answered["expired"], 1);
}

#[tokio::test]
async fn without_a_header_the_workers_own_deadline_holds() {
    let broker = TestBroker::start();
    let budget = Some(Duration::from_millis(20));
    let builder = broker.worker().with(|worker| worker.default_budget = budget);
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[("Deadline-Ms", "60000")]).await;
    until("the device has the first", || gate.batches() == [1]).await;
    asker.ask(1, &[("Deadline-Ms", "60000")]).await;
    asker.ask(2, &[]).await;
    assert_eq!(asker.error().await.0, 2);
    gate.open();
    assert_eq!(asker.actions(2).await, [0, 1]);
    worker.drain().await;
}

#[tokio::test]
async fn a_budget_that_was_used_up_on_the_way_is_not_spent_here() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let mut asker = Asker::new(&broker).await;
    for (i, budget) in ["0", "-12.5"].into_iter().enumerate() {
        asker.ask(i, &[("deadline-ms", budget)]).await;
        assert_eq!(asker.error().await.1["code"], "expired");
    }
    let stopped = worker.drain().await;
    assert_eq!(stopped.answered.keys().collect::<Vec<_>>(), [&"expired"]);
}

#[tokio::test]
async fn a_header_that_can_not_be_read_is_an_error_that_names_it() {
    let broker = TestBroker::start();
    let worker = broker.worker().start().await;
    let mut asker = Asker::new(&broker).await;
    for (i, (name, value, code)) in [
        ("Deadline-Ms", "soon", "malformed"),
        ("Priority", "urgent", "malformed"),
        ("Priority", "10", "invalid_value"),
        ("Env-Id", "", "invalid_value"),
    ]
    .into_iter()
    .enumerate()
    {
        asker.ask(i, &[(name, value)]).await;
        let (_, error) = asker.error().await;
        assert_eq!((&error["code"], &error["field"]), (&code.into(), &name.into()), "{value}");
    }
    worker.drain().await;
}

#[tokio::test]
async fn the_nearest_deadline_of_the_highest_priority_goes_first() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.batch_rows = 1);
    let (worker, gate) = builder.start_gated().await;
    let mut asker = Asker::new(&broker).await;
    asker.ask(0, &[]).await;
    until("the device has the first", || gate.batches() == [1]).await;
    asker.ask(1, &[]).await;
    asker.ask(2, &[("Deadline-Ms", "60000")]).await;
    asker.ask(3, &[("Deadline-Ms", "50000")]).await;
    asker.ask(4, &[("Priority", "0")]).await;
    asker.ask(5, &[("Priority", "4"), ("Deadline-Ms", "59000")]).await;
    asker.settle().await;
    gate.open();
    assert_eq!(asker.actions(6).await, [0, 4, 5, 3, 2, 1]);
    worker.drain().await;
}

/// A policy that takes its time.
struct Slow(Box<dyn Policy>, Duration);

impl Policy for Slow {
    fn spec(&self) -> &PolicySpec {
        self.0.spec()
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()> {
        std::thread::sleep(self.1);
        self.0.forward(input, output)
    }
}

#[tokio::test]
async fn what_can_not_be_done_in_time_is_refused_on_arrival_and_the_worker_stays() {
    let broker = TestBroker::start();
    let builder = broker.worker().with(|worker| worker.batch.batch_rows = 1);
    let slow = |policy| Box::new(Slow(policy, Duration::from_millis(1000))) as Box<dyn Policy>;
    let worker = builder.wrap(slow).start().await;
    let mut asker = Asker::new(&broker).await;
    // A free device takes it, though it will be late.
    asker.ask(0, &[("Deadline-Ms", "900")]).await;
    until("the device has the first", || !worker.vitals.computing().is_zero()).await;
    asker.ask(1, &[("Deadline-Ms", "60000")]).await;
    asker.ask(2, &[("Deadline-Ms", "30")]).await;
    let (number, error) = asker.error().await;
    assert_eq!((number, &error["code"]), (2, &"overloaded".into()), "{error}");
    assert_eq!(error["field"], "Deadline-Ms");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 500, "{error}");
    let (number, reply) = asker.next().await;
    assert_eq!(number, 0);
    assert_close(&read(&reply).action.f32s(), &expected(&observation(0)));
    assert_eq!(asker.actions(1).await, [1]);
    assert_eq!(*worker.vitals.states().borrow(), State::Ready);
    worker.drain().await;
}
