//! NATS servers to connect to, whose passwords nobody sees.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;
use percent_encoding::percent_decode_str;

use super::problem::Expected;

/// One or more servers, written `nats://[user:password@]host[:port]` with commas between them.
///
/// `Display` and `Debug` put `***` for user and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Servers(Vec<ServerAddr>);

impl Servers {
    /// At least one. Don't print them: `ServerAddr` shows its password.
    pub fn addresses(&self) -> &[ServerAddr] {
        &self.0
    }

    /// How to log in, if an address says so: the same for all servers.
    pub fn login(&self) -> Option<Login> {
        self.0.iter().find_map(login)
    }
}

/// A user's name and password, or a token. Never shown, so it can't be printed.
#[derive(PartialEq, Eq)]
pub enum Login {
    User { name: String, password: String },
    Token(String),
}

/// From `user:password@` or `token@`, where special characters are written as in all URLs.
fn login(address: &ServerAddr) -> Option<Login> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let name = decoded(address.username()?);
    Some(match address.password() {
        Some(password) => Login::User { name, password: decoded(password) },
        None => Login::Token(name),
    })
}

/// # Errors
/// What was expected; the text itself is left out, since a broken address may hold a password
/// where none is looked for.
impl FromStr for Servers {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let servers = text.split(',').map(|server| server.trim());
        let servers: Vec<_> = servers
            .enumerate()
            .map(|(i, server)| address(i + 1, server))
            .collect::<Result<_, _>>()?;
        let mut logins: Vec<_> = servers.iter().filter_map(login).collect();
        logins.dedup();
        match logins.len() {
            0 | 1 => Ok(Self(servers)),
            _ => Err(Expected("the same user and password, or token, for all servers".to_owned())),
        }
    }
}

fn address(position: usize, server: &str) -> Result<ServerAddr, Expected> {
    let form = "nats://[user:password@]host[:port] or tls://…";
    let expected = || {
        Expected(format!(
            "{form}, several with commas between them (server {position} is something else)"
        ))
    };
    // With a comma in a password, what follows it looks like a server without a scheme.
    let looks_cut = server.contains('@') && !server.contains("://");
    let address: ServerAddr = server.parse().map_err(|_| expected())?;
    if looks_cut || !is_plain(&address) { Err(expected()) } else { Ok(address) }
}

/// A host behind TCP or TLS, without a path or a query, in which a token could hide.
fn is_plain(address: &ServerAddr) -> bool {
    let url = address.clone().into_inner();
    matches!(url.scheme(), "nats" | "tls")
        && !address.host().is_empty()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> =
            self.0.iter().map(|address| redact(address.as_url_str())).collect();
        f.write_str(&servers.join(","))
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Servers({self})")
    }
}

/// A list of servers, safe to print; hidden more widely if it is not valid.
pub(super) fn shown(text: &str) -> String {
    text.parse::<Servers>().map_or_else(|_| redact(text), |servers| servers.to_string())
}

/// `text` with `***` for all between the first `://`, or the beginning, and the last `@`; and for
/// all of it if an nkey's seed stands in it.
pub fn redact(text: &str) -> String {
    if text.split(|c: char| !c.is_ascii_alphanumeric()).any(is_seed) {
        return "***".to_owned();
    }
    let Some(end) = text.rfind('@') else {
        return text.to_owned();
    };
    let start = text[..end].find("://").map_or(0, |at| at + 3);
    format!("{}***{}", &text[..start], &text[end..])
}

/// Whether `text` has the form of an nkey's seed, or nearly: S, the kind of key, and the rest of
/// it in base 32 (NATS, ADR-14).
pub(super) fn is_seed(text: &str) -> bool {
    let is_base32 = |c: char| matches!(c, 'A'..='Z' | '2'..='7');
    text.starts_with('S') && text.len() >= 50 && text.chars().all(is_base32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_is_read_from_the_address_and_decoded() {
        let login = |text: &str| text.parse::<Servers>().unwrap().login();
        assert!(login("nats://one,nats://two").is_none());
        let user = |name: &str, password: &str| {
            Some(Login::User { name: name.to_owned(), password: password.to_owned() })
        };
        assert!(login("nats://ann:se%40cret@one,nats://two") == user("ann", "se@cret"));
        assert!(login("nats://t0ken@one") == Some(Login::Token("t0ken".to_owned())));
        assert!("nats://ann:x@one,nats://bob:x@two".parse::<Servers>().is_err());
    }

    #[test]
    fn servers_are_separated_by_commas() {
        let servers: Servers = "nats://a, tls://b:4333,c".parse().unwrap();
        let found: Vec<_> =
            servers.addresses().iter().map(|s| (s.host(), s.port(), s.tls_required())).collect();
        assert_eq!(found, [("a", 4222, false), ("b", 4333, true), ("c", 4222, false)]);
    }

    #[test]
    fn users_and_passwords_are_for_the_connection_only() {
        for (text, shown) in [
            ("nats://ann:s3cret@a:4222,nats://ann:s3cret@b", "nats://***@a:4222,nats://***@b"),
            ("nats://s3cret@a", "nats://***@a"),
            ("nats://x:p@s3cret@c", "nats://***@c"),
        ] {
            let servers: Servers = text.parse().unwrap();
            assert!(servers.login().is_some());
            assert_eq!(servers.to_string(), shown);
            assert_eq!(format!("{servers:?}"), format!("Servers({shown})"));
        }
    }

    #[test]
    fn a_redacted_list_is_still_a_list_of_servers() {
        let servers: Servers = "nats://ann:s3cret@a,nats://[::1]:4222".parse().unwrap();
        assert_eq!(
            servers.to_string().parse::<Servers>().unwrap().to_string(),
            servers.to_string()
        );
    }

    #[test]
    fn broken_lists_are_refused_without_repeating_them() {
        for text in [
            "",
            ",",
            "nats://a,",
            "nats://",
            "http://a",
            "ws://a",
            "a:99999",
            "a b",
            "ann:s3cret@a",
            "nats://ann:s3cret",
            "nats://ann:s3/cret@a",
            "nats://ann:1,s3cret@a",
            "nats://a/s3cret",
            "nats://a?token=s3cret",
            "nats://a#s3cret",
        ] {
            let error = text.parse::<Servers>().expect_err(text);
            assert!(error.to_string().contains("nats://[user:password@]host"), "{error}");
            assert!(!error.to_string().contains("s3"), "{error}");
        }
    }

    #[test]
    fn redaction_hides_all_that_may_be_a_password() {
        for (text, expected) in [
            ("plain", "plain"),
            ("nats://a", "nats://a"),
            ("nats://u:p@a", "nats://***@a"),
            ("u:p@a", "***@a"),
            ("nats://u:p@a,nats://u:p@b", "nats://***@b"),
            ("a@b://c", "***@b://c"),
            ("key: SUAIO3FHUX5PNV2LQIIP7TZ3N4L7TX3W53MQGEIVYFIGA635OZCKEYHFLM.", "***"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
