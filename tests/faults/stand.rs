//! A broker and the workers around it, all of them real processes that end with these values.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
};

use carla_rl::{
    artifact,
    broker::{self, Broker},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{common::echo, process::Process};

pub struct Stand {
    pub broker: Broker,
    pub folder: TempDir,
}

impl Stand {
    /// A broker, and a policy with these hidden layers.
    ///
    /// # Errors
    /// There is no nats-server, or it does not start.
    pub fn start(hidden: &[usize]) -> Result<Self, String> {
        Self::configured(hidden, "")
    }

    /// The same with a configuration for the broker.
    ///
    /// # Errors
    /// As [`Stand::start`].
    pub fn configured(hidden: &[usize], configuration: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let broker = start_broker(&folder, "broker", configuration)?;
        artifact::create(folder.path(), echo::draft(hidden)).map_err(|error| error.to_string())?;
        Ok(Self { broker, folder })
    }

    pub fn url(&self) -> String {
        self.broker.url()
    }

    /// A worker that is ready.
    ///
    /// # Errors
    /// It is not, within a minute.
    pub async fn worker(&self, settings: &[(&str, &str)]) -> Result<Process, String> {
        self.ready(self.command(&self.url()), settings).await
    }

    /// The same by the command that starts it.
    ///
    /// # Errors
    /// As [`Stand::worker`].
    pub async fn ready(
        &self,
        mut command: Command,
        settings: &[(&str, &str)],
    ) -> Result<Process, String> {
        command.envs(settings.iter().copied());
        let process = Process::start(command)?;
        process.become_ready().await?;
        Ok(process)
    }

    /// What starts a worker that asks the broker at `url`. Its log goes to a file.
    pub fn command(&self, url: &str) -> Command {
        let mut command = self.bare_command(url);
        let log = self.folder.path().join("workers.log");
        let log = File::options().create(true).append(true).open(log);
        command.stderr(log.map_or_else(|_| Stdio::null(), Stdio::from));
        command
    }

    /// The same without a place for its log.
    pub fn bare_command(&self, url: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_carla-rl"));
        carla_rl::settings::key::all().for_each(|key| _ = command.env_remove(key.variable()));
        command.args(["worker", "--nats-url", url, "--model"]).arg(self.model());
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn model(&self) -> PathBuf {
        self.folder.path().join(echo::MODEL).join("0.1.0")
    }

    /// Whether the broker's log has these words.
    pub fn broker_said(&self, words: &str) -> bool {
        let log = fs::read_to_string(self.folder.path().join("broker/nats-server.log"));
        log.is_ok_and(|log| log.contains(words))
    }

    pub fn signal_broker(&self, signal: Signal) -> Result<(), String> {
        send(broker_pid(&self.folder, "broker")?, signal)
    }
}

/// # Errors
/// As [`Stand::start`].
pub fn start_broker(folder: &TempDir, name: &str, configuration: &str) -> Result<Broker, String> {
    let given = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    let own = folder.path().join(name);
    let file = own.join("configuration");
    fs::create_dir_all(&own).map_err(|error| error.to_string())?;
    fs::write(&file, configuration).map_err(|error| error.to_string())?;
    let pid = own.join("pid").display().to_string();
    let arguments = ["--pid", &pid, "--config", &file.display().to_string()];
    Broker::start_with(&broker::find(given.as_deref())?, &own, &arguments)
}

/// # Errors
/// The server has not written it.
pub fn broker_pid(folder: &TempDir, name: &str) -> Result<u32, String> {
    let file = folder.path().join(name).join("pid");
    let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
    text.trim().parse().map_err(|error| format!("{text:?}: {error}"))
}

/// # Errors
/// There is no such process.
pub fn send(pid: u32, signal: Signal) -> Result<(), String> {
    let raw = i32::try_from(pid).map_err(|error| error.to_string())?;
    let pid = Pid::from_raw(raw).ok_or("0 is no process")?;
    kill_process(pid, signal).map_err(|error| error.to_string())
}
