//! The connection to the broker.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::problem::Expected;
use super::servers::{Servers, is_seed};
use super::values::{Values, path};
use crate::wire::subjects::is_token;

/// A day: beyond it a wait is a mistake, and adding it to a clock stays far from an overflow.
const LONGEST_WAIT: f64 = 86_400.0;

const URL: Key = Key::secret_text("nats", "url");
const PREFIX: Key = Key::text("nats", "prefix");
const INBOX_PREFIX: Key = Key::text("nats", "inbox_prefix");
const CREDENTIALS_FILE: Key = Key::optional_text("nats", "credentials_file");
const NKEY_FILE: Key = Key::optional_text("nats", "nkey_file");
const TLS_CA_FILE: Key = Key::optional_text("nats", "tls_ca_file");
const TLS_CERT_FILE: Key = Key::optional_text("nats", "tls_cert_file");
const TLS_KEY_FILE: Key = Key::optional_text("nats", "tls_key_file");
const TLS_FIRST: Key = Key::switch("nats", "tls_first");
const CONNECT_TIMEOUT_S: Key = Key::seconds("nats", "connect_timeout_s", (0.0, LONGEST_WAIT));
const PING_INTERVAL_S: Key = Key::seconds("nats", "ping_interval_s", (1.0, 300.0));

pub(super) const KEYS: &[Key] = &[
    URL,
    PREFIX,
    INBOX_PREFIX,
    CREDENTIALS_FILE,
    NKEY_FILE,
    TLS_CA_FILE,
    TLS_CERT_FILE,
    TLS_KEY_FILE,
    TLS_FIRST,
    CONNECT_TIMEOUT_S,
    PING_INTERVAL_S,
];

/// Section `nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    pub servers: Servers,
    /// What every subject begins with: tokens joined by dots.
    pub prefix: String,
    /// What the subjects begin with on which this client gets its own replies.
    pub inbox_prefix: String,
    /// A `.creds` file with the user's JWT and key.
    pub credentials_file: Option<PathBuf>,
    /// A file with the seed of the user's nkey; not beside `credentials_file`.
    pub nkey_file: Option<PathBuf>,
    pub tls: Tls,
    /// How long the start waits for a broker; `None` waits for ever.
    pub connect_timeout: Option<Duration>,
    /// How often the client asks whether the broker is still there.
    pub ping_interval: Duration,
}

/// How the connection is encrypted. Any of these means TLS or nothing, as does a `tls://` address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// Whom to trust, in place of the machine's own list.
    pub ca_file: Option<PathBuf>,
    pub identity: Option<Identity>,
    /// The handshake comes before the broker's first word, so nothing at all passes in the clear.
    pub first: bool,
}

/// The client's certificate and its private key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

impl Nats {
    /// Whether an unencrypted connection is out of the question: with any server, also one that
    /// another server has named.
    pub fn requires_tls(&self) -> bool {
        self.tls != Tls::default() || self.servers.addresses().iter().any(|s| s.tls_required())
    }

    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let servers = values.text(&URL, str::parse);
        let inbox_prefix = values.text(&INBOX_PREFIX, prefix);
        let prefix = values.text(&PREFIX, prefix);
        let credentials_file = values.optional(&CREDENTIALS_FILE, secret_path);
        let nkey_file = values.optional(&NKEY_FILE, secret_path);
        let tls = Tls::read(values);
        let connect_timeout = values.seconds(&CONNECT_TIMEOUT_S);
        let ping_interval = values.seconds(&PING_INTERVAL_S);
        Some(Self {
            servers: servers?,
            prefix: prefix?,
            inbox_prefix: inbox_prefix?,
            credentials_file: credentials_file?,
            nkey_file: nkey_file?,
            tls: tls?,
            connect_timeout: Some(connect_timeout?).filter(|timeout| !timeout.is_zero()),
            ping_interval: ping_interval?,
        })
    }
}

impl Tls {
    fn read(values: &mut Values) -> Option<Self> {
        let ca_file = values.optional(&TLS_CA_FILE, secret_path);
        let cert_file = values.optional(&TLS_CERT_FILE, secret_path);
        let key_file = values.optional(&TLS_KEY_FILE, secret_path);
        let first = values.switch(&TLS_FIRST);
        let (cert_file, key_file) = (cert_file?, key_file?);
        let identity = cert_file.zip(key_file);
        let identity = identity.map(|(cert_file, key_file)| Identity { cert_file, key_file });
        Some(Self { ca_file: ca_file?, identity, first: first? })
    }
}

