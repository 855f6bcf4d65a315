//! The table of settings: their names, their kinds, and the known name nearest to a wrong one.

use super::{limits, logging, model, monitoring, nats, queue, server, worker};

/// One setting: where it stands and what kind of value it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    pub section: &'static str,
    pub field: &'static str,
    pub kind: Kind,
    /// May be `null`.
    pub optional: bool,
    /// May hold a password, which is never shown.
    pub secret: bool,
}

/// What a value is before its own type reads it.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Text,
    /// `true` or `false`.
    Switch,
    /// A count of `unit`, from `min` to `max`.
    Integer {
        min: i64,
        max: i64,
        unit: &'static str,
    },
    /// A count of `unit`, from 1 to `max`, or `auto`.
    Count {
        max: i64,
        unit: &'static str,
    },
    /// Seconds, whole or not, from `min` to `max`.
    Seconds {
        min: f64,
        max: f64,
    },
    /// A share from 0 to 1.
    Ratio,
}

impl Key {
    pub(super) const fn text(section: &'static str, field: &'static str) -> Self {
        Self { section, field, kind: Kind::Text, optional: false, secret: false }
    }

    pub(super) const fn optional_text(section: &'static str, field: &'static str) -> Self {
        Self { optional: true, ..Self::text(section, field) }
    }

    pub(super) const fn secret_text(section: &'static str, field: &'static str) -> Self {
        Self { secret: true, ..Self::text(section, field) }
    }

    /// A count from `min` to `max`, both allowed.
    pub(super) const fn integer(
        section: &'static str,
        field: &'static str,
        (min, max): (i64, i64),
        unit: &'static str,
    ) -> Self {
        Self { kind: Kind::Integer { min, max, unit }, ..Self::text(section, field) }
    }

    /// A count from 1 to `max`, or `auto`.
    pub(super) const fn count(
        section: &'static str,
        field: &'static str,
        (max, unit): (i64, &'static str),
    ) -> Self {
        Self { kind: Kind::Count { max, unit }, ..Self::text(section, field) }
    }

    /// `true` or `false`.
    pub(super) const fn switch(section: &'static str, field: &'static str) -> Self {
        Self { kind: Kind::Switch, ..Self::text(section, field) }
    }

    /// A time in seconds from `min` to `max`, both allowed.
    pub(super) const fn seconds(
        section: &'static str,
        field: &'static str,
        (min, max): (f64, f64),
    ) -> Self {
        Self { kind: Kind::Seconds { min, max }, ..Self::text(section, field) }
    }

    /// A share from 0 to 1, both allowed.
    pub(super) const fn ratio(section: &'static str, field: &'static str) -> Self {
        Self { kind: Kind::Ratio, ..Self::text(section, field) }
    }

    /// `section.field`.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.field)
    }

    /// The environment variable that sets it: `SECTION_FIELD`.
    pub fn variable(&self) -> String {
        format!("{}_{}", self.section, self.field).to_uppercase()
    }
}

/// Every setting there is, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Key> {
    [
        model::KEYS,
        limits::KEYS,
        queue::KEYS,
        nats::KEYS,
        worker::KEYS,
        server::KEYS,
        monitoring::KEYS,
        logging::KEYS,
    ]
    .into_iter()
    .flatten()
}

/// The sections in order.
pub fn sections() -> Vec<&'static str> {
    let mut sections: Vec<_> = all().map(|key| key.section).collect();
    sections.dedup();
    sections
}

/// The known key `section.field`.
pub(super) fn find(section: &str, field: &str) -> Option<&'static Key> {
    all().find(|key| key.section == section && key.field == field)
}

/// The known key nearest to `field` in the known `section`. A field that another section has
/// counts as one edit, so `model.queue_rows` leads to `limits.queue_rows`.
pub(super) fn nearest(section: &str, field: &str) -> String {
    let cost = |key: &&Key| edits(key.field, field) + usize::from(key.section != section);
    all().min_by_key(cost).map(Key::path).unwrap_or_default()
}

/// The known section nearest to `name`.
pub(super) fn nearest_section(name: &str) -> &'static str {
    sections().into_iter().min_by_key(|section| edits(section, name)).unwrap_or_default()
}

