//! A worker as a process: started, asked over HTTP, signalled, measured.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{page::Page, stand::send};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);
const HTTP_LIMIT: Duration = Duration::from_secs(5);

pub struct Process {
    pub child: Child,
    pub http: SocketAddr,
}

impl Process {
    /// # Errors
    /// The system starts no process.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let http = free_address().map_err(|error| error.to_string())?;
        command.env("SERVER_PORT", http.port().to_string());
        let child = command.spawn().map_err(|error| error.to_string())?;
        Ok(Self { child, http })
    }

    /// # Errors
    /// It ended, or is not ready within a minute.
    pub async fn become_ready(&self) -> Result<(), String> {
        let ready = async {
            while self.get("/readyz").await.map_or(0, |(status, _)| status) != 200 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(START_LIMIT, ready).await.map_err(|_| "a worker does not become ready".into())
    }

    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        send(self.child.id(), signal)
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to stop; how it ended.
    ///
    /// # Errors
    /// It does not end within a minute.
    pub async fn stop(mut self) -> Result<ExitStatus, String> {
        self.signal(Signal::TERM)?;
        let ended = async {
            loop {
                match self.child.try_wait() {
                    Ok(None) => sleep(Duration::from_millis(10)).await,
                    Ok(Some(status)) => return Ok(status),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        timeout(STOP_LIMIT, ended).await.map_err(|_| "a worker does not stop")?
    }

    /// The status and the body of an answer.
    ///
    /// # Errors
    /// There is none within five seconds.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let answer = timeout(HTTP_LIMIT, get(self.http, path)).await;
        answer.map_err(|_| format!("no answer to {path}"))?
    }

    /// Its metrics.
    ///
    /// # Errors
    /// As [`Process::get`].
    pub async fn page(&self) -> Result<Page, String> {
        Ok(Page::read(&self.get("/metrics").await?.1))
    }

    /// Bytes of memory in use.
    ///
    /// # Errors
    /// The system has no /proc.
    pub fn resident(&self) -> Result<u64, String> {
        self.bytes("VmRSS:")
    }

    /// The most that it has been.
    ///
    /// # Errors
    /// As [`Process::resident`].
    pub fn peak(&self) -> Result<u64, String> {
        self.bytes("VmHWM:")
    }

    fn bytes(&self, name: &str) -> Result<u64, String> {
        let line = self.status_line(name)?;
        let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        Ok(kib.ok_or(line)? * 1024)
    }

    pub fn threads(&self) -> Result<u64, String> {
        let line = self.status_line("Threads:")?;
        line.trim().parse().map_err(|_| line)
    }

    /// Clock ticks that the thread of that name has had of a processor.
    ///
    /// # Errors
    /// As [`Process::resident`].
    pub fn ticks(&self, thread: &str) -> Result<u64, String> {
        let folder = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let tasks = folder.map_err(|error| format!("/proc: {error}"))?.filter_map(Result::ok);
        let stats = tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
        let of_thread = stats.filter_map(|stat| ticks_of(&stat, thread));
        Ok(of_thread.sum())
    }

    pub fn descriptors(&self) -> Result<u64, String> {
        let folder = fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        Ok(folder.map_err(|error| error.to_string())?.count() as u64)
    }

    fn status_line(&self, name: &str) -> Result<String, String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.map_err(|error| format!("/proc: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.map(str::to_owned).ok_or(format!("no {name} in /proc"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; one that stands still ends, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In user and in system mode, of a line `1 (name) S ...` if that is its name.
fn ticks_of(stat: &str, thread: &str) -> Option<u64> {
    let (name, fields) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let modes = fields.split(' ').skip(11).take(2);
    (name == thread).then(|| modes.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

/// # Errors
/// There is no answer that can be read.
pub async fn get(http: SocketAddr, path: &str) -> Result<(u16, String), String> {
    let answer = exchange(http, path).await.map_err(|error| format!("{path}: {error}"))?;
    let parts = answer.split_once("\r\n\r\n").zip(answer.get(9..12));
    let parts = parts.and_then(|((_, body), status)| Some((status.parse().ok()?, body)));
    let (status, body) = parts.ok_or(format!("{path}: {answer:?}"))?;
    Ok((status, body.to_owned()))
}

async fn exchange(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}
