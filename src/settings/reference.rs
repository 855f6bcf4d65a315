//! The page about all settings: the comments of `config/default.yaml`, and what the table of keys
//! knows. Text in, Markdown out.

use std::fmt::Write;

use super::file::DEFAULTS;
use super::key::{self, Key, Kind};

/// How settings are layered: the head of the page.
const LAYERS: &str = include_str!("layers.md");
/// At which column text is wrapped.
const WIDTH: usize = 100;

/// Every setting in a block of its own. `flag` names the flag that sets it, if there is one.
pub fn markdown(flag: impl Fn(&Key) -> Option<String>) -> String {
    let mut page = LAYERS.to_owned();
    for section in key::sections() {
        // Writing to a text can't fail.
        let _ = writeln!(page, "\n## {section}");
        for key in key::all().filter(|key| key.section == section) {
            page.push_str(&block(key, flag(key)));
        }
    }
    page
}

fn block(key: &Key, flag: Option<String>) -> String {
    let entry = entry(DEFAULTS, key);
    let facts = [takes(key), format!("default `{}`", entry.default)];
    let names = [Some(key.variable()), flag].into_iter().flatten().map(|name| format!("`{name}`"));
    let facts: Vec<_> = facts.into_iter().chain(names).collect();
    let meaning = wrapped(&entry.meaning.replace('<', "\\<").replace('*', "\\*"));
    format!("\n### `{}`\n\n{meaning}\n\n{}\n", key.path(), facts.join(" · "))
}

/// What the value is.
fn takes(key: &Key) -> String {
    let kind = match &key.kind {
        Kind::Text => "text".to_owned(),
        Kind::Switch => "`true` or `false`".to_owned(),
        Kind::Integer { min, max, unit } => format!("integer, {min} to {max} {unit}"),
        Kind::Count { max, unit } => format!("`auto` or integer, 1 to {max} {unit}"),
        Kind::Seconds { min, max } => format!("number, {min} to {max} seconds"),
        Kind::Ratio => "number, 0 to 1".to_owned(),
    };
    if key.optional { format!("{kind} or `null`") } else { kind }
}

/// What the file of defaults says of one key.
#[derive(Debug, Default, PartialEq)]
struct Entry {
    meaning: String,
    default: String,
}

/// The comment lines right above the key's line, without the variable's name, and its value.
fn entry(yaml: &str, key: &Key) -> Entry {
    let mut section = "";
    let mut comment = Vec::new();
    for line in yaml.lines() {
        if let Some(text) = line.trim_start().strip_prefix('#') {
            comment.extend(text.split_whitespace().filter(|word| *word != key.variable()));
            continue;
        }
        match line.split_once(':') {
            Some((name, _)) if !name.starts_with(' ') => section = name,
            Some((name, value)) if section == key.section && name.trim() == key.field => {
                return Entry { meaning: comment.join(" "), default: value.trim().to_owned() };
            }
            _ => {}
        }
        comment.clear();
    }
    Entry::default()
}

fn wrapped(text: &str) -> String {
    let (mut lines, mut column) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        let between = match column {
            0 => "",
            column if column + 1 + length > WIDTH => "\n",
            _ => " ",
        };
        column = if between == " " { column + 1 + length } else { length };
        lines.push_str(between);
        lines.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "\
# Not about a key.

nats:
  # Which file, of
  # two.                              MODEL_PATH
  path: other

model:
  # Unrelated.                        MODEL_NAME
  name: lane-keeping
  # Folder <name>,                    MODEL_PATH
  # or null.
  path: null
";

    #[test]
    fn a_key_has_the_comment_right_above_it_in_its_own_section_and_its_value() {
        let expected = Entry { meaning: "Folder <name>, or null.".into(), default: "null".into() };
        assert_eq!(entry(YAML, &Key::optional_text("model", "path")), expected);
    }

    #[test]
    fn every_key_has_a_meaning_and_a_default() {
        for key in key::all() {
            let entry = entry(DEFAULTS, key);
            assert!(entry.meaning.ends_with('.') && !entry.default.is_empty(), "{entry:?}");
        }
    }

    #[test]
    fn a_block_says_what_the_value_is_and_how_to_set_it() {
        let key = Key::optional_text("model", "path");
        let text = block(&key, Some("--model".into()));
        assert!(text.starts_with("\n### `model.path`\n\n"), "{text}");
        assert!(text.ends_with("\n\ntext or `null` · default `null` · `MODEL_PATH` · `--model`\n"));
        let ports = Key::integer("server", "port", (0, 9), "rows");
        assert!(takes(&ports).contains("0 to 9 rows"));
    }

    #[test]
    fn no_line_is_wider_than_the_page_and_no_word_is_lost() {
        let text = "word ".repeat(100);
        let lines = wrapped(text.trim());
        assert!(lines.lines().all(|line| line.len() <= WIDTH && line.starts_with("word")));
        assert_eq!(lines.split_whitespace().count(), 100);
    }
}
