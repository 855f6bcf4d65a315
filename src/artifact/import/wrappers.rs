//! What the training did to observations before the policy saw them, as far as the files tell:
//! the mistake that people make most is to leave it out.

use std::{fs, path::Path};

use super::Imported;
use crate::wire::{Space, space::Bound};

/// Names under which the statistics lie beside a policy.
const STATISTICS: [&str; 2] = ["vec_normalize.pkl", "vecnormalize.pkl"];
/// Names of settings that rl-zoo writes beside a policy.
const SETTINGS: [&str; 2] = ["config.yml", "args.yml"];
const ALTERED: &str = "the last observation of the training is not as the environment gives it: it was probably trained with VecNormalize (then give its vec_normalize.pkl with --vec-normalize) or behind another wrapper that changes observations";
/// Of such a file.
const MAX_BYTES: u64 = 1 << 16;
/// Numbers of channels that an image has of itself.
const CHANNELS: [usize; 2] = [1, 3];

pub fn warnings(source: &Path, imported: &Imported, has_statistics: bool) -> Vec<String> {
    let normalized = has_statistics || imported.spec.normalize.is_some();
    let statistics = (!normalized).then(|| statistics(source, imported)).flatten();
    let altered = (imported.altered && !normalized).then(|| ALTERED.to_owned());
    altered
        .into_iter()
        .chain(statistics)
        .chain(settings(source, normalized))
        .chain(stacked(imported))
        .collect()
}

/// Statistics that lie there and were not given, or a space that asks for some.
fn statistics(source: &Path, imported: &Imported) -> Option<String> {
    let beside = STATISTICS.iter().map(|name| source.with_file_name(name));
    if let Some(file) = beside.into_iter().find(|file| file.is_file()) {
        return Some(format!(
            "{} lies beside the policy and was not given: with --vec-normalize, observations are normalised as in training",
            file.display()
        ));
    }
    let unbounded = |space: &Space| {
        let infinite = |bound: &Bound| match bound {
            Bound::Uniform(bound) => bound.is_infinite(),
            Bound::Each(bounds) => bounds.iter().any(|bound| bound.is_infinite()),
        };
        matches!(space, Space::Box { low, high, .. } if infinite(low) || infinite(high))
    };
    let is_unbounded =
        imported.spec.observation_space.pieces().iter().any(|(_, space)| unbounded(space));
    is_unbounded.then(|| {
        "observations are unbounded and no statistics were given: if the policy was trained with VecNormalize, give its vec_normalize.pkl with --vec-normalize".into()
    })
}

/// What rl-zoo says of wrappers.
fn settings(source: &Path, normalized: bool) -> Vec<String> {
    let files = SETTINGS.iter().map(|name| source.with_file_name(name));
    let texts = files.filter_map(|file| {
        let small = file.metadata().is_ok_and(|data| data.is_file() && data.len() <= MAX_BYTES);
        Some((file.display().to_string(), small.then(|| fs::read_to_string(&file).ok())??))
    });
    texts.flat_map(|(file, text)| told(&file, &text, normalized)).collect()
}

fn told(file: &str, text: &str, normalized: bool) -> Vec<String> {
    // As YAML, or as the list of pairs that rl-zoo makes of it.
    let value = |name: &str| {
        let mut lines = text.lines().map(|line| line.trim_start_matches(['-', ' ']));
        let line =
            lines.by_ref().find(|line| line.split(':').next() == Some(name) || *line == name)?;
        let rest = line.split_once(':').map(|(_, rest)| rest.trim().to_owned());
        rest.or_else(|| lines.next().map(|line| line.trim().to_owned()))
    };
    let is_set = |value: &String| !matches!(value.as_str(), "" | "false" | "null" | "1" | "~");
    let mut told = Vec::new();
    if let Some(normalize) = value("normalize").filter(is_set).filter(|_| !normalized) {
        told.push(format!(
            "{file} says normalize: {normalize}; give the vec_normalize.pkl with --vec-normalize"
        ));
    }
    for (name, what) in [
        ("frame_stack", "the simulator must send as many frames, the oldest first"),
        ("env_wrapper", "the simulator must do the same to its observations"),
    ] {
        if let Some(value) = value(name).filter(is_set) {
            told.push(format!("{file} says {name}: {value}; {what}"));
        }
    }
    told
}

/// Images of so many channels are frames of several steps.
fn stacked(imported: &Imported) -> Option<String> {
    let pieces = imported.spec.observation_space.pieces();
    let (key, space) = pieces.into_iter().find(|(_, space)| {
        space.is_image() && space.shape().first().is_some_and(|c| !CHANNELS.contains(c))
    })?;
    Some(format!(
        "{} has {} channels: if these are stacked frames (VecFrameStack), the simulator must send them, the oldest first",
        key.unwrap_or("the image"),
        space.shape().first()?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_zoo_are_read_in_both_forms() {
        let pairs = "!!python/object/apply:collections.OrderedDict\n- - - normalize\n    - true\n  - - frame_stack\n    - 4\n  - - env_wrapper\n    - null\n";
        let plain = "normalize: \"{'norm_obs': True}\"\nframe_stack: 1\n";
        assert_eq!(told("config.yml", pairs, false).len(), 2, "{:?}", told("f", pairs, false));
        assert_eq!(told("config.yml", plain, false).len(), 1);
        assert_eq!(told("config.yml", plain, true), Vec::<String>::new());
    }
}
