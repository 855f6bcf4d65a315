//! A client that sends numbered requests with headers and hears the answers in their order.

use async_nats::{Client, HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use serde_json::Value;

use crate::support::{INFER, Native, PATIENCE, TestBroker, error_of, observation};

pub struct Asker {
    pub client: Client,
    inbox: String,
    replies: Subscriber,
}

impl Asker {
    pub async fn new(broker: &TestBroker) -> Self {
        let client = broker.client().await;
        let inbox = client.new_inbox();
        let replies = client.subscribe(format!("{inbox}.*")).await.unwrap();
        Self { client, inbox, replies }
    }

    /// Asks for the action of observation `i`.
    pub async fn ask(&self, i: usize, headers: &[(&str, &str)]) {
        let body = Native { id: Some(i as u64), ..Native::one(&observation(i)) }.encode();
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        let inbox = format!("{}.{i}", self.inbox);
        self.client.publish_with_reply_and_headers(INFER, inbox, map, body.into()).await.unwrap();
    }

    /// Waits until the worker has taken all that was asked so far.
    pub async fn settle(&self) {
        // A broken request is answered at once, behind whatever came before on this connection.
        error_of(&self.client.request(INFER, "".into()).await.unwrap());
    }

    /// The next answer, and whose it is.
    pub async fn next(&mut self) -> (usize, Message) {
        let reply = tokio::time::timeout(PATIENCE, self.replies.next()).await;
        let reply = reply.expect("a reply comes").unwrap();
        let number = reply.subject.rsplit('.').next().unwrap().parse().unwrap();
        (number, reply)
    }

    /// The numbers of the next `count` answers, all of which are actions.
    pub async fn actions(&mut self, count: usize) -> Vec<usize> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let (number, reply) = self.next().await;
            assert_eq!(reply.headers, None, "{}", error_of(&reply));
            numbers.push(number);
        }
        numbers
    }

    /// The next answer, which is an error.
    pub async fn error(&mut self) -> (usize, Value) {
        let (number, reply) = self.next().await;
        assert!(reply.headers.is_some(), "it is an action");
        let error = error_of(&reply);
        assert_eq!(error["id"], number, "an error says which request it is about");
        (number, error["error"].clone())
    }
}
