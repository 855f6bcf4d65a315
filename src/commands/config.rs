//! `carla-rl config show`, `carla-rl config check FILE` and `carla-rl config reference`.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::SettingsArgs;
use crate::settings::key::Key;
use crate::settings::{Loaded, Problems, Settings, Shown, reference as page};

/// How `config show` lays the settings out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A valid configuration file.
    Yaml,
    /// The same, with each value's origin in a comment.
    YamlWithOrigins,
    /// An object `{key: {value, origin}}`.
    Json,
}

/// Prints the settings in force. Passwords come out as `***`.
///
/// # Errors
/// If `out` can't be written.
pub fn show(loaded: &Loaded, layout: Layout, out: &mut impl Write) -> io::Result<()> {
    match layout {
        Layout::Yaml => write_yaml(&loaded.values, |_| String::new(), out),
        Layout::YamlWithOrigins => {
            write_yaml(&loaded.values, |value| format!("# {}", value.origin), out)
        }
        Layout::Json => writeln!(out, "{:#}", json_object(&loaded.values)),
    }
}

/// Checks `file` on top of the built-in defaults and prints the verdict: whether it is valid.
///
/// With `json`, an object `{ok, problems: [{origin, key, message}]}`.
///
/// # Errors
/// If `out` can't be written.
pub fn check(file: &Path, json: bool, out: &mut impl Write) -> io::Result<bool> {
    let problems = Settings::check(file).err().unwrap_or_default();
    let ok = problems.is_empty();
    match json {
        true => writeln!(out, "{:#}", json!({ "ok": ok, "problems": problems }))?,
        false => write_verdict(file, &problems, out)?,
    }
    Ok(ok)
}

/// Prints the page about all settings.
///
/// # Errors
/// If `out` can't be written.
pub fn reference(out: &mut impl Write) -> io::Result<()> {
    let flags = SettingsArgs::augment_args(clap::Command::new(""));
    write!(out, "{}", page::markdown(|key| flag(&flags, key)))
}

/// The flag whose help names the key's environment variable.
fn flag(flags: &clap::Command, key: &Key) -> Option<String> {
    let names = |help: String| {
        let mut words = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        words.any(|word| word == key.variable())
    };
    let sets = |flag: &&clap::Arg| flag.get_help().is_some_and(|help| names(help.to_string()));
    Some(format!("--{}", flags.get_arguments().find(sets)?.get_long()?))
}

fn write_verdict(file: &Path, problems: &Problems, out: &mut impl Write) -> io::Result<()> {
    match problems.is_empty() {
        true => writeln!(out, "{}: ok", file.display()),
        false => writeln!(out, "{problems}"),
    }
}

fn write_yaml(
    values: &[Shown],
    comment: impl Fn(&Shown) -> String,
    out: &mut impl Write,
) -> io::Result<()> {
    let width = values.iter().map(|value| line(value).chars().count()).max().unwrap_or_default();
    for section in values.chunk_by(|a, b| a.key.section == b.key.section) {
        writeln!(out, "{}:", section[0].key.section)?;
        for value in section {
            let text = format!("{:width$}  {}", line(value), comment(value));
            writeln!(out, "{}", text.trim_end())?;
        }
    }
    Ok(())
}

fn line(value: &Shown) -> String {
    format!("  {}: {}", value.key.field, scalar(&value.value))
}

/// JSON's scalars are YAML's too, but for characters that YAML wants escaped and JSON doesn't.
fn scalar(value: &Value) -> String {
    let must_escape = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    let escaped = |c: char| {
        if must_escape(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() }
    };
    value.to_string().chars().map(escaped).collect()
}

