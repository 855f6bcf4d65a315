//! What does not fit ends the start, with words that name the setting.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use carla_rl::{
    failure::Failure,
    nats,
    settings::{Nats, nats::Identity},
};

use super::{
    authority::{Authority, Claim, Usage},
    site::{HOST, Site, client},
};
use crate::command_line::{here, program, stderr};

const OUR_CERTIFICATE: &str = "nats.tls_cert_file, nats.tls_key_file";
const THEIR_CERTIFICATE: &str = "nats.tls_ca_file, nats.url";
const LOGIN: &str = "nats.nkey_file";

#[tokio::test]
async fn a_worker_without_the_right_key_ends_with_exit_code_78() {
    let site = Site::start();
    let failure = site.worker().with(|w| w.nats.nkey_file = None).start_early().join().await;
    assert_refused(failure.unwrap_err(), LOGIN);

    fs::write(site.path("stranger.nk"), nkeys::KeyPair::new_user().seed().unwrap()).unwrap();
    let stranger = Nats { nkey_file: Some(site.path("stranger.nk")), ..site.nats("worker") };
    assert_refused(refusal(&stranger).await, LOGIN);
    let password = format!("tls://ann:s3cret@{HOST}:{}", site.broker.server.port);
    let password = password.parse().unwrap();
    let by_password = Nats { nkey_file: None, servers: password, ..site.nats("worker") };
    assert_refused(refusal(&by_password).await, LOGIN);
}

#[tokio::test]
async fn a_client_whose_certificate_the_broker_does_not_accept_is_told_which_settings() {
    let site = Site::start();
    let folder = site.path("");
    let expired = Claim { expired: true, ..client("worker") };
    site.authority.sign(&folder, "expired", expired);
    let of_a_server = Claim { usage: Usage::Server, ..client("worker") };
    site.authority.sign(&folder, "of-a-server", of_a_server);
    Authority::new().sign(&folder, "stranger", client("worker"));
    for stem in [None, Some("expired"), Some("of-a-server"), Some("stranger")] {
        let mut nats = site.nats("worker");
        nats.tls.identity = stem.map(|stem| identity(&folder, stem));
        assert_refused(refusal(&nats).await, OUR_CERTIFICATE);
    }
}

#[tokio::test]
async fn a_broker_whose_certificate_does_not_fit_is_not_trusted() {
    let site = Site::start();
    let port = site.broker.server.port;
    let servers = |text: String| text.parse().unwrap();
    let elsewhere = servers(format!("tls://localhost:{port}"));
    let by_another_name = Nats { servers: elsewhere, ..site.nats("worker") };
    assert_refused(refusal(&by_another_name).await, THEIR_CERTIFICATE);

    let mut trusting_others = site.nats("worker");
    let other = tempfile::tempdir().unwrap();
    Authority::new().publish(other.path());
    trusting_others.tls.ca_file = Some(other.path().join("ca.pem"));
    assert_refused(refusal(&trusting_others).await, THEIR_CERTIFICATE);

    // The broker asks for TLS, and there is nothing that says whom to trust.
    let mut trusting_all = site.nats("worker");
    trusting_all.tls = Default::default();
    trusting_all.servers = servers(format!("nats://{HOST}:{port}"));
    assert_refused(refusal(&trusting_all).await, "nats.tls_ca_file");
}

#[tokio::test]
async fn a_broker_whose_certificate_has_expired_is_not_trusted() {
    let site = Site::start_with("", true);
    let failure = refusal(&site.nats("worker")).await;
    assert!(failure.to_string().contains("expired"), "{failure}");
    assert_refused(failure, THEIR_CERTIFICATE);
}

#[test]
fn a_file_that_is_not_what_it_should_be_is_told_with_its_setting_before_any_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (file, authority) = (|name: &str| folder.path().join(name), Authority::new());
    authority.publish(folder.path());
    authority.sign(folder.path(), "one", client("one"));
    authority.sign(folder.path(), "two", client("two"));
    fs::write(file("noise"), "s3cret").unwrap();
    let broken = "-----BEGIN CERTIFICATE-----\nczNjcmV0\n-----END CERTIFICATE-----\n";
    fs::write(file("broken.pem"), broken).unwrap();
    symlink(file("loop"), file("loop")).unwrap();
    for setting in ["nkey_file", "credentials_file", "tls_ca_file", "tls_key_file"] {
        for wrong in ["missing", "noise", "loop", "one.pem", "."] {
            if (setting, wrong) == ("tls_ca_file", "one.pem") {
                continue;
            }
            let pair = ("tls_cert_file", "one.pem");
            let given = [(setting, wrong), pair];
            let given = if setting == "tls_key_file" { &given[..] } else { &given[..1] };
            assert_check_fails(folder.path(), given, setting);
        }
    }
    for (cert, key) in [
        ("missing", "one.key"),
        ("noise", "one.key"),
        ("one.key", "one.key"),
        ("two.pem", "one.key"),
    ] {
        let given = [("tls_cert_file", cert), ("tls_key_file", key)];
        assert_check_fails(folder.path(), &given, "tls_cert_file");
    }
    assert_check_fails(folder.path(), &[("tls_ca_file", "broken.pem")], "tls_ca_file");
}

#[test]
fn a_check_passes_with_files_that_fit() {
    let site = Site::start();
    let output = check(
        &site.path(""),
        &[
            ("tls_ca_file", "ca.pem"),
            ("tls_cert_file", "worker.pem"),
            ("tls_key_file", "worker.key"),
            ("nkey_file", "worker.nk"),
        ],
    )
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

fn assert_check_fails(folder: &Path, given: &[(&str, &str)], setting: &str) {
    let output = check(folder, given).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(78), "{given:?}: {told}");
    assert!(told.contains(&format!("nats.{setting}")), "{given:?}: {told}");
    assert!(!told.contains("s3cret") && !told.contains("czNj"), "{given:?}: {told}");
}

/// `worker --check` with these settings of section `nats`, whose values are files in `folder`.
fn check(folder: &Path, given: &[(&str, &str)]) -> Command {
    let mut command = program(here(), &["worker", "--check"]);
    for (field, file) in given {
        command.env(format!("NATS_{}", field.to_uppercase()), folder.join(file));
    }
    command
}

fn identity(folder: &Path, stem: &str) -> Identity {
    let file = |kind: &str| folder.join(format!("{stem}.{kind}"));
    Identity { cert_file: file("pem"), key_file: file("key") }
}

pub async fn refusal(nats: &Nats) -> Failure {
    match nats::connect(nats, "test").await {
        Ok(_) => panic!("{nats:?} is let in"),
        Err(failure) => failure,
    }
}

pub fn assert_refused(failure: Failure, settings: &str) {
    let told = failure.to_string();
    assert_eq!(failure.exit_code(), 78, "{told}");
    assert!(told.contains(settings), "{told}");
}