/// Least number of letters to insert, delete or replace to make one text of the other, whatever
/// their case (V. Levenshtein, 1966, "Binary codes capable of correcting deletions, insertions and
/// reversals").
fn edits(known: &str, given: &str) -> usize {
    let known: Vec<char> = known.to_lowercase().chars().collect();
    // row[i]: edits between the first i letters of `known` and the letters of `given` seen so far.
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for letter in given.to_lowercase().chars() {
        let mut diagonal = row[0];
        row[0] += 1;
        for (i, &other) in known.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[i + 1];
            row[i + 1] = replaced.min(diagonal + 1).min(row[i] + 1);
        }
    }
    row[known.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::settings::Settings;

    const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz_0-";

    #[test]
    fn every_single_typo_of_a_field_leads_back_to_it_unless_another_is_as_near() {
        for key in all() {
            for typo in typos(key.field).filter(|typo| find(key.section, typo).is_none()) {
                let nearest = nearest(key.section, &typo);
                let (section, field) = nearest.split_once('.').unwrap();
                let is_as_near = section == key.section && edits(field, &typo) == 1;
                assert!(nearest == key.path() || is_as_near, "{typo} leads to {nearest}");
            }
        }
    }

    #[test]
    fn every_single_typo_of_a_section_leads_back_to_it() {
        for section in sections() {
            for typo in typos(section).filter(|typo| !sections().contains(&typo.as_str())) {
                assert_eq!(nearest_section(&typo), section, "{typo}");
            }
        }
    }

    #[test]
    fn a_field_in_the_wrong_section_leads_to_its_own() {
        assert_eq!(nearest("model", "queue_rows"), "limits.queue_rows");
    }

    #[test]
    fn of_two_fields_as_near_the_one_in_the_same_section_is_meant() {
        assert_eq!((edits("url", "urme"), edits("name", "urme")), (2, 2));
        assert_eq!(nearest("nats", "urme"), "nats.url");
    }

    #[test]
    fn letter_case_is_no_distance() {
        assert_eq!(nearest("model", "DEVICE"), "model.device");
        assert_eq!(nearest_section("Logging"), "logging");
    }

    #[test]
    fn edits_are_counted_as_levenshtein_counts_them() {
        for (a, b, expected) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("abc", "abc", 0), ("ab", "ba", 2)]
        {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn no_two_settings_share_an_environment_variable() {
        let mut variables: Vec<_> = all().map(Key::variable).collect();
        variables.sort();
        variables.dedup();
        assert_eq!(variables.len(), all().count());
    }

    #[test]
    fn the_shipped_default_file_holds_every_key_with_its_variable_and_range_and_no_other() {
        let text = include_str!("../../config/default.yaml");
        let loaded =
            Settings::check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config/default.yaml")))
                .unwrap();
        assert_eq!(loaded.values.len(), all().count());
        for shown in &loaded.values {
            let key = shown.key;
            assert!(
                shown.origin.ends_with("config/default.yaml"),
                "{} is not in the file",
                key.path()
            );
            assert!(
                text.contains(&format!(" {}\n", key.variable())),
                "{} is not explained",
                key.variable()
            );
            let range = match key.kind {
                Kind::Integer { min, max, unit } => format!("{min} to {max} {unit}"),
                Kind::Count { max, unit } => format!("1 to {max} {unit}"),
                Kind::Seconds { min, max } => format!("{min} to {max} seconds"),
                Kind::Ratio => "0 to 1".to_owned(),
                Kind::Text | Kind::Switch => continue,
            };
            assert!(
                text.replace("\n  # ", " ").contains(&range),
                "{range} of {} is not explained",
                key.path()
            );
        }
    }

    /// Every text that is one deletion, insertion, replacement or swap of neighbours away.
    fn typos(word: &str) -> impl Iterator<Item = String> {
        let letters: Vec<char> = word.chars().collect();
        (0..=letters.len()).flat_map(move |at| {
            let (head, tail) = (letters[..at].to_vec(), letters[at..].to_vec());
            let mut found = Vec::new();
            for letter in LETTERS.chars() {
                found.push(text(&[&head, &[letter], &tail]));
                found.push(text(&[&head, &[letter], tail.get(1..).unwrap_or_default()]));
            }
            found.push(text(&[&head, tail.get(1..).unwrap_or_default()]));
            if let [first, second, rest @ ..] = tail.as_slice() {
                found.push(text(&[&head, &[*second, *first], rest]));
            }
            found
        })
    }

    fn text(parts: &[&[char]]) -> String {
        parts.concat().into_iter().collect()
    }
}
