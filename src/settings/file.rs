//! Reading a layer of settings from YAML.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use config::{Map, Value, ValueKind};

use super::key;
use super::layer::{Layer, is_known, known};
use super::problem::Problems;
use super::servers::redact;
use super::values;

/// The one copy of the defaults: the file that is shipped is the one that is built in.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.yaml");

impl Layer {
    /// The defaults in the program.
    pub(super) fn defaults(problems: &mut Problems) -> Self {
        Self::yaml("default", DEFAULTS, problems)
    }

    /// The YAML file at `path`. `None`, and a problem, if it can't be read.
    pub(super) fn file(path: &Path, problems: &mut Problems) -> Option<Self> {
        let origin = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Self::yaml(&origin, &text, problems)),
            Err(error) => {
                problems.push(&origin, None, format!("can't be read: {error}"));
                None
            }
        }
    }

    /// As [`Layer::file`], but a file that isn't there is no problem.
    pub(super) fn optional_file(path: &Path, problems: &mut Problems) -> Option<Self> {
        let missing = path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if missing { None } else { Self::file(path, problems) }
    }

    /// A mapping of sections to mappings of fields, or nothing at all.
    pub(super) fn yaml(origin: &str, text: &str, problems: &mut Problems) -> Self {
        let mut layer = Self::default();
        match parse(text) {
            Ok(Value { kind: ValueKind::Table(sections), .. }) => {
                for (section, value) in sorted(sections) {
                    layer.add_section(origin, &section, value, problems);
                }
            }
            Ok(Value { kind: ValueKind::Nil, .. }) => {}
            Ok(other) => {
                let sections = key::sections().join(", ");
                let came = values::kind(&other);
                let message =
                    format!("expected a mapping with the sections {sections}, got {came}");
                problems.push(origin, None, message);
            }
            Err(message) => problems.push(origin, None, format!("can't be parsed: {message}")),
        }
        layer
    }

    fn add_section(&mut self, origin: &str, section: &str, value: Value, problems: &mut Problems) {
        if !is_known(origin, section, problems) {
            return;
        }
        match value.kind {
            ValueKind::Table(fields) => {
                for (field, value) in sorted(fields) {
                    if let Some(key) = known(origin, section, &field, problems) {
                        self.set(key, origin, value.kind);
                    }
                }
            }
            // A section whose keys are all commented out sets nothing.
            ValueKind::Nil => {}
            _ => {
                let message =
                    format!("expected a mapping of settings, got {}", values::kind(&value));
                problems.push(origin, Some(section.to_owned()), message);
            }
        }
    }
}

/// `serde-saphyr` reads the file, as it does model cards: it bounds aliases and depth, refuses
/// duplicate keys and gives the line of what it refuses. Only `true` and `false` are booleans.
fn parse(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| redact(&error.render_with_formatter(&serde_saphyr::UserMessageFormatter)))
}

/// In the order of names, so that problems come in the same order each time.
fn sorted(map: Map<String, Value>) -> BTreeMap<String, Value> {
    map.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    #[test]
    fn every_kind_of_mistake_is_reported_at_once() {
        let text = "
model: {devcie: cpu, max_batch_size: 0, artifacts: yes, max_delay_us: soon, name: null, path: [a], version: 0.2}
limts: {}
limits: [1]
worker: {drain_timeout_s: 1e9}
nats: {connect_timeout_s: -1, ping_interval_s: \"10\", credentials_file: {a: b}, prefix: a..b}
logging: {level: loud, format: true}
";
        let expected = [
            "limits: expected a mapping of settings, got a list",
            "limts: unknown section; the nearest known one is limits",
            "model.devcie: unknown key; the nearest known one is model.device",
            "model.name: expected text, got null",
            "model.version: expected text (write it in quotes), got 0.2",
            "model.path: expected text, got a list",
            "model.max_batch_size: expected an integer from 1 to 65536 (rows), got 0",
            "model.max_delay_us: expected an integer from 0 to 1000000 (microseconds), got \"soon\"",
            "nats.prefix: expected letters, digits, _ and -, in one or more parts joined by dots, got \"a..b\"",
            "nats.credentials_file: expected text, got a mapping",
            "nats.connect_timeout_s: expected a number from 0 to 86400 (seconds), got -1",
            "nats.ping_interval_s: expected a number from 1 to 300 (seconds), got \"10\" in quotes",
            "worker.drain_timeout_s: expected a number from 0 to 3600 (seconds), got 1000000000.0",
            "logging.level: expected error, warn, info, debug or trace, or directives like \
             info,async_nats=warn, got \"loud\"",
            "logging.format: expected text (write it in quotes), got true",
        ];
        assert_eq!(mistakes(text), expected);
    }

    #[test]
    fn an_empty_file_or_section_sets_nothing() {
        for text in
            ["", "# nothing\n", "~\n", "{}\n", "model:\n", "model: {}\n", "\u{feff}model:\n"]
        {
            assert_eq!(mistakes(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn a_file_that_is_no_mapping_is_refused() {
        for (text, came) in [("- model\n", "a list"), ("model\n", "a text"), ("3\n", "3")] {
            let mistakes = mistakes(text);
            assert!(mistakes[0].ends_with(&format!("got {came}")), "{mistakes:?}");
        }
    }

    #[test]
    fn names_are_known_in_lower_case_and_nested_only() {
        for (text, nearest) in [
            ("Model: {device: cpu}", "model"),
            ("model: {Device: cpu}", "model.device"),
            ("model.device: cpu", "model"),
        ] {
            assert!(mistakes(text)[0].ends_with(&format!(" is {nearest}")), "{:?}", mistakes(text));
        }
    }

    #[test]
    fn broken_yaml_is_reported_with_its_line() {
        for (text, line) in [
            ("model:\n  device: [cpu\nnats:\n", "line 3"),
            ("model:\n  device: \"cpu\n", "line 2"),
            ("model:\n\tdevice: cpu\n", "line 2"),
            ("model:\n  device: cpu\n  device: metal\n", "line 3"),
            ("model: {}\nmodel: {}\n", "line 2"),
            ("nats: {ping_interval_s: .inf}\n", "line 1"),
            ("model: {}\n---\nmodel: {}\n", "line 3"),
            ("model: *none\n", "line 1"),
        ] {
            let mistakes = mistakes(text);
            assert!(mistakes[0].starts_with("can't be parsed: "), "{mistakes:?}");
            assert!(mistakes[0].contains(line), "{mistakes:?}");
        }
    }

    #[test]
    fn aliases_that_would_swell_and_endless_nesting_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        for text in [bomb, format!("model: {}", "[".repeat(100_000))] {
            assert!(mistakes(&text)[0].starts_with("can't be parsed: "));
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_reported() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [0xff, 0xfe, 0x00]).unwrap();
        assert!(Settings::check(file.path()).unwrap_err().to_string().contains("can't be read"));
    }

    /// What is wrong with a file of this text, without the file's name.
    fn mistakes(text: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let problems = Settings::check(file.path()).err().unwrap_or_default();
        let prefix = format!("{}: ", file.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
    }
}
