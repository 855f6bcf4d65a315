//! The NATS services API, by which tools find the workers of a pool: `$SRV.PING`, `$SRV.INFO` and
//! `$SRV.STATS`, each also with the service's name, and with name and worker, behind it. (NATS
//! Architecture and Design, ADR-32.)

use std::{collections::BTreeMap, sync::Arc};

use async_nats::{Client, Message, Subscriber};
use futures_util::{StreamExt, stream::select_all};
use serde::Serialize;

use super::{
    Outcome,
    desk::{Desk, rfc3339},
};
use crate::wire::{
    Encoding,
    subjects::{self, is_inbox},
};

const VERBS: [(&str, Verb); 3] =
    [("PING", Verb::Ping), ("INFO", Verb::Info), ("STATS", Verb::Stats)];

#[derive(Clone, Copy)]
enum Verb {
    Ping,
    Info,
    Stats,
}

/// Answers as long as the connection lives, through reconnections.
pub async fn answer(desk: Arc<Desk>, client: Client) {
    let mut questions = Vec::new();
    for (name, verb) in VERBS {
        for subject in asked(name, &desk) {
            match client.subscribe(subject).await {
                Ok(subscriber) => questions.push(asking(subscriber, verb)),
                Err(error) => return tracing::warn!(%error, "no answers on $SRV"),
            }
        }
    }
    let mut questions = select_all(questions);
    while let Some((message, verb)) = questions.next().await {
        if let Some(error) = reply(&desk, &client, message, verb).await.err() {
            tracing::warn!(error, "a question on $SRV went unanswered");
        }
    }
}

fn asking(
    subscriber: Subscriber,
    verb: Verb,
) -> impl futures_util::Stream<Item = (Message, Verb)> + Unpin {
    subscriber.map(move |message| (message, verb))
}

/// To all services, to those of our name, to us.
fn asked(verb: &str, desk: &Desk) -> [String; 3] {
    let spec = &desk.vitals.about.spec;
    [
        format!("$SRV.{verb}"),
        format!("$SRV.{verb}.{}", spec.model),
        format!("$SRV.{verb}.{}.{}", spec.model, spec.worker),
    ]
}

async fn reply(desk: &Desk, client: &Client, message: Message, verb: Verb) -> Result<(), String> {
    let subject = message.subject;
    let Some(inbox) = message.reply.filter(|inbox| is_inbox(inbox, &subject)) else {
        return Ok(());
    };
    let body = match verb {
        Verb::Ping => Encoding::Json.write(&service(desk, "ping")),
        Verb::Info => Encoding::Json.write(&info(desk)),
        Verb::Stats => Encoding::Json.write(&stats(desk)),
    };
    let body = body.map_err(|error| error.to_string())?;
    client.publish(inbox, body.into()).await.map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Service<'a> {
    r#type: String,
    name: &'a str,
    id: &'a str,
    version: &'a str,
    metadata: BTreeMap<&'static str, &'a str>,
}

fn service<'a>(desk: &'a Desk, kind: &str) -> Service<'a> {
    let about = &desk.vitals.about;
    let spec = &about.spec;
    let metadata = BTreeMap::from([
        ("algorithm", spec.algorithm.as_str()),
        ("boot_id", &about.boot_id),
        ("carla_rl", env!("CARGO_PKG_VERSION")),
        ("device", &spec.device),
        ("precision", &spec.precision),
        ("prefix", &about.prefix),
        ("weights", &spec.weights),
    ]);
    Service {
        r#type: format!("io.nats.micro.v1.{kind}_response"),
        name: &spec.model,
        id: &spec.worker,
        version: &spec.model_version,
        metadata,
    }
}

#[derive(Serialize)]
struct Info<'a> {
    #[serde(flatten)]
    service: Service<'a>,
    description: &'static str,
    endpoints: Vec<Endpoint<'a>>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'static str,
    subject: String,
    queue_group: &'a str,
    metadata: BTreeMap<&'static str, &'static str>,
}

fn info(desk: &Desk) -> Info<'_> {
    let description = "inference worker: observations in, actions out";
    Info { service: service(desk, "info"), description, endpoints: endpoints(desk).into() }
}

fn endpoints(desk: &Desk) -> [Endpoint<'_>; 2] {
    let about = &desk.vitals.about;
    let model = &about.spec.model;
    let endpoint = |name, subject, takes| Endpoint {
        name,
        subject,
        queue_group: model,
        metadata: BTreeMap::from([("takes", takes)]),
    };
    [
        endpoint("infer", subjects::infer(&about.prefix, model), "MessagePack or JSON"),
        endpoint("spec", subjects::spec(&about.prefix, model), "anything"),
    ]
}

#[derive(Serialize)]
struct Stats<'a> {
    #[serde(flatten)]
    service: Service<'a>,
    /// RFC 3339, UTC.
    started: String,
    endpoints: Vec<EndpointStats<'a>>,
}

/// Times in ns.
#[derive(Serialize)]
struct EndpointStats<'a> {
    #[serde(flatten)]
    endpoint: Endpoint<'a>,
    num_requests: u64,
    num_errors: u64,
    last_error: &'static str,
    processing_time: u64,
    average_processing_time: u64,
    /// Clients rely on its being there, empty or not.
    data: BTreeMap<&'static str, u64>,
}

fn stats(desk: &Desk) -> Stats<'_> {
    let [infer, spec] = endpoints(desk);
    let started = rfc3339(desk.vitals.about.started_at);
    let endpoints = vec![infer_stats(desk, infer), spec_stats(desk, spec)];
    Stats { service: service(desk, "stats"), started, endpoints }
}

fn infer_stats<'a>(desk: &Desk, endpoint: Endpoint<'a>) -> EndpointStats<'a> {
    let queue = desk.vitals.queue();
    let tally = desk.vitals.tally();
    let (queued, inflight) = tally.split(queue.requests);
    let time = (tally.request_duration.sum() * 1e9) as u64;
    let answered = tally.count(Outcome::Ok);
    EndpointStats {
        endpoint,
        num_requests: tally.received,
        num_errors: tally.all_ended() - answered,
        last_error: tally.last_error.unwrap_or_default(),
        processing_time: time,
        average_processing_time: time.checked_div(answered).unwrap_or(0),
        data: BTreeMap::from([
            ("batches", tally.closed().map(|(_, count)| count).sum()),
            ("queued_requests", queued),
            ("queued_rows", queue.rows),
            ("inflight_requests", inflight),
        ]),
    }
}

fn spec_stats<'a>(desk: &Desk, endpoint: Endpoint<'a>) -> EndpointStats<'a> {
    let specs = desk.vitals.specs();
    let (answered, time) = (specs.count(Outcome::Ok), specs.spent_ns());
    EndpointStats {
        endpoint,
        num_requests: specs.total(),
        num_errors: specs.total().saturating_sub(answered),
        last_error: "",
        processing_time: time,
        average_processing_time: time.checked_div(answered).unwrap_or(0),
        data: BTreeMap::new(),
    }
}