fn json_object(values: &[Shown]) -> Value {
    let entry =
        |value: &Shown| (value.key.path(), json!({ "value": value.value, "origin": value.origin }));
    Value::Object(values.iter().map(entry).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Sources;

    const LAYOUTS: [Layout; 3] = [Layout::Yaml, Layout::YamlWithOrigins, Layout::Json];

    #[test]
    fn origins_stand_in_a_column_of_comments() {
        let loaded = load(&[("MODEL_DEVICE", "metal")]);
        let text = shown(&loaded, Layout::YamlWithOrigins);
        assert!(text.starts_with("model:\n  artifacts: \"artifacts\""), "{text}");
        let device = text.lines().find(|line| line.starts_with("  device: \"metal\"")).unwrap();
        assert!(device.ends_with("# MODEL_DEVICE"), "{device}");
        let columns: Vec<_> = text.lines().filter_map(|line| line.find('#')).collect();
        assert_eq!(columns.len(), loaded.values.len());
        assert!(columns.iter().all(|column| column == &columns[0]), "{text}");
    }

    #[test]
    fn json_maps_each_key_to_its_value_and_origin() {
        let loaded = load(&[("MODEL_MAX_BATCH_SIZE", "7")]);
        let object: Value = serde_json::from_str(&shown(&loaded, Layout::Json)).unwrap();
        assert_eq!(object.as_object().unwrap().len(), loaded.values.len());
        assert_eq!(
            object["model.max_batch_size"],
            json!({"value": 7, "origin": "MODEL_MAX_BATCH_SIZE"})
        );
        assert_eq!(object["model.path"], json!({"value": null, "origin": "default"}));
    }

    #[test]
    fn a_password_is_in_no_output_and_no_debug_text() {
        let valid = [("NATS_URL", "nats://ann:c4nary@one,nats://ann:c4nary@two")];
        let loaded = load(&valid);
        for layout in LAYOUTS {
            let text = shown(&loaded, layout);
            assert!(
                !text.contains("c4nary") && text.contains("nats://***@one,nats://***@two"),
                "{text}"
            );
        }
        assert!(!format!("{loaded:?} {:?}", loaded.settings).contains("c4nary"));

        for text in [
            "nats: {url: 'http://ann:c4nary@one'}",
            "nats: {url: 'nats://ann:c4nary'}",
            "nats: {url: [nats://ann:c4nary@one]}",
            "nats: {url: {nats://ann:c4nary@one: 1}}",
            "nats: {urls: 'nats://ann:c4nary@one'}",
            "nats: {'nats://ann:c4nary@one': 1}",
            "'nats://ann:c4nary@one': 1",
            "nats: 'nats://ann:c4nary@one'",
            "'nats://ann:c4nary@one'",
            "model: {name: 'nats://ann:c4nary@one'}",
            "nats:\n  url: nats://ann:c4nary@one\n  url: nats://ann:c4nary@one",
            "nats:\n  url: nats://ann:c4nary@one: 1",
            "nats:\n  url: 'nats://ann:c4nary@one",
            "nats: {? [nats://ann:c4nary@one] : 1}",
            "{nats://ann:c4nary@one: 1, nats://ann:c4nary@one: 2}",
        ] {
            let file = file(text);
            let problems = Settings::check(file.path()).expect_err(text);
            for output in
                [format!("{problems:?}"), verdict(file.path(), false), verdict(file.path(), true)]
            {
                assert!(!output.contains("c4nary"), "{output}");
            }
        }
    }

    #[test]
    fn check_says_ok_or_all_that_is_wrong() {
        let good = file("model: {device: cpu}");
        assert_eq!(verdict(good.path(), false), format!("{}: ok\n", good.path().display()));
        let bad = file("model: {devise: cpu}\nnast: {}");
        assert_eq!(verdict(bad.path(), false).lines().count(), 2);
        assert!(!check(bad.path(), false, &mut Vec::new()).unwrap());
    }

    #[test]
    fn check_in_json_tells_origin_key_and_message() {
        let bad = file("model: {devise: cpu}");
        let found: Value = serde_json::from_str(&verdict(bad.path(), true)).unwrap();
        let message = "unknown key; the nearest known one is model.device";
        let problem = json!({"origin": bad.path(), "key": "model.devise", "message": message});
        assert_eq!(found, json!({"ok": false, "problems": [problem]}));
        let good: Value = serde_json::from_str(&verdict(file("").path(), true)).unwrap();
        assert_eq!(good, json!({"ok": true, "problems": []}));
    }

    proptest! {
        #[test]
        fn what_show_prints_is_a_file_with_the_same_settings(
            path in "\\PC{1,20}|[\\x01-\\x{ffff}]{1,20}",
            size in 1..=65_536,
            wait in 0.0..=86_400.0,
        ) {
            prop_assume!(path != "null");
            let (size, wait) = (format!("{size}"), format!("{wait}"));
            let loaded = load(&[
                ("MODEL_PATH", &path),
                ("LOGGING_FILE_PATH", &path),
                ("MODEL_MAX_BATCH_SIZE", &size),
                ("NATS_CONNECT_TIMEOUT_S", &wait),
            ]);
            for layout in [Layout::Yaml, Layout::YamlWithOrigins] {
                let file = file(&shown(&loaded, layout));
                let again = Settings::check(file.path()).map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(&again.settings.model, &loaded.settings.model);
                prop_assert_eq!(&again.settings.nats, &loaded.settings.nats);
                prop_assert_eq!(&again.settings.logging.file_path, &loaded.settings.logging.file_path);
            }
        }
    }

    fn load(variables: &[(&str, &str)]) -> Loaded {
        let root = tempfile::tempdir().unwrap();
        Settings::load(&Sources::isolated(root.path(), variables)).unwrap()
    }

    fn shown(loaded: &Loaded, layout: Layout) -> String {
        let mut out = Vec::new();
        show(loaded, layout, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn verdict(file: &Path, json: bool) -> String {
        let mut out = Vec::new();
        check(file, json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }
}
