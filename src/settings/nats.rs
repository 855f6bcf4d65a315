//! The connection to the broker.

use std::path::PathBuf;
use std::time::Duration;

use super::key::Key;
use super::problem::Expected;
use super::servers::Servers;
use super::values::{Values, path};
use crate::wire::subjects::is_token;

/// A day: beyond it a wait is a mistake, and adding it to a clock stays far from an overflow.
const LONGEST_WAIT: f64 = 86_400.0;

const URL: Key = Key::secret_text("nats", "url");
const PREFIX: Key = Key::text("nats", "prefix");
const CREDENTIALS_FILE: Key = Key::optional_text("nats", "credentials_file");
const CONNECT_TIMEOUT_S: Key = Key::seconds("nats", "connect_timeout_s", (0.0, LONGEST_WAIT));
const PING_INTERVAL_S: Key = Key::seconds("nats", "ping_interval_s", (1.0, 300.0));

pub(super) const KEYS: &[Key] =
    &[URL, PREFIX, CREDENTIALS_FILE, CONNECT_TIMEOUT_S, PING_INTERVAL_S];

/// Section `nats`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    pub servers: Servers,
    /// What every subject begins with: tokens joined by dots.
    pub prefix: String,
    /// A `.creds` file with the user's JWT and key.
    pub credentials_file: Option<PathBuf>,
    /// How long the start waits for a broker; `None` waits for ever.
    pub connect_timeout: Option<Duration>,
    /// How often the client asks whether the broker is still there.
    pub ping_interval: Duration,
}

impl Nats {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let servers = values.text(&URL, str::parse);
        let prefix = values.text(&PREFIX, prefix);
        let credentials_file = values.optional(&CREDENTIALS_FILE, path);
        let connect_timeout = values.seconds(&CONNECT_TIMEOUT_S);
        let ping_interval = values.seconds(&PING_INTERVAL_S);
        Some(Self {
            servers: servers?,
            prefix: prefix?,
            credentials_file: credentials_file?,
            connect_timeout: Some(connect_timeout?).filter(|timeout| !timeout.is_zero()),
            ping_interval: ping_interval?,
        })
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
    fn a_model_name_is_one_subject_token() {
        assert!(token("lane-keeping").is_ok());
        for text in ["", "a.b", "../a", "a/b"] {
            assert!(token(text).is_err(), "{text}");
        }
    }
}