/// There is one way to log in, and a certificate is nothing without its key. This holds for the
/// layers together: one of them may well set a single side.
pub(super) fn check_pairs(values: &mut Values) {
    let mut is_set = |key| values.optional(key, path).flatten().is_some();
    let nkey_beside_credentials = is_set(&NKEY_FILE) && is_set(&CREDENTIALS_FILE);
    let (cert, key) = (is_set(&TLS_CERT_FILE), is_set(&TLS_KEY_FILE));
    if nkey_beside_credentials {
        values.reject(&NKEY_FILE, "null beside nats.credentials_file (one of the two logs in)");
    }
    match (cert, key) {
        (true, false) => values.reject(&TLS_CERT_FILE, "nats.tls_key_file beside it"),
        (false, true) => values.reject(&TLS_KEY_FILE, "nats.tls_cert_file beside it"),
        _ => {}
    }
}

/// The name of a file; the secret in it is easily put there by mistake.
fn secret_path(text: &str) -> Result<PathBuf, Expected> {
    match text.split_whitespace().any(is_seed) || text.contains("-----BEGIN") {
        true => Err(Expected("the path of a file, not what stands in it".to_owned())),
        false => path(text),
    }
}

/// Subject tokens joined by dots.
fn prefix(text: &str) -> Result<String, Expected> {
    match text.split('.').all(|part| token(part).is_ok()) {
        true => Ok(text.to_owned()),
        false => Err(Expected(
            "letters, digits, _ and -, in one or more parts joined by dots".to_owned(),
        )),
    }
}

/// One subject token.
pub(super) fn token(text: &str) -> Result<String, Expected> {
    match is_token(text) {
        true => Ok(text.to_owned()),
        false => Err(Expected("letters, digits, _ and -".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Problems, Settings, Sources};

    #[test]
    fn a_prefix_is_one_or_more_subject_tokens() {
        for text in ["policy", "site-1.policy_A", "a.b.c"] {
            assert_eq!(prefix(text), Ok(text.to_owned()));
        }
        for text in ["", ".", "a.", ".a", "a..b", "a.*", "a.>", "$SYS", "a b", "é"] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tls_address_or_any_tls_setting_rules_out_plain_text() {
        let nats = |variables: &[(&str, &str)]| load(variables).unwrap().nats;
        assert!(!nats(&[]).requires_tls());
        for variables in [
            [("NATS_URL", "tls://a"), ("NATS_TLS_CA_FILE", "null")],
            [("NATS_URL", "nats://a,tls://b"), ("NATS_TLS_FIRST", "false")],
            [("NATS_TLS_CA_FILE", "ca.pem"), ("NATS_URL", "nats://a")],
            [("NATS_TLS_CERT_FILE", "c.pem"), ("NATS_TLS_KEY_FILE", "k.pem")],
            [("NATS_TLS_FIRST", "true"), ("NATS_URL", "nats://a")],
        ] {
            assert!(nats(&variables).requires_tls(), "{variables:?}");
        }
    }

    #[test]
    fn halves_of_pairs_and_two_ways_to_log_in_are_refused() {
        for (variables, told) in [
            (
                [("NATS_TLS_CERT_FILE", "c.pem"), ("NATS_TLS_FIRST", "true")],
                "NATS_TLS_CERT_FILE: nats.tls_cert_file: expected nats.tls_key_file beside it",
            ),
            (
                [("NATS_TLS_KEY_FILE", "k.pem"), ("NATS_TLS_FIRST", "true")],
                "NATS_TLS_KEY_FILE: nats.tls_key_file: expected nats.tls_cert_file beside it",
            ),
            (
                [("NATS_NKEY_FILE", "seed"), ("NATS_CREDENTIALS_FILE", "a.creds")],
                "NATS_NKEY_FILE: nats.nkey_file: expected null beside nats.credentials_file",
            ),
        ] {
            let problems = load(&variables).unwrap_err().to_string();
            assert!(problems.starts_with(told), "{problems}");
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_file_is_refused_and_not_repeated() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        for text in [seed.clone(), format!("-----BEGIN PRIVATE KEY-----\n{seed}\n")] {
            for name in ["NATS_NKEY_FILE", "NATS_CREDENTIALS_FILE", "NATS_TLS_KEY_FILE"] {
                let problems = load(&[(name, &text)]).unwrap_err().to_string();
                assert!(problems.contains("expected the path of a file"), "{problems}");
                assert!(!problems.contains(&seed), "{problems}");
            }
        }
    }

    fn load(variables: &[(&str, &str)]) -> Result<Settings, Problems> {
        let root = tempfile::tempdir().unwrap();
        Settings::load(&Sources::isolated(root.path(), variables)).map(|loaded| loaded.settings)
    }

    #[test]
    fn a_model_name_is_one_subject_token() {
        assert!(token("lane-keeping").is_ok());
        for text in ["", "a.b", "../a", "a/b"] {
            assert!(token(text).is_err(), "{text}");
        }
    }
}
