//! `carla-rl probe`: one question to one worker, answered with an exit code.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::mpsc,
    thread,
    time::Duration,
};

use hyper::Uri;

use super::{artifacts::configuration, fleet, load_settings, ping};
use crate::{
    artifact::read_card,
    cli::ProbeArgs,
    failure::Failure,
    settings::{Model, Settings},
};

/// For all of it, name look-up included.
const LIMIT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read: a page of metrics is some ten thousand.
const LONGEST: u64 = 1 << 20;

/// # Errors
/// [`Failure::Unhealthy`] with what the worker says, or why it says nothing;
/// [`Failure::Configuration`] if the question makes no sense.
pub fn run(arguments: &ProbeArgs) -> Result<(), Failure> {
    let settings = load_settings(&arguments.settings)?.settings;
    if arguments.answers {
        return answers(&settings);
    }
    let path = match (arguments.live, arguments.ready) {
        (true, _) => "/livez",
        (_, true) => "/readyz",
        _ => "/startupz",
    };
    let place = match &arguments.url {
        Some(url) => Place::of_url(url)?,
        None => Place::of_settings(&settings)?,
    };
    place.ask(path)
}

fn answers(settings: &Settings) -> Result<(), Failure> {
    let model = model_name(&settings.model)?;
    let runtime = fleet::runtime()?;
    let answered = runtime.block_on(ping::once(&settings.nats, &model, LIMIT));
    // A name server that hangs must not keep us.
    runtime.shutdown_background();
    answered.map_err(|failure| match failure {
        Failure::Unreachable(why) => Failure::Unhealthy(why),
        other => other,
    })
}

/// The worker's own way to its model: a folder wins over a name.
fn model_name(model: &Model) -> Result<String, Failure> {
    match &model.path {
        None => Ok(model.name.clone()),
        Some(folder) => Ok(read_card(folder).map_err(configuration)?.name),
    }
}

/// Where a worker answers over HTTP.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub host: String,
    pub port: u16,
}

impl Place {
    fn of_settings(settings: &Settings) -> Result<Self, Failure> {
        let server = &settings.server;
        let why = match (settings.monitoring.enabled, server.port) {
            (false, _) => "monitoring.enabled is false: such a worker answers nothing over HTTP",
            (_, 0) => {
                "server.port is 0, any free one: name it with --url, the worker's log tells it"
            }
            _ => return Ok(Self { host: reachable(&server.host), port: server.port }),
        };
        Err(Failure::Configuration(why.into()))
    }

    fn of_url(text: &str) -> Result<Self, Failure> {
        let place = || {
            let url: Uri = text.parse().ok()?;
            let is_bare = url.scheme_str() == Some("http") && url.path() == "/";
            let host = url.host()?.trim_start_matches('[').trim_end_matches(']');
            let place = Self { host: reachable(host), port: url.port_u16()? };
            (is_bare && url.query().is_none()).then_some(place)
        };
        place().ok_or_else(|| {
            let expected = "expected http://HOST:PORT, like http://127.0.0.1:8080";
            Failure::Configuration(format!("--url: {expected}, got {text:?}"))
        })
    }

    fn ask(&self, path: &'static str) -> Result<(), Failure> {
        let Self { host, port } = self;
        let unhealthy = |why: String| {
            Err(Failure::Unhealthy(format!("http://{}{path}: {why}", bracketed(host, *port))))
        };
        match self.fetch(path) {
            Ok(Reply { status: 200, .. }) => Ok(()),
            Ok(Reply { status, body }) => unhealthy(format!("{status} {}", body.trim())),
            Err(why) => unhealthy(why),
        }
    }

    /// What it answers, whatever the status.
    ///
    /// # Errors
    /// Nothing within two seconds, or no HTTP.
    pub fn fetch(&self, path: &'static str) -> Result<Reply, String> {
        let (sender, answer) = mpsc::channel();
        let place = self.clone();
        // No single step has a deadline of its own: whoever hangs is left behind with its thread.
        thread::spawn(move || sender.send(place.get(path)));
        match answer.recv_timeout(LIMIT) {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {LIMIT:?}")),
        }
    }

    fn get(&self, path: &str) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port))?;
        let host = bracketed(&self.host, self.port);
        // HTTP/1.0: the answer ends with the connection, and is not in chunks.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Reply::read(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| std::io::Error::other("what came is no HTTP"))
    }
}

/// An answer over HTTP.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    fn read(answer: &str) -> Option<Self> {
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let mut words = head.lines().next()?.split(' ');
        let status = words.next()?.starts_with("HTTP/1.").then(|| words.next())??;
        Some(Self { status: status.parse().ok()?, body: body.to_owned() })
    }
}

/// Who listens on all addresses listens on loopback.
fn reachable(host: &str) -> String {
    match host {
        "0.0.0.0" => "127.0.0.1".into(),
        "::" => "::1".into(),
        host => host.into(),
    }
}

fn bracketed(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_host_and_a_port_and_nothing_else() {
        for (url, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1"),
            ("http://worker-1:8080/", "worker-1"),
            ("http://[::1]:8080", "::1"),
            ("http://0.0.0.0:8080", "127.0.0.1"),
            ("http://[::]:8080", "::1"),
        ] {
            let expected = Place { host: host.into(), port: 8080 };
            assert_eq!(Place::of_url(url), Ok(expected), "{url}");
        }
        for url in
            ["", "127.0.0.1:8080", "https://a:1", "http://a", "http://a:1/livez", "http://a:1?b"]
        {
            assert!(matches!(Place::of_url(url), Err(Failure::Configuration(_))), "{url}");
        }
    }

    #[test]
    fn the_status_and_the_body_are_read_and_what_is_no_http_is_not() {
        let reply = Reply::read("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\ndraining\n");
        assert_eq!(reply, Some(Reply { status: 503, body: "draining\n".into() }));
        for odd in
            ["", "HTTP/1.1 200 OK", "SSH-2.0\r\n\r\n", "HTTP/1.1 OK\r\n\r\n", "HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(Reply::read(odd), None, "{odd}");
        }
    }
}
