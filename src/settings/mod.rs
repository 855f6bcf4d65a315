//! Settings: what was set, where, and whether it may stand.
//!
//! Layers, later wins: the defaults in the program (a copy of `config/default.yaml` made when it
//! was built) → `config/default.yaml` → the profile or one file → environment → flags. Each layer
//! must be valid in itself, so a wrong value is reported even where a later layer hides it, and
//! all [`Problems`] of all layers are reported at once. Of the environment only the variables of
//! known keys are looked up, so a mistyped variable can't be told from somebody else's.
//!
//! [`key`] holds the table of everything that can be set; each section's file holds its part of
//! that table and the checked type it becomes. Past [`Settings`] nobody checks again.

mod file;
pub mod key;
mod layer;
pub mod limits;
pub mod logging;
pub mod model;
pub mod monitoring;
pub mod nats;
pub mod problem;
pub mod queue;
pub mod reference;
pub mod server;
pub mod servers;
pub mod shown;
pub mod sources;
mod values;
pub mod worker;

use std::path::Path;

use config::{Config, Map, Source, Value};

pub use limits::Limits;
pub use logging::{LogFormat, Logging};
pub use model::Model;
pub use monitoring::Monitoring;
pub use nats::Nats;
pub use problem::{Expected, Problem, Problems};
pub use queue::Queue;
pub use server::Server;
pub use servers::Servers;
pub use shown::Shown;
pub use sources::{Flag, Sources};
pub use worker::Worker;

use layer::Layer;
use values::Values;

/// Everything that can be set, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    pub model: Model,
    pub limits: Limits,
    pub queue: Queue,
    pub nats: Nats,
    pub worker: Worker,
    pub server: Server,
    pub monitoring: Monitoring,
    pub logging: Logging,
}

/// The settings in force, and for each key what was given and where.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub settings: Settings,
    /// One per key, in the order of the table.
    pub values: Vec<Shown>,
}

impl Settings {
    /// Reads every layer of `sources` and checks the outcome.
    ///
    /// # Errors
    /// All that is wrong in any layer, and a missing profile or file.
    pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let layers = sources.layers(&mut problems);
        Self::merge(layers, problems)
    }

    /// Checks one file on top of the defaults in the program, and nothing else.
    ///
    /// # Errors
    /// All that is wrong in the file, or that it can't be read.
    pub fn check(file: &Path) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let mut layers = vec![Layer::defaults(&mut problems)];
        layers.extend(Layer::file(file, &mut problems));
        Self::merge(layers, problems)
    }

    /// The same for a file's text, of which `origin` says where it came from.
    ///
    /// # Errors
    /// All that is wrong in it.
    pub fn check_text(origin: &str, text: &str) -> Result<Loaded, Problems> {
        let mut problems = Problems::default();
        let layers = vec![Layer::defaults(&mut problems), Layer::yaml(origin, text, &mut problems)];
        Self::merge(layers, problems)
    }

    fn merge(layers: Vec<Layer>, mut problems: Problems) -> Result<Loaded, Problems> {
        for layer in &layers {
            Self::read(&mut Values::new(layer.sections(), &mut problems));
        }
        let sections = layered(layers, &mut problems);
        let mut values = Values::new(&sections, &mut problems);
        let settings = Self::read(&mut values);
        limits::check_order(&mut values);
        nats::check_pairs(&mut values);
        let shown = key::all().filter_map(|key| Shown::new(key, values.get(key)?)).collect();
        // No settings without a problem can't be: the defaults hold every key.
        match settings {
            Some(settings) if problems.is_empty() => Ok(Loaded { settings, values: shown }),
            _ => Err(problems),
        }
    }

    /// The checked settings, or `None` if a key is wrong (then a problem says so) or absent.
    fn read(values: &mut Values) -> Option<Self> {
        let model = Model::read(values);
        let limits = Limits::read(values);
        let queue = Queue::read(values);
        let nats = Nats::read(values);
        let worker = Worker::read(values);
        let server = Server::read(values);
        let monitoring = Monitoring::read(values);
        let logging = Logging::read(values);
        Some(Self {
            model: model?,
            limits: limits?,
            queue: queue?,
            nats: nats?,
            worker: worker?,
            server: server?,
            monitoring: monitoring?,
            logging: logging?,
        })
    }
}

