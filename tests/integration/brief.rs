//! On which thread a batch is computed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use async_nats::Client;
use carla_rl::{
    failure::Failure,
    policy::{Actions, Input, Output, Policy, PolicySpec},
};
use tokio::time::timeout;

use crate::support::{INFER, Native, PATIENCE, TestBroker, Worker, action, error_of, observation};

/// A policy that may be computed anywhere, and notes where it was. All its actions are zeros.
struct Noting {
    inner: Box<dyn Policy>,
    takes: Duration,
    threads: Arc<Mutex<Vec<Option<String>>>>,
    panics: Arc<AtomicBool>,
}

impl Policy for Noting {
    fn spec(&self) -> &PolicySpec {
        self.inner.spec()
    }

    fn runs_inline(&self) -> bool {
        true
    }

    fn forward(&mut self, input: &Input, output: &mut Output) -> candle_core::Result<()> {
        self.threads.lock().unwrap().push(thread::current().name().map(String::from));
        assert!(!self.panics.load(Ordering::Relaxed), "a defect, on purpose");
        if !self.takes.is_zero() {
            thread::sleep(self.takes);
        }
        let rows = input.modes.len();
        output.action = Actions::F32(vec![0.0; rows * self.spec().action_space.size()]);
        output.raw_action = output.action.clone();
        output.sound = vec![true; rows];
        Ok(())
    }
}

struct Noted {
    worker: Worker,
    client: Client,
    threads: Arc<Mutex<Vec<Option<String>>>>,
    panics: Arc<AtomicBool>,
}

impl Noted {
    async fn start(broker: &TestBroker, takes: Duration) -> Self {
        let (threads, panics) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (noted, armed) = (threads.clone(), panics.clone());
        let wrap = |inner| Box::new(Noting { inner, takes, threads: noted, panics: armed }) as _;
        let worker = broker.worker().wrap(wrap).start().await;
        threads.lock().unwrap().clear();
        Self { worker, client: broker.client().await, threads, panics }
    }

    /// Asks for one row, and tells on which thread it was computed.
    async fn ask(&self) -> Option<String> {
        action(&self.client, &Native::one(&observation(0))).await;
        self.threads.lock().unwrap().pop().unwrap()
    }

    /// The device thread has begun to wait.
    async fn until_brief(&self) {
        let brief = async { while self.ask().await.is_some() {} };
        timeout(PATIENCE, brief).await.expect("a batch is computed where requests are read");
    }
}

#[tokio::test]
async fn a_brief_batch_is_computed_where_requests_are_read() {
    let broker = TestBroker::start();
    let noted = Noted::start(&broker, Duration::ZERO).await;
    noted.until_brief().await;
    let received = noted.worker.vitals.tally().received;
    let stopped = noted.worker.drain().await;
    assert_eq!(stopped.received, received);
}

#[tokio::test]
async fn a_batch_that_takes_long_is_left_to_the_device_thread() {
    let broker = TestBroker::start();
    let noted = Noted::start(&broker, Duration::from_millis(1)).await;
    for _ in 0..20 {
        assert_eq!(noted.ask().await.as_deref(), Some("device"));
    }
    noted.worker.drain().await;
}

#[tokio::test]
async fn a_panic_where_requests_are_read_is_answered_and_ends_the_worker() {
    let broker = TestBroker::start();
    let noted = Noted::start(&broker, Duration::ZERO).await;
    noted.until_brief().await;
    noted.panics.store(true, Ordering::Relaxed);
    let request = Native::one(&observation(0)).encode();
    let reply = noted.client.request(INFER, request.into()).await.unwrap();
    assert_eq!(error_of(&reply)["error"]["code"], "internal");
    let ended = noted.worker.join().await;
    assert!(matches!(ended, Err(Failure::Defect(_))), "{ended:?}");
}
