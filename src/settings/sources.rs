//! Where settings come from: files, environment, flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::key;
use super::layer::Layer;
use super::problem::Problems;

/// All places to look for settings, later ones winning over earlier ones.
pub struct Sources {
    /// `--profile NAME`: the file `config/NAME.yaml`.
    pub profile: Option<String>,
    /// `--config FILE`, in place of a profile.
    pub file: Option<PathBuf>,
    pub flags: Vec<Flag>,
    /// The folder that holds `config/`; empty for the working directory.
    pub root: PathBuf,
    pub environment: Environment,
}

/// Looks up an environment variable by its name.
pub type Environment = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// A setting given on the command line.
#[derive(Clone)]
pub struct Flag {
    /// As the person typed it, with its dashes: `--device`.
    pub name: String,
    /// `section.field`.
    pub key: String,
    pub value: String,
}

impl Sources {
    /// The working directory and this process's environment, which is read here and nowhere else.
    pub fn process() -> Self {
        Self {
            profile: None,
            file: None,
            flags: Vec::new(),
            root: PathBuf::new(),
            environment: Box::new(|name| std::env::var_os(name)),
        }
    }

    pub(super) fn layers(&self, problems: &mut Problems) -> Vec<Layer> {
        let mut layers = vec![Layer::defaults(problems)];
        layers.extend(Layer::optional_file(&self.root.join("config/default.yaml"), problems));
        layers.extend(self.chosen_file(problems));
        layers.push(self.variables(problems));
        layers.push(self.typed(problems));
        layers
    }

    fn chosen_file(&self, problems: &mut Problems) -> Option<Layer> {
        match (&self.profile, &self.file) {
            (Some(_), Some(_)) => {
                let message = "expected --profile or --config, got both".to_owned();
                problems.push("--profile", None, message);
                None
            }
            (Some(name), None) => self.profile(name, problems),
            (None, Some(file)) => Layer::file(file, problems),
            (None, None) => None,
        }
    }

