//! A pool of one worker that serves a draft and computes a batch only when it is told to.

use async_nats::{Client, Message};
use carla_rl::{
    artifact::{self, Draft},
    wire::{Code, Spec},
};
use serde_json::Value;

use crate::{
    gate::Gate,
    support::{Builder, Native, Reply, TestBroker, Worker, error_of, read, send, until},
};

pub struct Pool {
    model: String,
    client: Client,
    gate: Gate,
    worker: Worker,
    _broker: TestBroker,
    _root: tempfile::TempDir,
}

impl Pool {
    /// Its batches have at most `batch_rows` rows.
    pub async fn of(draft: Draft, batch_rows: usize) -> Self {
        let (broker, root) = (TestBroker::start(), tempfile::tempdir().unwrap());
        let model = draft.card.name.clone();
        let folder = artifact::create(root.path(), draft).unwrap().folder;
        let builder = Builder::new(broker.nats(), &folder);
        let builder = builder.with(|worker| worker.batch.batch_rows = batch_rows);
        let (worker, gate) = builder.start_gated().await;
        let client = broker.client().await;
        Self { model, client, gate, worker, _broker: broker, _root: root }
    }

    /// The reply to a request that is alone in its batch.
    pub async fn alone(&self, request: &Native<'_>) -> Reply {
        let reply = read(&self.computed(request.encode()).await);
        assert_eq!(self.gate.batches().last(), Some(&reply.batch_rows));
        reply
    }

    /// The same for any body.
    pub async fn computed(&self, body: Vec<u8>) -> Message {
        self.gate.pass();
        self.ask(body).await
    }

    /// The error that a request gets without being computed: its code and its field.
    pub async fn refused(&self, request: &Native<'_>) -> (Code, Option<String>) {
        let error = error_of(&self.ask(request.encode()).await)["error"].take();
        let code = serde_json::from_value(error["code"].clone()).unwrap();
        (code, error["field"].as_str().map(String::from))
    }

    /// The replies to requests that meet in the queue in this order, and the rows of the batches
    /// that they became. The first of them is one row: it is sent once more, to hold the device.
    pub async fn together(&self, requests: &[Native<'_>]) -> (Vec<Reply>, Vec<usize>) {
        let computed = self.gate.batches().len();
        let held = self.send(&requests[0]).await;
        until("the device is held", || self.gate.batches().len() > computed).await;
        let mut waiting = Vec::with_capacity(requests.len());
        for request in requests {
            waiting.push(self.send(request).await);
        }
        // An error is answered at once, behind whatever came before on the same connection.
        error_of(&self.ask(vec![]).await);
        self.gate.open();
        held.await;
        let mut replies = Vec::with_capacity(waiting.len());
        for reply in waiting {
            replies.push(read(&reply.await));
        }
        let batches = self.gate.batches().split_off(computed + 1);
        self.gate.close();
        (replies, batches)
    }

    pub async fn spec(&self) -> Spec {
        rmp_serde::from_slice(&self.ask_spec("").await.payload).unwrap()
    }

    pub async fn spec_in_json(&self) -> Value {
        serde_json::from_slice(&self.ask_spec("{}").await.payload).unwrap()
    }

    /// Ends the worker.
    pub async fn drain(self) {
        self.worker.drain().await;
    }

    async fn ask(&self, body: Vec<u8>) -> Message {
        self.client.request(self.subject("infer"), body.into()).await.unwrap()
    }

    async fn ask_spec(&self, body: &'static str) -> Message {
        self.client.request(self.subject("spec"), body.into()).await.unwrap()
    }

    async fn send(&self, request: &Native<'_>) -> impl Future<Output = Message> + use<> {
        send(&self.client, &self.subject("infer"), request.encode()).await
    }

    fn subject(&self, what: &str) -> String {
        format!("policy.v1.{what}.{}", self.model)
    }
}
