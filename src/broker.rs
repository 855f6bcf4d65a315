//! A nats-server of our own, for the demonstration and the tests: on loopback, on a free port.

use std::{
    ffi::OsString,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Where `make nats-server` puts what it fetches, below the working directory.
const FETCHED: &str = ".tools/bin/nats-server";
/// The oldest release that this program is tried with.
const OLDEST: (u64, u64) = (2, 10);
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server. It ends with this value.
pub struct Broker {
    child: Child,
    pub port: u16,
    binary: PathBuf,
    folder: PathBuf,
    arguments: Vec<OsString>,
}

impl Broker {
    /// Starts `binary` with a folder for its files.
    ///
    /// # Errors
    /// It does not run, or does not say within 20 seconds where it listens.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        Self::start_with(binary, folder, &[])
    }

    /// The same with further arguments.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_with(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let port = free_port().map_err(|error| format!("no free port: {error}"))?;
        let arguments = arguments.iter().map(OsString::from).collect::<Vec<_>>();
        let child = spawn(binary, port, folder, &arguments)?;
        let (binary, folder) = (binary.to_owned(), folder.to_owned());
        let mut broker = Self { child, port, binary, folder, arguments };
        broker.wait_until_it_listens()?;
        Ok(broker)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends the server at once.
    pub fn kill(&mut self) {
        // It may have ended by itself; there is nothing else to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it anew on the same port.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn restart(&mut self) -> Result<(), String> {
        self.kill();
        self.child = spawn(&self.binary, self.port, &self.folder, &self.arguments)?;
        self.wait_until_it_listens()
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("{} ended with {status}", self.binary.display()));
            }
            if started.elapsed() > START_LIMIT {
                return Err(format!("{} does not listen", self.binary.display()));
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The server to use: `given` (a flag, or `NATS_SERVER_BIN`), else the one that `make nats-server`
/// has fetched, else the one on the path.
///
/// # Errors
/// There is none, or only one that is too old; the error says how to get one.
pub fn find(given: Option<&Path>) -> Result<PathBuf, String> {
    let fetched = PathBuf::from(FETCHED);
    let candidate = match given {
        Some(path) => path.to_owned(),
        None if fetched.is_file() => fetched,
        None => PathBuf::from("nats-server"),
    };
    let advice = "run `make nats-server`, or name one with NATS_SERVER_BIN";
    let output = Command::new(&candidate).arg("--version").output();
    let output = output.map_err(|error| format!("{}: {error}: {advice}", candidate.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_string();
    match version(&said) {
        Some(version) if version >= OLDEST => Ok(candidate),
        _ => Err(format!(
            "{} says {said:?}, expected nats-server 2.10 or newer: {advice}",
            candidate.display()
        )),
    }
}

/// From `nats-server: v2.15.1`.
fn version(said: &str) -> Option<(u64, u64)> {
    let (_, number) = said.rsplit_once('v')?;
    let mut parts = number.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// The port stays the same over a restart, so the server can't choose it itself.
///
/// # Errors
/// What the system says.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn spawn(binary: &Path, port: u16, folder: &Path, arguments: &[OsString]) -> Result<Child, String> {
    let log = fs::File::create(folder.join("nats-server.log"))
        .map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = Command::new(binary);
    command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]).args(arguments);
    // Ctrl-C in a terminal goes to the whole group; who started the server ends it, in its turn.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| format!("{}: {error}", binary.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_server_says() {
        assert_eq!(version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(version("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version("command not found"), None);
    }
}
