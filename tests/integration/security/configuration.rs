//! The files of deploy/nats themselves.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use carla_rl::broker;

use super::site::{Site, connect, deploy};

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
