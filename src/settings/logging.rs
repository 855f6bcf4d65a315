//! What is logged, how and where.

use std::path::PathBuf;
use std::str::FromStr;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::key::Key;
use super::problem::Expected;
use super::values::{Values, path};

const LEVEL: Key = Key::text("logging", "level");
const FORMAT: Key = Key::text("logging", "format");
const FILE_PATH: Key = Key::optional_text("logging", "file_path");
/// Less than 64 KiB would rotate all the time; more than 1 GiB is no longer read by anyone.
const FILE_MAX_BYTES: Key =
    Key::integer("logging", "file_max_bytes", (65_536, 1_073_741_824), "bytes");
const FILE_KEEP: Key = Key::integer("logging", "file_keep", (1, 100), "files");

pub(super) const KEYS: &[Key] = &[LEVEL, FORMAT, FILE_PATH, FILE_MAX_BYTES, FILE_KEEP];

/// Section `logging`.
#[derive(Clone, Debug)]
pub struct Logging {
    pub level: Targets,
    pub format: LogFormat,
    /// A file to which log lines go as well.
    pub file_path: Option<PathBuf>,
    /// Size at which that file becomes an old one.
    pub file_max_bytes: u64,
    /// Old files that stay.
    pub file_keep: usize,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON lines elsewhere.
    Auto,
    Text,
    Json,
}

impl Logging {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let level = values.text(&LEVEL, level);
        let format = values.text(&FORMAT, str::parse);
        let file_path = values.optional(&FILE_PATH, path);
        let file_max_bytes = values.integer(&FILE_MAX_BYTES);
        let file_keep = values.integer(&FILE_KEEP);
        Some(Self {
            level: level?,
            format: format?,
            file_path: file_path?,
            file_max_bytes: file_max_bytes? as u64,
            file_keep: file_keep?,
        })
    }
}

/// A level, or directives `LEVEL` and `TARGET=LEVEL` with commas between them.
///
/// Stricter than [`Targets`] itself, which takes a mistyped level for the name of a target, to be
/// traced while all others fall silent, an empty directive for `error`, and a space for a part of a
/// target's name.
fn level(text: &str) -> Result<Targets, Expected> {
    let levels = "error, warn, info, debug or trace, or directives like info,async_nats=warn";
    match text.parse::<Targets>() {
        Ok(targets) if text.split(',').all(is_directive) => Ok(targets),
        _ => Err(Expected(levels.to_owned())),
    }
}

fn is_directive(part: &str) -> bool {
    let has_space = part.contains(char::is_whitespace);
    !part.is_empty() && !has_space && (part.contains('=') || part.parse::<LevelFilter>().is_ok())
}

impl FromStr for LogFormat {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Self, Expected> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(Expected("auto, text or json".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_can_differ_by_target() {
        let targets = level("info,async_nats=warn").unwrap();
        assert!(targets.would_enable("carla_rl::worker", &tracing::Level::INFO));
        assert!(!targets.would_enable("async_nats::connector", &tracing::Level::INFO));
    }

    #[test]
    fn every_plain_level_is_taken() {
        for text in ["off", "error", "warn", "info", "debug", "trace"] {
            assert_eq!(level(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_mistyped_level_is_an_error_and_no_target() {
        for text in [
            "",
            "infoo",
            "info,",
            "info async_nats=warn",
            "async_nats=wran",
            "a=b=c",
            "info, async_nats=warn",
        ] {
            assert!(level(text).is_err(), "{text}");
        }
    }
}
