//! A program in a process of its own that drives in place of our vehicles.
//!
//! It leads a process group, so that whatever it has started ends with it.

use std::{
    collections::VecDeque,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Split},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

/// Lines of its standard error that are kept, the last ones.
const WORDS: usize = 20;
/// Once it has ended, for what it has written to be read.
const READ_LIMIT: Duration = Duration::from_secs(1);

/// A running program. It ends with this value.
pub struct Program {
    child: Child,
    /// While there is anything to end in it.
    group: Option<Pid>,
    lines: Split<BufReader<ChildStdout>>,
    words: JoinHandle<VecDeque<String>>,
}

/// How it has ended.
pub struct Ended {
    /// None if it did not until it was killed.
    pub status: Option<ExitStatus>,
    /// The last lines of its standard error.
    pub words: String,
}

impl Program {
    /// # Errors
    /// What the system says.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in a terminal goes to the whole group; whoever started it ends it.
            .process_group(0)
            .spawn()?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // Both have just been asked for.
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let stderr = child.stderr.take().expect("standard error is a pipe");
        let lines = BufReader::new(stdout).split(b'\n');
        Ok(Self { child, group, lines, words: tokio::spawn(last_lines(stderr)) })
    }

    /// The next line of its standard output; none if that or the program has ended.
    pub async fn line(&mut self) -> Option<Vec<u8>> {
        let Self { child, lines, .. } = self;
        tokio::select! {
            biased;
            line = lines.next_segment() => return line.ok().flatten(),
            _ = child.wait() => {}
        }
        // What it has started must not hold its output open.
        self.kill();
        timeout(READ_LIMIT, self.lines.next_segment()).await.ok()?.ok().flatten()
    }

    /// Tells it to end.
    pub fn stop(&self) {
        // None if it has ended already.
        if let Some(pid) = self.child.id().and(self.group) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for its end until then, and ends what is left of it.
    pub async fn end(mut self, deadline: Instant) -> Ended {
        let status = timeout_at(deadline, self.child.wait()).await.ok().and_then(Result::ok);
        self.kill();
        let words = timeout(READ_LIMIT, &mut self.words).await.ok().and_then(Result::ok);
        let words = Vec::from(words.unwrap_or_default()).join("\n");
        Ended { status, words }
    }

    /// Ends all processes of the group at once.
    fn kill(&mut self) {
        // Once only: the system may give its number to others.
        if let Some(group) = self.group.take() {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn last_lines(from: impl AsyncRead + Unpin) -> VecDeque<String> {
    let mut lines = BufReader::new(from).split(b'\n');
    let mut last = VecDeque::new();
    while let Ok(Some(line)) = lines.next_segment().await {
        if last.len() == WORDS {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(&line).into_owned());
    }
    last
}