fn layered(layers: Vec<Layer>, problems: &mut Problems) -> Map<String, Value> {
    let builder =
        layers.into_iter().fold(Config::builder(), |builder, layer| builder.add_source(layer));
    builder.build().and_then(|config| config.collect()).unwrap_or_else(|error| {
        problems.push("settings", None, error.to_string());
        Map::new()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Sets one key more in each layer, so that the topmost layer of each key shows.
    #[test]
    fn later_layers_win_and_each_value_names_its_layer() {
        let root = tempfile::tempdir().unwrap();
        let file = |name: &str| root.path().join("config").join(name);
        std::fs::create_dir(root.path().join("config")).unwrap();
        let all = "limits: {queue_rows: 2001, request_rows: 2, request_bytes: 2}\nmodel: {max_batch_size: 2}\n";
        std::fs::write(file("default.yaml"), all).unwrap();
        let most =
            all.replace("2001", "3001").replace(": 2", ": 3").replace("request_rows: 3, ", "");
        std::fs::write(file("mine.yaml"), most).unwrap();
        let variables = [("MODEL_MAX_BATCH_SIZE", "4"), ("LIMITS_REQUEST_BYTES", "4")];
        let mut sources = Sources::isolated(root.path(), &variables);
        sources.flags = vec![flag("--max-batch-size", "model.max_batch_size", "5")];

        let by_profile = Sources { profile: Some("mine".to_owned()), ..sources };
        let expected = [
            ("nats.prefix", "\"policy\"".to_owned(), "default".to_owned()),
            ("limits.request_rows", "2".to_owned(), file("default.yaml").display().to_string()),
            ("limits.queue_rows", "3001".to_owned(), file("mine.yaml").display().to_string()),
            ("limits.request_bytes", "4".to_owned(), "LIMITS_REQUEST_BYTES".to_owned()),
            ("model.max_batch_size", "5".to_owned(), "--max-batch-size".to_owned()),
        ];
        let by_file = Sources {
            profile: None,
            file: Some(file("mine.yaml")),
            ..Sources::isolated(root.path(), &variables)
        };
        let by_file = Sources { flags: by_profile.flags.clone(), ..by_file };
        for sources in [by_profile, by_file] {
            let loaded = Settings::load(&sources).unwrap();
            for (key, value, origin) in &expected {
                let shown = loaded.values.iter().find(|shown| shown.key.path() == *key).unwrap();
                assert_eq!((&shown.value.to_string(), &shown.origin), (value, origin), "{key}");
            }
            assert_eq!(loaded.settings.model.max_batch_size, 5);
        }
    }

    #[test]
    fn a_null_in_a_later_layer_undoes_an_earlier_path() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file.yaml");
        std::fs::write(&file, "model: {path: null}").unwrap();
        std::fs::create_dir(root.path().join("config")).unwrap();
        std::fs::write(root.path().join("config/default.yaml"), "model: {path: here}").unwrap();
        let sources = Sources { file: Some(file), ..Sources::isolated(root.path(), &[]) };
        assert_eq!(Settings::load(&sources).unwrap().settings.model.path, None);
    }

    #[test]
    fn problems_of_all_layers_are_reported_once_each_in_their_order() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file.yaml");
        std::fs::write(&file, "model: {device: gpu, precision: int4}").unwrap();
        let variables =
            [("MODEL_DEVICE", "tpu"), ("MODEL_MAX_BATCH_SIZE", "abc"), ("LIMITS_QUEUE_ROWS", "3")];
        let mut sources =
            Sources { file: Some(file.clone()), ..Sources::isolated(root.path(), &variables) };
        sources.flags = vec![
            flag("--device", "model.device", "npu"),
            flag("--set", "modl.name", "x"),
            flag("--set", "model.nam", "x"),
        ];
        let problems = Settings::load(&sources).unwrap_err();
        let file = file.display().to_string();
        let found: Vec<_> =
            problems.iter().map(|p| (p.origin.as_str(), p.key.as_deref().unwrap())).collect();
        assert_eq!(
            found,
            [
                ("--set", "modl"),
                ("--set", "model.nam"),
                (&file, "model.device"),
                (&file, "model.precision"),
                ("MODEL_DEVICE", "model.device"),
                ("MODEL_MAX_BATCH_SIZE", "model.max_batch_size"),
                ("--device", "model.device"),
                ("LIMITS_QUEUE_ROWS", "limits.queue_rows"),
            ]
        );
        assert!(
            problems.to_string().contains("at least limits.request_rows (1024), got 3"),
            "{problems}"
        );
    }

    #[test]
    fn a_connect_timeout_of_zero_waits_for_ever() {
        let root = tempfile::tempdir().unwrap();
        let wait = |seconds| {
            let sources = Sources::isolated(root.path(), &[("NATS_CONNECT_TIMEOUT_S", seconds)]);
            Settings::load(&sources).unwrap().settings.nats.connect_timeout
        };
        assert_eq!((wait("0"), wait("1.5")), (None, Some(Duration::from_millis(1500))));
    }

    #[test]
    fn every_shipped_profile_is_valid() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/config"));
        for name in ["default", "production", "mac-m4-max"] {
            let checked = Settings::check(&folder.join(format!("{name}.yaml")));
            assert!(checked.is_ok(), "{}", checked.unwrap_err());
        }
    }

    fn flag(name: &str, key: &str, value: &str) -> Flag {
        Flag { name: name.to_owned(), key: key.to_owned(), value: value.to_owned() }
    }
}
