//! What the processors draw, where the system tells it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where Linux has the meters of processor packages.
const METERS: &str = "/sys/class/powercap";

/// The meters of all packages of this machine.
pub struct Meters {
    packages: Vec<Package>,
}

struct Package {
    folder: PathBuf,
    /// Microjoules at which the meter begins anew.
    wraps_at: u64,
}

/// Microjoules of each package, at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading(Vec<u64>);

impl Meters {
    /// # Errors
    /// Why there are none.
    pub fn find() -> Result<Self, String> {
        if cfg!(target_os = "macos") {
            return Err("macOS tells power to root alone (powermetrics)".into());
        }
        Self::below(Path::new(METERS))
    }

    fn below(root: &Path) -> Result<Self, String> {
        let none = || format!("this system has no meter of processor energy ({METERS})");
        let entries = fs::read_dir(root).map_err(|_| none())?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let packages: Vec<_> = folders.filter_map(package).collect();
        if packages.is_empty() {
            return Err(none());
        }
        let meters = Self { packages };
        meters.read().map(|_| meters)
    }

    /// # Errors
    /// A meter can't be read, mostly since only root may.
    pub fn read(&self) -> Result<Reading, String> {
        let read = |package: &Package| {
            let file = package.folder.join("energy_uj");
            number(&file).map_err(|error| format!("{}: {error}", file.display()))
        };
        self.packages.iter().map(read).collect::<Result<_, _>>().map(Reading)
    }

    /// Joules from one reading to a later one.
    pub fn joules(&self, from: &Reading, to: &Reading) -> f64 {
        let pairs = self.packages.iter().zip(from.0.iter().zip(&to.0));
        let used = pairs.map(|(package, (from, to))| match to >= from {
            true => to - from,
            false => package.wraps_at.saturating_sub(*from) + to,
        });
        used.sum::<u64>() as f64 / 1e6
    }
}

/// Other meters are of parts of a package, which would count twice.
fn package(folder: PathBuf) -> Option<Package> {
    let name = fs::read_to_string(folder.join("name")).ok()?;
    let wraps_at = number(&folder.join("max_energy_range_uj")).ok()?;
    name.starts_with("package").then_some(Package { folder, wraps_at })
}

fn number(file: &Path) -> Result<u64, String> {
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|_| format!("expected a number, got {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(root: &Path, name: &str, energy: &str) {
        let folder = root.join(name.replace('/', "-"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "10000000\n").unwrap();
        fs::write(folder.join("energy_uj"), energy).unwrap();
    }

    #[test]
    fn packages_add_up_over_the_end_of_a_meter_and_their_parts_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        meter(root.path(), "package-0", "9000000\n");
        meter(root.path(), "package-1", "1000000\n");
        meter(root.path(), "core", "5000000\n");
        let meters = Meters::below(root.path()).unwrap();
        let from = meters.read().unwrap();
        meter(root.path(), "package-0", "500000\n");
        meter(root.path(), "package-1", "1500000\n");
        meter(root.path(), "core", "9000000\n");
        assert_eq!(meters.joules(&from, &meters.read().unwrap()), 2.0);
    }

    #[test]
    fn a_machine_without_meters_says_so() {
        let root = tempfile::tempdir().unwrap();
        meter(root.path(), "core", "1");
        for folder in [root.path(), &root.path().join("nowhere")] {
            let why = Meters::below(folder).err().unwrap();
            assert!(why.contains("no meter"), "{why}");
        }
        meter(root.path(), "package-0", "?");
        assert!(Meters::below(root.path()).err().unwrap().contains("energy_uj"));
    }
}
