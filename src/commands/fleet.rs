//! `carla-rl fleet`: vehicles against any pool.

use std::{fs, io::Write, path::Path};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::artifacts::written;
use crate::{
    cli::{DriveArgs, FleetArgs, FormArg, PoolArgs},
    failure::Failure,
    fleet::{
        DEMO_ROAD_SEED, Road, World,
        exchange::{Exchange, Form},
        picture,
        remote::{self, Schedule},
        score::{Episodes, Outcome, Score, Snapshot, Summary},
    },
    nats::{self, Connection},
    settings::{self, Flag, Settings, Sources},
    telemetry::logs,
};

/// Where the vehicles start is decided by this seed.
const START_SEED: u64 = 7;
/// Observations of each vehicle per second, if nobody says.
const HZ: f64 = 20.0;
/// The table's head comes again after this many rows.
const HEAD_EVERY: usize = 20;

/// # Errors
/// No broker, no pool, a pool that can't drive these vehicles, a file that can't be written.
pub fn run(arguments: &FleetArgs, out: &mut impl Write) -> Result<(), Failure> {
    let settings = pool_settings(&arguments.pool, arguments.model.clone())?;
    let _logs = logs::install(&settings.logging).map_err(Failure::Configuration)?;
    let form = match arguments.form {
        FormArg::Native => Form::Native,
        FormArg::Carla => Form::Carla,
    };
    runtime()?.block_on(async {
        let stop = stop_on_signal()?;
        let driven =
            drive(&settings.nats, &settings.model.name, form, &arguments.drive, stop).await?;
        finish(&driven, &arguments.drive, out)
    })
}

/// A world after a drive.
pub struct Driven {
    pub world: World,
    pub summary: Summary,
}

/// Drives the demonstration's vehicles; the table goes to standard error.
///
/// # Errors
/// As [`run`].
pub async fn drive(
    nats: &settings::Nats,
    model: &str,
    form: Form,
    arguments: &DriveArgs,
    stop: watch::Receiver<bool>,
) -> Result<Driven, Failure> {
    let (vehicles, hz) = (arguments.vehicles as usize, arguments.hz.unwrap_or(HZ));
    let mut world = World::new(Road::generate(DEMO_ROAD_SEED), vehicles, START_SEED);
    let mut stopped = stop.clone();
    let found = tokio::select! {
        found = find_pool(nats, model, form) => Some(found?),
        _ = stopped.wait_for(|stop| *stop) => None,
    };
    let score = match found {
        None => Score::default(),
        Some((connection, exchange)) => {
            let schedule = Schedule { hz, duration: arguments.duration };
            let mut table = Table::new("on road", vehicles);
            let mut every_second = |snapshot: &Snapshot| table.row(snapshot);
            let client = &connection.client;
            remote::drive(client, exchange, &mut world, schedule, stop, &mut every_second).await?
        }
    };
    let summary = score.summary(vehicles, Some(hz), Outcome::LeftRoad(world.left_road()));
    Ok(Driven { world, summary })
}

async fn find_pool(
    nats: &settings::Nats,
    model: &str,
    form: Form,
) -> Result<(Connection, Exchange), Failure> {
    let connection = nats::connect(nats, "fleet").await?;
    let exchange = Exchange::find(&connection.client, &nats.prefix, model, form).await?;
    Ok((connection, exchange))
}

/// Prints the summary and draws the picture.
///
/// # Errors
/// The file can't be written, or standard output is closed.
pub fn finish(driven: &Driven, arguments: &DriveArgs, out: &mut impl Write) -> Result<(), Failure> {
    sum_up(&driven.summary, arguments.json, out)?;
    // Last: a picture that can't be written must not cost the summary.
    let Some(file) = &arguments.plot else { return Ok(()) };
    draw(driven, file)?;
    match arguments.json {
        true => Ok(()),
        false => written(writeln!(out, "picture      {}", file.display())),
    }
}

/// Prints the summary.
///
/// # Errors
/// Standard output is closed.
pub fn sum_up(summary: &Summary, json: bool, out: &mut impl Write) -> Result<(), Failure> {
    match json {
        true => written(writeln!(out, "{:#}", serde_json::json!(summary))),
        false => lines(summary).iter().try_for_each(|line| written(writeln!(out, "{line}"))),
    }
}

/// Becomes true at Ctrl-C, SIGTERM or SIGHUP: the drive ends early, with its summary. A second
/// signal ends the process at once.
///
/// # Errors
/// The system gives no signals.
pub fn stop_on_signal() -> Result<watch::Receiver<bool>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::Defect(error.to_string()));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    // A terminal that is closed.
    let mut hangup = listen(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            stop.send_replace(true);
            if !first {
                std::process::exit(128 + SignalKind::interrupt().as_raw_value());
            }
        }
    });
    Ok(stopped)
}

