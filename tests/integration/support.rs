//! A broker, workers in threads of their own, and clients.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use async_nats::{Client, HeaderMap, Message};
use carla_rl::{
    artifact::{Artifact, Verified},
    batch,
    broker::{self, Broker},
    failure::Failure,
    policy::{
        Policy,
        device::{Device, Precision},
    },
    settings::{Limits, Nats, nats::Tls},
    telemetry::{About, Vitals, traces::Traces, vitals::STALL},
    wire::{
        Encoding, Scalar, Spec, State,
        view::{Bytes, TensorView, Values},
    },
    worker::{self, Canary, Served, Setup, Stopped},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize, Serializer};
use tokio::sync::watch;

use crate::gate::Gate;

/// Long enough for any answer on a loaded machine; nothing waits for it to pass.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const MODEL: &str = "lane-keeping";
pub const INFER: &str = "policy.v1.infer.lane-keeping";
/// Elements of one observation of the example.
pub const DIM: usize = 21;

/// A server of the test's own.
pub struct TestBroker {
    pub server: Broker,
    _folder: tempfile::TempDir,
}

impl TestBroker {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let given = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
        let binary = broker::find(given.as_deref()).unwrap();
        let server = Broker::start_with(&binary, folder.path(), arguments).unwrap();
        Self { server, _folder: folder }
    }

    pub async fn client(&self) -> Client {
        async_nats::ConnectOptions::new()
            .request_timeout(Some(PATIENCE))
            .connect(self.server.url())
            .await
            .unwrap()
    }

    pub fn nats(&self) -> Nats {
        Nats {
            servers: self.server.url().parse().unwrap(),
            prefix: "policy".into(),
            inbox_prefix: "_INBOX".into(),
            credentials_file: None,
            nkey_file: None,
            tls: Tls::default(),
            connect_timeout: Some(PATIENCE),
            ping_interval: Duration::from_secs(10),
        }
    }

    /// A worker that serves the example.
    pub fn worker(&self) -> Builder {
        Builder::new(self.nats(), &example())
    }
}

/// The folder of the committed example.
pub fn example() -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("artifacts");
    carla_rl::artifact::store::select(&root, MODEL, &"latest".parse().unwrap()).unwrap()
}

/// A worker that is being set up.
pub struct Builder {
    pub nats: Nats,
    pub artifact: Artifact,
    pub policy: Option<Box<dyn Policy>>,
    pub limits: Limits,
    pub batch: batch::Limits,
    pub default_budget: Option<Duration>,
    pub drain_timeout: Duration,
    pub traces: Traces,
    pub stall: Duration,
    pub canary: Option<Canary>,
    verified: Option<Verified>,
}

impl Builder {
    pub fn new(nats: Nats, folder: &std::path::Path) -> Self {
        let artifact = Artifact::open(folder).unwrap();
        let verified = artifact.verify(Device::Cpu, Precision::F32).unwrap();
        Self {
            nats,
            artifact,
            policy: None,
            limits: Limits { queue_rows: 4096, request_rows: 1024, request_bytes: 1 << 20 },
            batch: batch::Limits {
                batch_rows: 64,
                max_delay: Duration::ZERO,
                queue_rows: 4096,
                simulator_requests: 64,
                newest_wins: false,
            },
            default_budget: None,
            drain_timeout: Duration::from_secs(25),
            traces: Traces::none(),
            stall: STALL,
            canary: None,
            verified: Some(verified),
        }
    }

    /// Puts `wrap` around the policy.
    pub fn wrap(mut self, wrap: impl FnOnce(Box<dyn Policy>) -> Box<dyn Policy>) -> Self {
        let verified = self.verified.as_ref().unwrap();
        let again = self.artifact.verify(Device::Cpu, Precision::F32).unwrap().policy;
        assert_eq!(verified.policy.spec(), again.spec());
        self.policy = Some(wrap(Box::new(again)));
        self
    }

