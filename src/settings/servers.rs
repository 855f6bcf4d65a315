//! NATS servers to connect to, whose passwords nobody sees.

use std::fmt;
use std::str::FromStr;

use async_nats::ServerAddr;

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
}

/// # Errors
/// What was expected; the text itself is left out, since a broken address may hold a password
/// where none is looked for.
impl FromStr for Servers {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        let servers = text.split(',').map(|server| server.trim());
        servers
            .enumerate()
            .map(|(i, server)| address(i + 1, server))
            .collect::<Result<_, _>>()
            .map(Self)
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

/// `text` with `***` for all between the first `://`, or the beginning, and the last `@`.
pub fn redact(text: &str) -> String {
    let Some(end) = text.rfind('@') else {
        return text.to_owned();
    };
    let start = text[..end].find("://").map_or(0, |at| at + 3);
    format!("{}***{}", &text[..start], &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_separated_by_commas() {
        let servers: Servers = "nats://a, tls://b:4333,c".parse().unwrap();
        let found: Vec<_> =
            servers.addresses().iter().map(|s| (s.host(), s.port(), s.tls_required())).collect();
        assert_eq!(found, [("a", 4222, false), ("b", 4333, true), ("c", 4222, false)]);
    }

    #[test]
    fn users_and_passwords_are_for_the_connection_only() {
        let servers: Servers =
            "nats://ann:s3cret@a:4222,nats://t0ken@b,nats://x:p@s3cret@c".parse().unwrap();
        assert_eq!(servers.addresses()[0].password(), Some("s3cret"));
        assert_eq!(servers.to_string(), "nats://***@a:4222,nats://***@b,nats://***@c");
        assert_eq!(format!("{servers:?}"), "Servers(nats://***@a:4222,nats://***@b,nats://***@c)");
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
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
