//! Where TLS is asked for, nothing but TLS is spoken, whatever the other side plays.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

use carla_rl::{
    nats::Connection,
    settings::{Nats, nats::Tls},
    wire::State,
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    authority::Authority,
    refusals::{assert_refused, refusal},
    site::{HOST, Site, client, connect, nats_of},
};
use crate::support::{PATIENCE, TestBroker};

/// What a TLS connection begins with: a record of the handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

#[tokio::test]
async fn a_broker_that_speaks_plain_text_only_is_refused() {
    let broker = TestBroker::start();
    let folder = tempfile::tempdir().unwrap();
    for nats in asking_for_tls(folder.path(), broker.server.port) {
        let failure = refusal(&nats).await;
        assert!(failure.to_string().contains("does not speak TLS"), "{failure}");
        assert_refused(failure, "nats.url");
    }
}

#[tokio::test]
async fn a_client_that_asks_for_tls_says_nothing_in_plain_text() {
    let (folder, mut eavesdropper) = (tempfile::tempdir().unwrap(), Eavesdropper::listen(0));
    for nats in asking_for_tls(folder.path(), eavesdropper.port) {
        refusal(&nats).await;
        eavesdropper.assert_heard_tls_only(1).await;
    }
}

#[tokio::test]
async fn a_worker_that_comes_back_to_a_broker_without_tls_says_nothing_in_plain_text() {
    let mut site = Site::start();
    let mut worker = site.worker().start().await;
    site.broker.server.kill();
    let mut eavesdropper = Eavesdropper::listen(site.broker.server.port);
    worker.reach(State::Starting).await;
    // Two connections look for the broker, again and again.
    eavesdropper.assert_heard_tls_only(4).await;
    worker.drain().await;
}

#[tokio::test]
async fn a_broker_that_another_one_has_named_is_spoken_to_in_tls_only() {
    let mut eavesdropper = Eavesdropper::listen(0);
    let route = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap();
    let mut site =
        Site::start_with(&format!("cluster {{ name: pool, listen: \"{route}\" }}"), false);
    let _other = TestBroker::start_with(&[
        "--cluster_name=pool",
        "--cluster=nats://127.0.0.1:-1",
        &format!("--routes=nats://{route}"),
        &format!("--client_advertise={HOST}:{}", eavesdropper.port),
    ]);
    let connection = connect_knowing(&site.nats("worker"), eavesdropper.port).await;
    site.broker.server.kill();
    eavesdropper.assert_heard_tls_only(2).await;
    drop(connection);
}

/// Until the broker tells of another one at `port`, of which it has to be told first.
async fn connect_knowing(nats: &Nats, port: u16) -> Connection {
    let connecting = async {
        loop {
            let connection = connect(nats).await;
            let known = connection.client.server_pool().await.unwrap();
            if known.iter().any(|server| server.addr.port() == port) {
                return connection;
            }
        }
    };
    tokio::time::timeout(PATIENCE, connecting).await.expect("the other one is named")
}

/// By its address, or by one setting; each with a password that must not get out.
fn asking_for_tls(folder: &Path, port: u16) -> Vec<Nats> {
    let authority = Authority::new();
    authority.publish(folder);
    authority.sign(folder, "worker", client("worker"));
    let all = nats_of(folder, "worker", port);
    let servers = |scheme: &str| format!("{scheme}://ann:s3cret@{HOST}:{port}").parse().unwrap();
    let nats = |scheme: &str, tls: Tls| Nats {
        servers: servers(scheme),
        nkey_file: None,
        tls,
        ..all.clone()
    };
    let Tls { ca_file, identity, .. } = all.tls.clone();
    vec![
        nats("tls", Tls::default()),
        nats("nats", Tls { first: true, ..Tls::default() }),
        nats("nats", Tls { ca_file, ..Tls::default() }),
        nats("nats", Tls { identity, ..Tls::default() }),
    ]
}

/// Says what a broker without TLS says, and keeps what it hears.
struct Eavesdropper {
    port: u16,
    heard: UnboundedReceiver<Vec<u8>>,
}

impl Eavesdropper {
    fn listen(port: u16) -> Self {
        let listener = TcpListener::bind((HOST, port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, heard) = unbounded_channel();
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

    async fn assert_heard_tls_only(&mut self, connections: usize) {
        for _ in 0..connections {
            let heard = tokio::time::timeout(PATIENCE, self.heard.recv());
            let heard = heard.await.expect("a client comes").unwrap();
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