    /// With a golden row for a device that has had nothing to do for so long.
    pub fn with_canary(mut self, after: Duration) -> Self {
        let golden = self.artifact.verify(Device::Cpu, Precision::F32).unwrap().golden;
        self.canary = Some(Canary { golden, precision: Precision::F32, after });
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Starts the worker and waits until it is ready.
    pub async fn start(self) -> Worker {
        let mut worker = self.start_early();
        worker.reach(State::Ready).await;
        worker
    }

    /// Starts the worker with a closed gate before its policy, once it has warmed up.
    pub async fn start_gated(self) -> (Worker, Gate) {
        let mut gate = None;
        let before = |policy| {
            let (handle, gated) = Gate::before(policy);
            gate = Some(handle);
            gated
        };
        let worker = self.wrap(before).start().await;
        let gate = gate.unwrap();
        gate.close();
        (worker, gate)
    }

    /// Starts the worker.
    pub fn start_early(mut self) -> Worker {
        let verified = self.verified.take().unwrap();
        let name = format!("{:08x}", rand::random::<u32>());
        let served = Served::new(&self.artifact, &verified, Precision::F32, &self.limits, &name);
        let policy = self.policy.take().unwrap_or_else(|| Box::new(verified.policy));
        let about = About {
            spec: served.spec.clone(),
            prefix: self.nats.prefix.clone(),
            boot_id: format!("boot-{name}"),
            limits: self.batch,
            stall: self.stall,
            load: Duration::ZERO,
            started_at: SystemTime::now(),
        };
        let vitals = Arc::new(Vitals::new(about, self.traces));
        let (stop, stopped) = watch::channel(false);
        let setup = Setup {
            served,
            policy,
            canary: self.canary,
            nats: self.nats,
            drain_timeout: self.drain_timeout,
            default_budget: self.default_budget,
            vitals: vitals.clone(),
        };
        let thread = std::thread::spawn(move || runtime().block_on(worker::run(setup, stopped)));
        Worker { name, stop, vitals, thread }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A running worker.
pub struct Worker {
    pub name: String,
    stop: watch::Sender<bool>,
    pub vitals: Arc<Vitals>,
    thread: JoinHandle<Result<Stopped, Failure>>,
}

impl Worker {
    pub async fn reach(&mut self, state: State) {
        let mut states = self.vitals.states();
        let reached = states.wait_for(|now| *now == state);
        tokio::time::timeout(PATIENCE, reached).await.expect("the state is reached").unwrap();
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits for its end. By then every request that it has taken has ended, once.
    pub async fn join(self) -> Result<Stopped, Failure> {
        let thread = self.thread;
        let ended = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        let tally = self.vitals.tally();
        assert_eq!(tally.received, tally.all_ended());
        ended
    }

    /// Stops the worker and waits for its end.
    pub async fn drain(self) -> Stopped {
        self.stop();
        self.join().await.unwrap()
    }
}

/// A request in the native form.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Native<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obs: Option<Obs<'a>>,
    pub deterministic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub want: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode_start: Option<Bytes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<TensorView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

/// A tensor, or tensors by name in the order in which they are written.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Obs<'a> {
    Tensor(TensorView<'a>),
    #[serde(serialize_with = "as_map")]
    Dict(Vec<(&'a str, TensorView<'a>)>),
}

fn as_map<S: Serializer>(pairs: &[(&str, TensorView)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, tensor)| (name, tensor)))
}

impl<'a> Native<'a> {
    /// One observation of these elements.
    pub fn one(values: &'a [f32]) -> Self {
        Self::shaped(values, vec![values.len()])
    }

    /// Rows of [`DIM`] elements.
    pub fn rows(values: &'a [f32]) -> Self {
        Self::shaped(values, vec![values.len() / DIM, DIM])
    }

    pub fn shaped(values: &'a [f32], shape: Vec<usize>) -> Self {
        Self::of(Obs::Tensor(TensorView::new(shape, Values::F4(values))))
    }

    pub fn of(obs: Obs<'a>) -> Self {
        Self { obs: Some(obs), deterministic: true, ..Self::default() }
    }

    pub fn encode(&self) -> Vec<u8> {
        Encoding::MessagePack.write(self).unwrap()
    }
}

/// A reply as a client reads it.
#[derive(Debug, Deserialize, PartialEq)]
pub struct Reply {
    pub action: Array,
    pub value: Option<Array>,
    pub log_prob: Option<Array>,
    pub raw_action: Option<Array>,
    pub probs: Option<Array>,
    pub q_values: Option<Array>,
    pub state: Option<Carried>,
    pub seed: Option<u64>,
    pub model_version: String,
    pub weights: String,
    pub worker: String,
    pub batch_rows: usize,
    pub queue_us: u64,
    pub compute_us: u64,
    pub id: Option<Scalar>,
}

/// A recurrent policy's state, which means nothing to a client.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Carried(#[serde(with = "bytes")] pub Vec<u8>);

/// The native tensor form.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Array {
    pub dtype: String,
    pub shape: Vec<usize>,
    #[serde(with = "bytes")]
    pub data: Vec<u8>,
}

mod bytes {
    use serde::{Deserializer, de::Visitor};

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

impl Array {
    pub fn f32s(&self) -> Vec<f32> {
        assert_eq!(self.dtype, "f4");
        let (chunks, rest) = self.data.as_chunks::<4>();
        assert!(rest.is_empty());
        chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
    }

