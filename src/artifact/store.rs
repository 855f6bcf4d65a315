//! The folder of artifacts: which there are, and which one a request for a version means.

use std::{
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use semver::{Version, VersionReq};
use serde::Serialize;

use super::{
    ArtifactError, CARD_FILE, Card,
    load::{self, short_digest},
};

/// The example that comes with the program, listed first.
pub const EXAMPLE: &str = "lane-keeping";

/// One artifact as its card describes it; its files have not been looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listed {
    pub name: String,
    pub version: Version,
    pub path: PathBuf,
    /// The first 8 hex digits of the weights' SHA-256.
    pub weights: String,
}

/// Which version of a model to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The highest version, pre-releases included.
    Latest,
    /// The highest version that is no pre-release.
    LatestStable,
    Exact(Version),
    /// A requirement like `^0.2` or `>=1.0, <2`.
    Requirement(VersionReq),
}

impl Selection {
    fn accepts(&self, version: &Version) -> bool {
        match self {
            Selection::Latest => true,
            Selection::LatestStable => version.pre.is_empty(),
            Selection::Exact(exact) => version == exact,
            Selection::Requirement(requirement) => requirement.matches(version),
        }
    }
}

impl FromStr for Selection {
    /// What was expected.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "latest" => Ok(Selection::Latest),
            "latest-stable" => Ok(Selection::LatestStable),
            other => match Version::parse(other.strip_prefix('v').unwrap_or(other)) {
                Ok(version) => Ok(Selection::Exact(version)),
                Err(_) => VersionReq::parse(other).map(Selection::Requirement).map_err(|error| {
                    format!("latest-stable, latest, a version like 0.2.1 or a requirement like ^0.2 ({error})")
                }),
            },
        }
    }
}

/// All artifacts below `root`: the example first, then by name, each with its highest version
/// first.
///
/// # Errors
/// The root can't be read, or a card in it is broken.
pub fn list(root: &Path) -> Result<Vec<Listed>, ArtifactError> {
    let mut models = folders(root)?;
    models.sort_by_key(|model| (model.file_name() != Some(EXAMPLE.as_ref()), model.clone()));
    let versions: Result<Vec<_>, _> = models.iter().map(|model| versions(model)).collect();
    Ok(versions?.concat())
}

/// The folder of the version that `selection` means.
///
/// # Errors
/// There is no such model or version; the error lists those that are there.
pub fn select(root: &Path, name: &str, selection: &Selection) -> Result<PathBuf, ArtifactError> {
    let known = folders(root)?;
    let Some(model) = known.iter().find(|folder| folder.file_name() == Some(name.as_ref())) else {
        return Err(ArtifactError::new(root, no_model(name, &known)));
    };
    let versions = versions(model)?;
    let found = versions.iter().find(|artifact| selection.accepts(&artifact.version));
    found
        .map(|artifact| artifact.path.clone())
        .ok_or_else(|| ArtifactError::new(model, no_version(selection, &versions)))
}

fn no_model(name: &str, known: &[PathBuf]) -> String {
    let names = known.iter().filter_map(|path| path.file_name()?.to_str());
    format!("no model {name:?} (model.name), there are: {}", or_none(names.map(String::from)))
}

fn no_version(selection: &Selection, versions: &[Listed]) -> String {
    let wanted = match selection {
        Selection::Latest => "any version".into(),
        Selection::LatestStable => "a version that is no pre-release".into(),
        Selection::Exact(version) => version.to_string(),
        Selection::Requirement(requirement) => requirement.to_string(),
    };
    let there = or_none(versions.iter().map(|artifact| artifact.version.to_string()));
    format!("nothing matches {wanted} (model.version), there are: {there}")
}

fn or_none(names: impl Iterator<Item = String>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Folders in `folder` by name, without those still being written.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, ArtifactError> {
    let entries = fs::read_dir(folder)
        .map_err(|error| ArtifactError::new(folder, format!("no artifacts here: {error}")))?;
    let is_whole = |path: &PathBuf| path.is_dir() && path.extension() != Some("partial".as_ref());
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(is_whole);
    paths.sort();
    Ok(paths)
}

/// The versions of one model, the highest first.
fn versions(model: &Path) -> Result<Vec<Listed>, ArtifactError> {
    let mut versions = Vec::new();
    for folder in folders(model)? {
        versions.extend(read_listed(&folder)?);
    }
    versions.sort_by(|a, b| b.version.cmp(&a.version));
    Ok(versions)
}

/// `None` for a folder without a card.
fn read_listed(folder: &Path) -> Result<Option<Listed>, ArtifactError> {
    let file = folder.join(CARD_FILE);
    if matches!(file.try_exists(), Ok(false)) {
        return Ok(None);
    }
    let card = load::read_card(folder)?;
    check_place(folder, &card).map_err(|problem| ArtifactError::new(&file, problem))?;
    let weights = short_digest(&card);
    Ok(Some(Listed { name: card.name, version: card.version, path: folder.to_owned(), weights }))
}

/// What is selected by its folder must be what its card says.
fn check_place(folder: &Path, card: &Card) -> Result<(), String> {
    let mut names = folder.iter().rev().filter_map(|part| part.to_str());
    let (version, name) = (names.next().unwrap_or(""), names.next().unwrap_or(""));
    let version = version.strip_prefix('v').unwrap_or(version);
    match name == card.name && version == card.version.to_string() {
        true => Ok(()),
        false => Err(format!(
            "the card is of {} {}, its folder says {name} {version}",
            card.name, card.version
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen<'a>(selection: &str, versions: &[&'a str]) -> Option<&'a str> {
        let selection: Selection = selection.parse().unwrap();
        let mut known: Vec<_> = versions.iter().map(|v| (Version::parse(v).unwrap(), *v)).collect();
        known.sort_by(|a, b| b.0.cmp(&a.0));
        known.into_iter().find(|(version, _)| selection.accepts(version)).map(|(_, text)| text)
    }

    #[test]
    fn versions_are_compared_as_numbers_and_by_the_selection() {
        let versions = ["0.2.0", "0.10.0", "0.9.3", "1.0.0-rc.1"];
        for (selection, expected) in [
            ("latest", Some("1.0.0-rc.1")),
            ("latest-stable", Some("0.10.0")),
            ("0.9.3", Some("0.9.3")),
            ("v0.9.3", Some("0.9.3")),
            ("^0.9", Some("0.9.3")),
            (">=0.2, <0.10", Some("0.9.3")),
            ("1.0.0", None),
            ("^2", None),
        ] {
            assert_eq!(chosen(selection, &versions), expected, "{selection}");
        }
    }

    #[test]
    fn what_is_no_version_is_told_so() {
        let error = "newest".parse::<Selection>().unwrap_err();
        assert!(error.contains("latest-stable"), "{error}");
    }
}
