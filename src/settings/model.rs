//! The model that is served and how it computes.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::key::Key;
use super::nats::token;
use super::problem::Expected;
use super::values::{Values, path};
use crate::artifact::store::Selection;
use crate::policy::device::{Device, Precision};
use crate::policy::threads::Threads;

const ARTIFACTS: Key = Key::text("model", "artifacts");
const NAME: Key = Key::text("model", "name");
const VERSION: Key = Key::text("model", "version");
const PATH: Key = Key::optional_text("model", "path");
const DEVICE: Key = Key::text("model", "device");
const PRECISION: Key = Key::text("model", "precision");
const THREADS: Key = Key::count("model", "threads", (1024, "threads"));
const MAX_BATCH_SIZE: Key = Key::integer("model", "max_batch_size", (1, 65_536), "rows");
const MAX_DELAY_US: Key = Key::integer("model", "max_delay_us", (0, 1_000_000), "microseconds");

pub(super) const KEYS: &[Key] =
    &[ARTIFACTS, NAME, VERSION, PATH, DEVICE, PRECISION, THREADS, MAX_BATCH_SIZE, MAX_DELAY_US];

/// Section `model`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The folder that holds `<name>/<version>/`.
    pub artifacts: PathBuf,
    /// One subject token: letters, digits, `_` and `-`.
    pub name: String,
    pub version: Selection,
    /// A folder with one artifact, in place of `name` and `version`.
    pub path: Option<PathBuf>,
    pub device: Device,
    pub precision: Precision,
    /// That compute a batch, on the CPU.
    pub threads: Threads,
    /// Most rows in one forward pass.
    pub max_batch_size: usize,
    /// Longest wait for company, counted from the arrival of the oldest row. Zero never waits
    /// while the device is idle.
    pub max_delay: Duration,
}

impl Model {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let artifacts = values.text(&ARTIFACTS, path);
        let name = values.text(&NAME, token);
        let version = values.text(&VERSION, parsed);
        let path = values.optional(&PATH, path);
        let device = values.text(&DEVICE, parsed);
        let precision = values.text(&PRECISION, parsed);
        let threads = values.count(&THREADS);
        let max_batch_size = values.integer(&MAX_BATCH_SIZE);
        let max_delay_us = values.integer(&MAX_DELAY_US);
        Some(Self {
            artifacts: artifacts?,
            name: name?,
            version: version?,
            path: path?,
            device: device?,
            precision: precision?,
            threads: threads?.map_or(Threads::Auto, Threads::Count),
            max_batch_size: max_batch_size?,
            max_delay: Duration::from_micros(max_delay_us? as u64),
        })
    }
}

/// For types whose error says what they expect.
fn parsed<T: FromStr<Err = String>>(text: &str) -> Result<T, Expected> {
    text.parse().map_err(Expected)
}
