//! From the command line's flags to checked settings.

use std::path::Path;

use crate::{
    artifact::CARD_FILE,
    cli::SettingsArgs,
    failure::Failure,
    settings::{Flag, Loaded, Settings, Sources},
};

/// Loads the settings that the flags and everything below them give.
///
/// # Errors
/// [`Failure::Configuration`] with all problems, one a line.
pub fn load_settings(arguments: &SettingsArgs) -> Result<Loaded, Failure> {
    let (profile, file) = (arguments.profile.clone(), arguments.config.clone());
    let sources = Sources { profile, file, flags: flags(arguments), ..Sources::process() };
    Settings::load(&sources).map_err(|problems| Failure::Configuration(problems.to_string()))
}

fn flags(arguments: &SettingsArgs) -> Vec<Flag> {
    let artifacts = arguments.artifacts.as_ref().map(|path| path.display().to_string());
    let given = [
        ("--nats-url", "nats.url", arguments.nats_url.clone()),
        ("--model-version", "model.version", arguments.model_version.clone()),
        ("--artifacts", "model.artifacts", artifacts),
        ("--device", "model.device", arguments.device.clone()),
        ("--threads", "model.threads", arguments.threads.clone()),
    ];
    let flag = |name: &str, key: &str, value: String| Flag {
        name: name.to_owned(),
        key: key.to_owned(),
        value,
    };
    let given = given.into_iter().filter_map(|(name, key, value)| Some(flag(name, key, value?)));
    let model = arguments.model.iter().flat_map(|model| match is_folder(model) {
        true => vec![flag("--model", "model.path", model.clone())],
        // A folder from a lower layer must not win over the name given here.
        false => vec![
            flag("--model", "model.name", model.clone()),
            flag("--model", "model.path", "null".to_owned()),
        ],
    });
    given.chain(model).collect()
}

/// A name is one subject token: anything with a separator, or that holds a card, is a folder.
fn is_folder(model: &str) -> bool {
    model.contains(['/', '\\', '.']) || Path::new(model).join(CARD_FILE).is_file()
}
