//! Where TLS is asked for, nothing but TLS is spoken, whatever the other side plays.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use carla_rl::{
    settings::{Nats, nats::Tls},
    wire::State,
};

use super::{
    refusals::{assert_refused, refusal},
    site::{HOST, Site, connect},
};
use crate::support::{PATIENCE, TestBroker};

/// What a TLS connection begins with: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

#[tokio::test]
async fn a_broker_that_speaks_plain_text_only_is_refused() {
    let broker = TestBroker::start();
    for nats in asking_for_tls(broker.server.port) {
        let failure = refusal(&nats).await;
        assert!(failure.to_string().contains("does not speak TLS"), "{failure}");
        assert_refused(failure, "nats.url");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_tls_says_nothing_in_plain_text() {
    for i in 0..asking_for_tls(0).len() {
        let eavesdropper = Eavesdropper::listen(0);
        let nats = asking_for_tls(eavesdropper.port).swap_remove(i);
        refusal(&nats).await;
        eavesdropper.assert_heard_tls_only(1);
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_to_a_broker_without_tls_says_nothing_in_plain_text() {
    let mut site = Site::start();
    let mut worker = site.worker().start().await;
    site.broker.server.kill();
    let eavesdropper = Eavesdropper::listen(site.broker.server.port);
    worker.reach(State::Starting).await;
    // Two connections look for the broker, again and again.
    eavesdropper.assert_heard_tls_only(4);
    worker.drain().await;
}

#[tokio::test]
async fn a_broker_that_another_one_has_named_is_spoken_to_in_tls_only() {
    let eavesdropper = Eavesdropper::listen(0);
    let named = format!(
        "cluster {{ name: c, listen: \"127.0.0.1:-1\" }}\nclient_advertise: \"{HOST}:{}\"",
        eavesdropper.port
    );
    let mut site = Site::start_with(&named, false);
    let connection = connect(&site.nats("worker")).await;
    let known = connection.client.server_pool().await.unwrap();
    assert!(known.iter().any(|server| server.is_discovered), "{known:?}");
    site.broker.server.kill();
    eavesdropper.assert_heard_tls_only(2);
}

/// By its address, or by a setting; each with a password that must not get out.
fn asking_for_tls(port: u16) -> Vec<Nats> {
    let folder = tempfile::tempdir().unwrap();
    let nats = |scheme: &str, tls: Tls| Nats {
        servers: format!("{scheme}://ann:s3cret@{HOST}:{port}").parse().unwrap(),
        prefix: "policy".into(),
        inbox_prefix: "_INBOX".into(),
        credentials_file: None,
        nkey_file: None,
        tls,
        connect_timeout: Some(PATIENCE),
        ping_interval: Duration::from_secs(10),
    };
    drop(folder);
    vec![nats("tls", Tls::default()), nats("nats", Tls { first: true, ..Tls::default() })]
}

/// Says what a broker without TLS says, and keeps what it hears.
struct Eavesdropper {
    port: u16,
    heard: Receiver<Vec<u8>>,
}

impl Eavesdropper {
    fn listen(port: u16) -> Self {
        let listener = TcpListener::bind((HOST, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, heard) = channel();
        // It ends with the connection behind which nobody reads any more.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if sender.send(play(stream).unwrap_or_default()).is_err() {
                    return;
                }
            }
        });
        Self { port, heard }
    }

    fn assert_heard_tls_only(&self, connections: usize) {
        for _ in 0..connections {
            let heard = self.heard.recv_timeout(PATIENCE).expect("a client comes");
            assert_eq!(heard.first(), Some(&HANDSHAKE), "{}", String::from_utf8_lossy(&heard));
            for word in ["CONNECT", "s3cret", "PING", "SUB"] {
                let found = heard.windows(word.len()).any(|part| part == word.as_bytes());
                assert!(!found, "{}", String::from_utf8_lossy(&heard));
            }
        }
    }
}

/// Everything that comes on one connection: up to our refusal, and what follows that.
fn play(mut stream: TcpStream) -> std::io::Result<Vec<u8>> {
    let info = r#"{"server_id":"S","server_name":"s","version":"2.15.1","proto":1,"host":"h","port":4222,"headers":true,"max_payload":1048576,"nonce":"abc"}"#;
    write!(stream, "INFO {info}\r\n")?;
    let mut heard = vec![0; 1 << 16];
    let length = stream.read(&mut heard)?;
    heard.truncate(length);
    write!(stream, "-ERR 'Unknown Protocol Operation'\r\n")?;
    // A client that has given up may reset the connection; what it said before counts.
    let _ = stream.read_to_end(&mut heard);
    Ok(heard)
}
