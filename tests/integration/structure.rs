//! What the architecture promises about the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms without input and output, and what none of their files may mention.
const PURE: [&str; 2] = ["src/wire", "src/batch"];
const PURE_FLEET: [&str; 11] = [
    "driver",
    "map",
    "observation",
    "picture",
    "rays",
    "report",
    "road",
    "shape",
    "trail",
    "vehicle",
    "world",
];
const PURE_VIEW: [&str; 12] = [
    "browser", "column", "detail", "figures", "history", "pool", "report", "screen", "series",
    "summary", "watch", "member",
];
const PURE_LOADGEN: [&str; 12] = [
    "arrivals", "cell", "chart", "compare", "latency", "page", "recorder", "results", "slots",
    "stages", "table", "window",
];
const IMPURE: [&str; 6] = ["tokio", "async_nats", "candle", "metrics::", "Instant", "SystemTime"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    files.into_iter().chain(below).filter(|path| path.extension() == Some("rs".as_ref())).collect()
}

#[test]
fn pure_rooms_mention_no_runtime_no_device_and_no_clock() {
    let rooms = PURE.iter().flat_map(|room| sources(&root().join(room)));
    let fleet = PURE_FLEET.iter().map(|file| root().join(format!("src/fleet/{file}.rs")));
    let view = PURE_VIEW.iter().map(|file| root().join(format!("src/view/{file}.rs")));
    let loadgen = PURE_LOADGEN.iter().map(|file| root().join(format!("src/loadgen/{file}.rs")));
    let files: Vec<_> = rooms.chain(fleet).chain(view).chain(loadgen).collect();
    assert!(files.len() > 20, "the rooms are where this test looks for them");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in IMPURE {
            assert!(!text.contains(word), "{} mentions {word}", file.display());
        }
    }
}

/// Where the wall clock may be asked: telemetry shows it, and the others hand it to telemetry.
const TELLS_TIME: [&str; 4] =
    ["src/telemetry", "src/commands/worker.rs", "src/worker/engine.rs", "src/worker/service.rs"];

#[test]
fn nothing_that_decides_asks_the_wall_clock_which_may_be_set() {
    let may = |file: &Path| TELLS_TIME.iter().any(|place| file.starts_with(root().join(place)));
    for file in sources(&root().join("src")).into_iter().filter(|file| !may(file)) {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("SystemTime"), "{}", file.display());
    }
}

#[test]
fn a_worker_asks_the_wall_clock_only_for_when_a_trace_began() {
    for file in ["src/worker/engine.rs", "src/worker/service.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let asks = text.lines().filter(|line| line.contains("SystemTime::"));
        let asks: Vec<_> = asks.map(str::trim).collect();
        let known = ["SystemTime::now() - self.queue.now()", "epoch: SystemTime::UNIX_EPOCH,"];
        assert!(asks.iter().all(|ask| known.contains(ask)), "{file}: {asks:?}");
    }
}

#[test]
fn batching_and_policies_do_not_know_each_other() {
    for (room, stranger) in [("src/batch", "policy"), ("src/policy", "batch::")] {
        for file in sources(&root().join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            assert!(!text.contains(&format!("crate::{stranger}")), "{}", file.display());
        }
    }
}

#[test]
fn nobody_imports_the_worker_but_the_commands() {
    for file in sources(&root().join("src")) {
        let may =
            ["src/worker", "src/commands"].iter().any(|room| file.starts_with(root().join(room)));
        let text = fs::read_to_string(&file).unwrap();
        let does = text.contains("crate::worker") || text.contains("\n    worker::");
        assert!(may || !does, "{}", file.display());
    }
}