/// # Errors
/// The system gives no runtime.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::Defect(error.to_string()))
}

/// The settings of a command that talks to a pool from outside.
///
/// # Errors
/// As [`settings()`].
pub fn pool_settings(pool: &PoolArgs, model: Option<String>) -> Result<Settings, Failure> {
    settings(&[
        ("--nats-url", "nats.url", pool.nats_url.clone()),
        ("--prefix", "nats.prefix", pool.prefix.clone()),
        ("--model", "model.name", model),
    ])
}

/// The settings with some given by flags: (flag, key, value).
///
/// # Errors
/// [`Failure::Configuration`] with all problems.
pub fn settings(given: &[(&str, &str, Option<String>)]) -> Result<Settings, Failure> {
    let flag = |(name, key, value): &(&str, &str, Option<String>)| {
        let value = value.clone()?;
        Some(Flag { name: (*name).to_owned(), key: (*key).to_owned(), value })
    };
    let flags = given.iter().filter_map(flag).collect();
    let loaded = Settings::load(&Sources { flags, ..Sources::process() });
    loaded.map(|loaded| loaded.settings).map_err(|p| Failure::Configuration(p.to_string()))
}

fn draw(driven: &Driven, file: &Path) -> Result<(), Failure> {
    let title = format!("{} vehicles on a road they had never seen", driven.summary.vehicles);
    let svg = picture::svg(&driven.world, &title, &lines(&driven.summary));
    fs::write(file, svg)
        .map_err(|error| Failure::Configuration(format!("--plot: {}: {error}", file.display())))
}

/// The live table: a row a second.
pub struct Table {
    rows: usize,
    /// What those do who are counted.
    doing: &'static str,
    vehicles: usize,
}

impl Table {
    pub fn new(doing: &'static str, vehicles: usize) -> Self {
        Self { rows: 0, doing, vehicles }
    }

    pub fn row(&mut self, snapshot: &Snapshot) {
        if self.rows.is_multiple_of(HEAD_EVERY) {
            eprintln!(
                "  time {:>10}  requests/s    p50 µs    p99 µs  batch rows  late  errors",
                self.doing
            );
        }
        self.rows += 1;
        let Snapshot { on_road, requests, p50_us, p99_us, batch_rows_mean, late, errors } =
            snapshot;
        let on_road = format!("{on_road}/{}", self.vehicles);
        let batch = batch_rows_mean.map_or("-".into(), |rows| format!("{rows:.1}"));
        eprintln!(
            "{:>4} s {on_road:>10}  {requests:>10}  {p50_us:>8}  {p99_us:>8}  {batch:>10}  {late:>4}  {errors:>6}",
            self.rows
        );
    }
}

fn lines(summary: &Summary) -> Vec<String> {
    let Summary { vehicles, duration_s, requests, replies, errors, unanswered, late, .. } = summary;
    let pace = summary.hz.map_or("as fast as they can".into(), |hz| format!("at {hz} Hz"));
    let drive = format!("vehicles     {vehicles} {pace} for {duration_s:.1} s");
    let trip = &summary.round_trip_us;
    let batch = summary.batch_rows_mean.map_or("not told".into(), |rows| format!("{rows:.1} rows"));
    let codes: Vec<_> =
        summary.errors_by_code.iter().map(|(code, n)| format!("{code} {n}")).collect();
    let codes = if codes.is_empty() { String::new() } else { format!(" ({})", codes.join(", ")) };
    let mut lines = vec![
        match &summary.outcome {
            Outcome::LeftRoad(left) => format!("{drive}, {left} left the road"),
            Outcome::Episodes(_) => format!("{drive}, each a process"),
        },
        format!(
            "requests     {requests}, {replies} answered, {errors} errors{codes}, {unanswered} unanswered"
        ),
        format!(
            "round trip   p50 {} µs, p95 {} µs, p99 {} µs, max {} µs",
            trip.p50, trip.p95, trip.p99, trip.max
        ),
        format!("mean batch   {batch}; {late} replies came after their tick"),
    ];
    if let Outcome::Episodes(episodes) = &summary.outcome {
        lines.push(format!("episodes     {}", told(episodes)));
    }
    lines
}

fn told(episodes: &Episodes) -> String {
    let Episodes { count, crashed, .. } = episodes;
    match (episodes.mean_return, episodes.mean_length) {
        (Some(mean), Some(length)) => {
            format!("{count}, mean return {mean:.2} in {length:.1} steps, {crashed} crashed")
        }
        _ => "none has ended".into(),
    }
}
