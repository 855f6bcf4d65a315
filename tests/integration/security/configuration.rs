//! The files of deploy/nats themselves.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use carla_rl::broker;

use super::site::{ROLES, Site, connect, copy_configuration, deploy, nats_of, start};

#[test]
fn every_shipped_configuration_is_valid() {
    let site = Site::start();
    for file in ["laptop.conf", "pool.conf"] {
        assert_valid(&deploy().join(file));
    }
    assert_valid(&site.path("secured.conf"));
    let shipped = fs::read_dir(deploy()).unwrap().map(|entry| entry.unwrap().path());
    let shipped = shipped.filter(|path| path.extension() == Some("conf".as_ref())).count();
    assert_eq!(shipped, 3, "another file needs a line here");
}

fn assert_valid(file: &Path) {
    let given = std::env::var_os("NATS_SERVER_BIN").map(PathBuf::from);
    let server = broker::find(given.as_deref()).unwrap();
    let output = Command::new(server).arg("-t").arg("-c").arg(file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {told}", file.display());
}

#[tokio::test]
async fn with_its_line_for_it_the_handshake_comes_first() {
    let mut site = Site::start();
    let file = site.path("secured.conf");
    let shipped = fs::read_to_string(&file).unwrap();
    let first = shipped.replace("# handshake_first", "handshake_first");
    assert_ne!(first, shipped);
    fs::write(file, first).unwrap();
    site.broker.server.restart().unwrap();
    let mut nats = site.nats("worker");
    nats.tls.first = true;
    connect(&nats).await;

    nats.tls.first = false;
    nats.connect_timeout = Some(Duration::from_millis(1));
    let failure = carla_rl::nats::connect(&nats, "test").await.err().unwrap();
    assert!(
        failure.exit_code() == 75 && failure.to_string().contains("nats.tls_first"),
        "{failure}"
    );
}

#[tokio::test]
async fn what_make_secrets_makes_is_for_its_owner_alone_and_opens_the_secured_broker() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("secrets");
    make_secrets(&folder);
    for role in ROLES {
        for kind in ["nk", "key"] {
            let mode = fs::metadata(folder.join(format!("{role}.{kind}"))).unwrap().permissions();
            assert_eq!(mode.mode() & 0o777, 0o600, "{role}.{kind}");
        }
    }
    copy_configuration(&folder);
    let broker = start(&folder);
    for role in ROLES {
        connect(&nats_of(&folder, role, broker.server.port)).await;
    }
}

#[test]
fn make_secrets_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(deploy().join("make-secrets")).arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn make_secrets(folder: &Path) {
    let output = Command::new(deploy().join("make-secrets")).arg(folder).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "it needs openssl and python3: {told}");
}
