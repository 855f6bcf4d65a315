//! Faults for real workers and brokers under load, and whether what is promised holds. Run with
//! `make faults`; docs/reliability.md tells of each.

#[path = "../common/mod.rs"]
mod common;

mod cluster;
mod content;
mod frozen;
mod host;
mod liveness;
mod membership;
mod outage;
mod overload;
mod page;
mod process;
mod report;
mod soak;
mod stand;

use std::{
    path::PathBuf,
    pin::Pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use common::proxy::Fault;
use report::Report;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Faults for real workers and brokers under load")]
struct Arguments {
    /// Which faults; all but `soak` if none is named.
    faults: Vec<String>,
    /// Where the results go as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Requests of `soak`.
    #[arg(long, default_value_t = 10_000_000, value_name = "N")]
    requests: u64,
}

type Outcome = Result<Report, String>;
type Run = fn(&Arguments) -> Pin<Box<dyn Future<Output = Outcome>>>;

/// How long a fault of a connection lasts.
const AT_ONCE: Duration = Duration::ZERO;
const A_WHILE: Duration = Duration::from_secs(5);

const FAULTS: &[(&str, Run)] = &[
    ("leave", |_| Box::pin(membership::leave())),
    ("rolling", |_| Box::pin(membership::rolling())),
    ("kill", |_| Box::pin(membership::kill())),
    ("stop", |_| Box::pin(frozen::stop())),
    ("stop-tuned", |_| Box::pin(frozen::stop_tuned())),
    ("broker", |_| Box::pin(outage::broker())),
    ("frozen", |_| Box::pin(frozen::frozen())),
    ("reset", |_| Box::pin(outage::cut("reset", Fault::Reset, AT_ONCE))),
    ("half-close", |_| Box::pin(outage::cut("half-close", Fault::HalfClose, AT_ONCE))),
    ("black-hole", |_| Box::pin(outage::cut("black-hole", Fault::BlackHole, A_WHILE))),
    ("slow", |_| Box::pin(outage::cut("slow", Fault::Slow, A_WHILE))),
    ("garbage", |_| Box::pin(outage::cut("garbage", Fault::Garbage, AT_ONCE))),
    ("slow-reader", |_| Box::pin(overload::slow_reader())),
    ("flood", |_| Box::pin(overload::flood())),
    ("poison", |_| Box::pin(content::poison())),
    ("bombs", |_| Box::pin(content::bombs())),
    ("oversize", |_| Box::pin(content::oversize())),
    ("disk", |_| Box::pin(host::disk())),
    ("unread", |_| Box::pin(host::unread())),
    ("files", |_| Box::pin(host::files())),
    ("clock", |_| Box::pin(host::clock())),
    ("lame-duck", |_| Box::pin(cluster::lame_duck())),
    ("soak", |arguments| Box::pin(soak::soak(arguments.requests))),
];

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let known = |name: &String| FAULTS.iter().any(|(fault, _)| fault == name);
    if let Some(name) = arguments.faults.iter().find(|name| !known(name)) {
        let names: Vec<_> = FAULTS.iter().map(|(fault, _)| *fault).collect();
        eprintln!("there is no fault {name:?}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).expect("SIGINT can be heard"),
            signal(SignalKind::terminate()).expect("SIGTERM can be heard"),
        );
        // What is dropped here takes its processes with it.
        tokio::select! {
            code = run_all(&arguments) => code,
            _ = interrupt.recv() => ExitCode::from(130),
            _ = terminate.recv() => ExitCode::from(143),
        }
    })
}

async fn run_all(arguments: &Arguments) -> ExitCode {
    let is_wanted = |name: &str| match arguments.faults.is_empty() {
        true => name != "soak",
        false => arguments.faults.iter().any(|wanted| wanted == name),
    };
    let mut reports = Vec::new();
    for (fault, run) in FAULTS.iter().filter(|(fault, _)| is_wanted(fault)) {
        let began = Instant::now();
        say(fault, "begins");
        let report = run(arguments).await.unwrap_or_else(|why| Report::failed(fault, why));
        say(fault, format!("ends after {:.1?}: {}", began.elapsed(), report.word()));
        reports.push(report);
    }
    println!("{}", report::table(&reports));
    if let Some(file) = &arguments.json {
        let json = serde_json::to_vec_pretty(&reports).expect("it can be written");
        if let Err(error) = std::fs::write(file, json) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    let broken = reports.iter().any(|report| report.kept == Some(false));
    if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// A line of progress.
pub fn say(fault: &str, what: impl std::fmt::Display) {
    eprintln!("{fault}: {what}");
}
