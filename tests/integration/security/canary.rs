//! Secrets that must turn up nowhere.

use std::{fs, process::Command};

use rustix::process::Signal;

use super::site::{HOST, Site};
use crate::{
    command_line::{Process, here, program, stderr, stdout},
    support::TestBroker,
};

#[tokio::test]
async fn a_seed_and_a_private_key_are_in_no_log_however_fine() {
    let site = Site::start();
    let process = Process::of(&mut with_site(&site, &["worker"]));
    process.signal(Signal::TERM);
    let (code, log) = tokio::task::spawn_blocking(|| process.end()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    // The finest lines are there.
    assert!(log.contains("\"level\":\"DEBUG\"") && log.contains("draining"), "{log}");
    assert_tells_none(&log, &secrets(&site));
}

#[test]
fn the_settings_are_shown_without_secrets() {
    let site = Site::start();
    for arguments in [&["--origin"][..], &["--json"], &[]] {
        let arguments = [&["config", "show"], arguments].concat();
        for (command, secrets) in given(&site, &arguments)
            .into_iter()
            .chain([(with_site(&site, &arguments), secrets(&site))])
        {
            let mut command = command;
            let output = command.output().unwrap();
            let told = stdout(&output) + &stderr(&output);
            assert!(told.contains("nkey_file"), "{told}");
            assert_tells_none(&told, &secrets);
        }
    }
}

#[test]
fn a_worker_that_is_refused_tells_no_secret() {
    let site = Site::start();
    for (mut command, secrets) in given(&site, &["worker"]) {
        let output = command.output().unwrap();
        let told = stdout(&output) + &stderr(&output);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert_tells_none(&told, &secrets);
    }
}

#[test]
fn a_fleet_that_is_refused_tells_no_secret() {
    let broker = TestBroker::start_with(&["--user", "ann", "--pass", "right"]);
    let url = format!("nats://ann:wr0ng-canary@{HOST}:{}", broker.server.port);
    let output = program(here(), &["fleet"])
        .env("NATS_URL", url)
        .env("LOGGING_LEVEL", "trace")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", stderr(&output));
    assert_tells_none(&stderr(&output), &["wr0ng-canary".to_owned()]);
}

/// A command for each way in which a secret can be given wrongly, and that secret.
fn given(site: &Site, arguments: &[&str]) -> Vec<(Command, Vec<String>)> {
    let address = |login: &str| format!("tls://{login}@{HOST}:{}", site.broker.server.port);
    let stranger = nkeys::KeyPair::new_user().seed().unwrap();
    fs::write(site.path("stranger.nk"), &stranger).unwrap();
    let creds = format!(
        "-----BEGIN NATS USER JWT-----\neyJ0eXAi.canary-jwt.sig\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{stranger}\n------END USER NKEY SEED------\n"
    );
    fs::write(site.path("stranger.creds"), creds).unwrap();
    let path = |file: &str| site.path(file).to_str().unwrap().to_owned();
    [
        ("NATS_URL", address("ann:canary-password"), "canary-password"),
        ("NATS_URL", address("canary-token"), "canary-token"),
        ("NATS_NKEY_FILE", path("stranger.nk"), &stranger),
        ("NATS_CREDENTIALS_FILE", path("stranger.creds"), &stranger),
    ]
    .into_iter()
    .map(|(variable, value, secret)| {
        let mut command = with_site(site, arguments);
        command.env_remove("NATS_NKEY_FILE").env(variable, value);
        (command, vec![secret.to_owned(), "canary-jwt".to_owned()])
    })
    .collect()
}

/// The program as the site's worker, which logs all it can.
fn with_site(site: &Site, arguments: &[&str]) -> Command {
    let mut command = site.program("worker", arguments);
    command.env("LOGGING_LEVEL", "trace");
    command
}

/// The worker's seed, and the lines of its private key.
fn secrets(site: &Site) -> Vec<String> {
    let read = |file: &str| fs::read_to_string(site.path(file)).unwrap();
    let (seed, key) = (read("worker.nk"), read("worker.key"));
    let lines = key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned);
    lines.chain([seed]).collect()
}

fn assert_tells_none(told: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}
