//! Where the worker answers probes and scrapes.

use super::key::Key;
use super::problem::Expected;
use super::values::Values;

const HOST: Key = Key::text("server", "host");
const PORT: Key = Key::integer("server", "port", (0, 65_535), "as a number");

pub(super) const KEYS: &[Key] = &[HOST, PORT];

/// Section `server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// An address of this machine, or a name for one.
    pub host: String,
    /// 0: any free one.
    pub port: u16,
}

impl Server {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let host = values.text(&HOST, host);
        let port = values.integer(&PORT);
        Some(Self { host: host?, port: u16::try_from(port?).ok()? })
    }
}

fn host(text: &str) -> Result<String, Expected> {
    let is_odd = |c: char| c.is_whitespace() || c == '/' || c == '[';
    match text.is_empty() || text.contains(is_odd) {
        true => Err(Expected("an address like 127.0.0.1, 0.0.0.0 or ::1, or a name".to_owned())),
        false => Ok(text.to_owned()),
    }
}
