//! The same program in a process of its own, for commands that start one.

use std::{process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::failure::Failure;

/// More than a worker's own drain timeout.
const DRAIN_LIMIT: Duration = Duration::from_secs(40);

/// A call of this program, which ends with the value that it becomes.
///
/// # Errors
/// The system does not tell where this program is.
pub fn command(subcommand: &str) -> Result<Command, Failure> {
    let program = std::env::current_exe().map_err(|error| Failure::Defect(error.to_string()))?;
    let mut command = Command::new(program);
    command
        .arg(subcommand)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Ctrl-C in a terminal goes to the whole group; whoever started it ends it, in its turn.
        .process_group(0)
        .kill_on_drop(true);
    Ok(command)
}

/// # Errors
/// What the system says.
pub fn start(command: &mut Command) -> Result<Child, Failure> {
    let cannot = |error| Failure::Defect(format!("the worker can't start: {error}"));
    command.spawn().map_err(cannot)
}

/// Tells a worker to stop, and sees that it ends as promised.
///
/// # Errors
/// It does not.
pub async fn drain(worker: &mut Child) -> Result<(), Failure> {
    let pid = worker.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let told = pid.map(|pid| kill_process(pid, Signal::TERM));
    if let Some(Err(error)) = told {
        return Err(Failure::Defect(format!("the worker can't be stopped: {error}")));
    }
    match timeout(DRAIN_LIMIT, worker.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(status) => Err(ended_early(status)),
        Err(_) => Err(Failure::Defect(format!("the worker did not drain within {DRAIN_LIMIT:?}"))),
    }
}

pub fn ended_early(status: std::io::Result<std::process::ExitStatus>) -> Failure {
    match status {
        Ok(status) => Failure::Defect(format!("the worker ended with {status}; see its log above")),
        Err(error) => Failure::Defect(format!("the worker is lost: {error}")),
    }
}