    fn profile(&self, name: &str, problems: &mut Problems) -> Option<Layer> {
        let folder = self.root.join("config");
        let known = profiles(&folder);
        if known.iter().any(|profile| profile == name) {
            return Layer::file(&folder.join(format!("{name}.yaml")), problems);
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!("no profile {name:?} in {}; there are: {known}", folder.display());
        problems.push("--profile", None, message);
        None
    }

    /// An empty variable counts as unset: that is how a compose file or unit leaves one out.
    fn variables(&self, problems: &mut Problems) -> Layer {
        let mut layer = Layer::default();
        for key in key::all() {
            let name = key.variable();
            match (self.environment)(&name).map(OsString::into_string) {
                Some(Ok(text)) if !text.is_empty() => layer.set_text(key, &name, &text),
                Some(Err(_)) => {
                    problems.push(
                        &name,
                        Some(key.path()),
                        "expected UTF-8, got other bytes".to_owned(),
                    );
                }
                _ => {}
            }
        }
        layer
    }

    fn typed(&self, problems: &mut Problems) -> Layer {
        let mut layer = Layer::default();
        for Flag { name, key, value } in &self.flags {
            layer.add_text(name, key, value, problems);
        }
        layer
    }
}

/// Names of the YAML files in `folder`, sorted; none if it can't be listed.
fn profiles(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
impl Sources {
    /// `root` and these variables alone, whatever the test's own process has.
    pub(crate) fn isolated(root: &Path, variables: &[(&str, &str)]) -> Self {
        let variables: std::collections::HashMap<String, OsString> =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        let environment = Box::new(move |name: &str| variables.get(name).cloned());
        Self { root: root.to_owned(), environment, ..Self::process() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::device::Device;
    use crate::settings::Settings;

    #[test]
    fn a_variable_with_an_underscore_in_its_field_is_read() {
        let root = tempfile::tempdir().unwrap();
        let variables = [("MODEL_MAX_BATCH_SIZE", "7"), ("NATS_CONNECT_TIMEOUT_S", "0.5")];
        let settings =
            Settings::load(&Sources::isolated(root.path(), &variables)).unwrap().settings;
        assert_eq!(settings.model.max_batch_size, 7);
        assert_eq!(settings.nats.connect_timeout.unwrap().as_millis(), 500);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let root = tempfile::tempdir().unwrap();
        let loaded =
            Settings::load(&Sources::isolated(root.path(), &[("MODEL_DEVICE", "")])).unwrap();
        assert_eq!(loaded.settings.model.device, Device::Auto);
        assert!(loaded.values.iter().all(|value| value.origin == "default"));
    }

    #[test]
    fn null_in_a_variable_gives_up_an_optional_path() {
        let root = folder(&[("other", "model: {path: here}\n")]);
        let variables = [("MODEL_PATH", "null"), ("MODEL_ARTIFACTS", "null")];
        let mut sources = Sources::isolated(root.path(), &variables);
        sources.profile = Some("other".to_owned());
        let model = Settings::load(&sources).unwrap().settings.model;
        assert_eq!((model.path, model.artifacts), (None, PathBuf::from("null")));
    }

    #[cfg(unix)]
    #[test]
    fn a_variable_that_is_not_text_is_reported() {
        use std::os::unix::ffi::OsStringExt;
        let root = tempfile::tempdir().unwrap();
        let environment: Environment =
            Box::new(|name| (name == "MODEL_NAME").then(|| OsString::from_vec(vec![0xff])));
        let sources = Sources { environment, ..Sources::isolated(root.path(), &[]) };
        let problems = Settings::load(&sources).unwrap_err().to_string();
        assert_eq!(problems, "MODEL_NAME: model.name: expected UTF-8, got other bytes");
    }

    #[test]
    fn a_missing_profile_is_answered_with_those_that_exist() {
        let root = folder(&[("b", ""), ("a", ""), ("default", "")]);
        std::fs::write(root.path().join("config/nats-server.conf"), "").unwrap();
        for name in ["c", "../config/a", ""] {
            let sources =
                Sources { profile: Some(name.to_owned()), ..Sources::isolated(root.path(), &[]) };
            let problems = Settings::load(&sources).unwrap_err().to_string();
            assert!(problems.contains(&format!("no profile {name:?}")), "{problems}");
            assert!(problems.ends_with("there are: a, b, default"), "{problems}");
        }
    }

    #[test]
    fn a_missing_file_is_reported_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        let sources =
            Sources { file: Some("no/such.yaml".into()), ..Sources::isolated(root.path(), &[]) };
        let problems = Settings::load(&sources).unwrap_err().to_string();
        assert!(problems.starts_with("no/such.yaml: can't be read: "), "{problems}");
    }

    #[test]
    fn a_profile_and_a_file_exclude_each_other() {
        let root = folder(&[("a", "")]);
        let file = Some(root.path().join("config/a.yaml"));
        let sources =
            Sources { profile: Some("a".to_owned()), file, ..Sources::isolated(root.path(), &[]) };
        assert!(Settings::load(&sources).unwrap_err().to_string().contains("got both"));
    }

    #[test]
    fn the_environment_is_read_in_one_place() {
        let reading = concat!("env::", "var");
        let readers: Vec<_> = sources_of(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")))
            .into_iter()
            .filter(|path| std::fs::read_to_string(path).unwrap().contains(reading))
            .collect();
        assert_eq!(readers.len(), 1, "{readers:?}");
        assert!(readers[0].ends_with("settings/sources.rs"));
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("config")).unwrap();
        for (name, text) in files {
            std::fs::write(root.path().join(format!("config/{name}.yaml")), text).unwrap();
        }
        root
    }

    fn sources_of(folder: &Path) -> Vec<PathBuf> {
        let paths = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
        paths.flat_map(|path| if path.is_dir() { sources_of(&path) } else { vec![path] }).collect()
    }
}
