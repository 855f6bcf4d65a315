//! A broker of two that says it will go.

use std::{net::TcpListener, process::Command, time::Duration};

use tokio::time::sleep;

use crate::{
    Outcome,
    common::load::{Load, Pace, Plan},
    membership::{NARROW, PATIENCE, progress},
    report::Report,
    say,
    stand::{Stand, broker_pid, start_broker},
};

/// As short as the server allows.
const LEAVING: &str = "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"2s\"\n";

pub async fn lame_duck() -> Outcome {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.map_err(|error| error.to_string())?.port();
    let first = format!("cluster {{ name: pair, listen: \"127.0.0.1:{port}\" }}\n{LEAVING}");
    let second = format!(
        "cluster {{ name: pair, listen: \"127.0.0.1:-1\", routes: [\"nats://127.0.0.1:{port}\"] }}\n"
    );
    let stand = Stand::configured(NARROW, &first)?;
    let other = start_broker(&stand.folder, "other", &second)?;
    let both = format!("{},{}", stand.url(), other.url());
    let moving = stand.ready(stand.command(&both), &[]).await?;
    let staying = stand.ready(stand.command(&other.url()), &[]).await?;
    let load = Load::start(&other.url(), Plan::new(Pace::Window(256))).await?;
    load.serve(30_000, PATIENCE).await?;
    leave(&stand)?;
    let gone = wait_until_gone(&stand).await;
    say("lame-duck", progress(&load));
    moving.become_ready().await?;
    load.serve(30_000, PATIENCE).await?;
    let verdict = load.finish().await;
    let conserves = moving.page().await?.conserves() && staying.page().await?.conserves();
    let promise = "workers leave a broker that says it will go before it does, and lose nothing";
    Ok(Report::new("lame-duck", promise, verdict)
        .sound()
        .all_answered()
        .hold(conserves, "the workers' counts don't add up")
        .hold(gone, "the broker did not go within a minute"))
}

fn leave(stand: &Stand) -> Result<(), String> {
    let pid = broker_pid(&stand.folder, "broker")?;
    let given = std::env::var_os("NATS_SERVER_BIN").map(std::path::PathBuf::from);
    let binary = carla_rl::broker::find(given.as_deref())?;
    let told = Command::new(binary).arg("--signal").arg(format!("ldm={pid}")).status();
    let told = told.map_err(|error| error.to_string())?;
    told.success().then_some(()).ok_or(format!("nats-server --signal: {told}"))
}

async fn wait_until_gone(stand: &Stand) -> bool {
    for _ in 0..600 {
        if stand.broker_said("Server Exiting") {
            return true;
        }
        sleep(Duration::from_millis(100)).await;
    }
    false
}