    pub fn i64s(&self) -> Vec<i64> {
        assert_eq!(self.dtype, "i8");
        let (chunks, rest) = self.data.as_chunks::<8>();
        assert!(rest.is_empty());
        chunks.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect()
    }
}

pub async fn ask(client: &Client, body: Vec<u8>) -> Message {
    client.request(INFER, body.into()).await.unwrap()
}

pub async fn ask_with(client: &Client, headers: HeaderMap, body: Vec<u8>) -> Message {
    client.request_with_headers(INFER, headers, body.into()).await.unwrap()
}

/// Sends a request; what it returns waits for the reply.
pub async fn send(
    client: &Client,
    subject: &str,
    body: Vec<u8>,
) -> impl Future<Output = Message> + use<> {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.unwrap();
    client.publish_with_reply(subject.to_owned(), inbox, body.into()).await.unwrap();
    client.flush().await.unwrap();
    async move {
        let reply = tokio::time::timeout(PATIENCE, replies.next()).await;
        reply.expect("a reply comes").unwrap()
    }
}

/// The reply to a request that succeeds.
pub async fn action(client: &Client, request: &Native<'_>) -> Reply {
    let message = ask(client, request.encode()).await;
    read(&message)
}

pub fn read(message: &Message) -> Reply {
    assert_eq!(message.headers, None, "{:?}", error_of(message));
    rmp_serde::from_slice(&message.payload).unwrap()
}

/// The error's code and the whole body, as JSON for easy reading.
pub fn error_of(message: &Message) -> serde_json::Value {
    match Encoding::of(&message.payload) {
        Encoding::Json => serde_json::from_slice(&message.payload).unwrap(),
        Encoding::MessagePack => rmp_serde::from_slice(&message.payload).unwrap(),
    }
}

pub async fn spec(client: &Client) -> Spec {
    let message = client.request("policy.v1.spec.lane-keeping", "".into()).await.unwrap();
    rmp_serde::from_slice(&message.payload).unwrap()
}

/// Observation number `i`: different ones, all such as a vehicle might meet.
pub fn observation(i: usize) -> Vec<f32> {
    let value = |j: usize| match j {
        0 => (i * 7 % 90) as f32,
        1 => ((i % 21) as f32 - 10.0) / 20.0,
        _ => 3.0 + ((i * 31 + j * 17) % 50) as f32,
    };
    (0..DIM).map(value).collect()
}

/// What the example does for an observation, computed without a worker.
pub fn expected(observations: &[f32]) -> Vec<f32> {
    use carla_rl::{
        policy::{Actions, Input, Mode, Output},
        wire::{Observations, Wants},
    };
    let artifact = Artifact::open(&example()).unwrap();
    let mut policy = artifact.verify(Device::Cpu, Precision::F32).unwrap().policy;
    let input = Input::new(
        Observations::F32(observations.to_vec()),
        vec![Mode::Deterministic; observations.len() / DIM],
        Wants::default(),
    );
    let mut output = Output::default();
    policy.forward(&input, &mut output).unwrap();
    match output.action {
        Actions::F32(action) => action,
        Actions::I64(_) => panic!("the example's actions are a box"),
    }
}

pub fn assert_close(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= 2e-6, "{got} is not {expected}");
    }
}

/// Waits until `condition` holds, looking again every millisecond: for what a test can only see.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what}"));
}
