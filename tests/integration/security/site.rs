//! A broker with the shipped secured.conf, and the three roles that it knows.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use async_nats::Client;
use carla_rl::{
    nats::{self, Connection, Link},
    settings::{
        Nats,
        nats::{Identity, Tls},
    },
};

use super::authority::{Authority, Claim, Usage};
use crate::{
    command_line::{here, program},
    support::{Builder, PATIENCE, TestBroker, example},
};

pub const ROLES: [&str; 3] = ["worker", "simulator", "observer"];
/// What the broker's certificate is for.
pub const HOST: &str = "127.0.0.1";

/// The folder with certificates, keys and configuration, as make-secrets lays it out; and a server.
pub struct Site {
    pub broker: TestBroker,
    pub authority: Authority,
    folder: tempfile::TempDir,
}

pub fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nats")
}

impl Site {
    pub fn start() -> Self {
        Self::start_with("", false)
    }

    /// The same with further lines of configuration, and a certificate that may have expired.
    pub fn start_with(more: &str, expired: bool) -> Self {
        let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        authority.publish(folder.path());
        let server = Claim { name: HOST, usage: Usage::Server, expired };
        authority.sign(folder.path(), "server", server);
        write_configuration(folder.path(), more);
        for role in ROLES {
            authority.sign(folder.path(), role, client(role));
        }
        let broker = start(folder.path());
        Self { broker, authority, folder }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub fn nats(&self, role: &str) -> Nats {
        nats_of(self.folder.path(), role, self.broker.server.port)
    }

    pub fn worker(&self) -> Builder {
        Builder::new(self.nats("worker"), &example())
    }

    /// The program with the role's settings in its environment.
    pub fn program(&self, role: &str, arguments: &[&str]) -> Command {
        let mut command = program(here(), arguments);
        command
            .env("NATS_URL", format!("tls://{HOST}:{}", self.broker.server.port))
            .env("NATS_INBOX_PREFIX", format!("_INBOX_{role}"))
            .env("NATS_TLS_CA_FILE", self.path("ca.pem"))
            .env("NATS_TLS_CERT_FILE", self.path(&format!("{role}.pem")))
            .env("NATS_TLS_KEY_FILE", self.path(&format!("{role}.key")))
            .env("NATS_NKEY_FILE", self.path(&format!("{role}.nk")));
        command
    }

    pub async fn connect(&self, role: &str) -> Connection {
        connect(&self.nats(role)).await
    }

    pub async fn client(&self, role: &str) -> Client {
        self.connect(role).await.client
    }
}

pub async fn connect(nats: &Nats) -> Connection {
    nats::connect(nats, "test").await.unwrap()
}

/// What the broker forbids next; what it says of the connection itself is passed over.
pub async fn forbidden(connection: &mut Connection) -> Link {
    let next = async {
        loop {
            match connection.events.recv().await.unwrap() {
                Link::Up | Link::Down => {}
                link => return link,
            }
        }
    };
    tokio::time::timeout(PATIENCE, next).await.expect("the broker forbids something")
}

pub fn client(name: &str) -> Claim<'_> {
    Claim { name, usage: Usage::Client, expired: false }
}

/// A role's settings with the files in `folder`.
pub fn nats_of(folder: &Path, role: &str, port: u16) -> Nats {
    let file = |kind: &str| folder.join(format!("{role}.{kind}"));
    Nats {
        servers: format!("tls://{HOST}:{port}").parse().unwrap(),
        prefix: "policy".into(),
        inbox_prefix: format!("_INBOX_{role}"),
        credentials_file: None,
        nkey_file: Some(file("nk")),
        tls: Tls {
            ca_file: Some(folder.join("ca.pem")),
            identity: Some(Identity { cert_file: file("pem"), key_file: file("key") }),
            first: false,
        },
        connect_timeout: Some(PATIENCE),
        ping_interval: Duration::from_secs(10),
    }
}

pub fn start(folder: &Path) -> TestBroker {
    let configuration = folder.join("secured.conf");
    // Tests run side by side: the shipped port for monitoring is for one broker only.
    TestBroker::start_with(&["-c", configuration.to_str().unwrap(), "-m", "-1"])
}

fn write_configuration(folder: &Path, more: &str) {
    let quoted = |file: &str| format!("\"{}\"", folder.join(file).display());
    let mut site = format!(
        "SERVER_CERT: {}\nSERVER_KEY: {}\nCA: {}\n{more}\n",
        quoted("server.pem"),
        quoted("server.key"),
        quoted("ca.pem")
    );
    for role in ROLES {
        let key = nkeys::KeyPair::new_user();
        fs::write(folder.join(format!("{role}.nk")), key.seed().unwrap()).unwrap();
        site += &format!("{}: {}\n", role.to_uppercase(), key.public_key());
    }
    fs::write(folder.join("site.conf"), site).unwrap();
    copy_configuration(folder);
}

/// The shipped files, as they are.
pub fn copy_configuration(folder: &Path) {
    for file in ["pool.conf", "secured.conf"] {
        fs::copy(deploy().join(file), folder.join(file)).unwrap();
    }
}
