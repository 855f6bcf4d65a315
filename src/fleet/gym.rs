//! Environments in place of our own world: a program drives them, and reports how it goes.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    process::Command,
    sync::watch,
    time::{interval, sleep, timeout, timeout_at},
};

use super::{
    program::{Ended, Program},
    report::Reports,
    score::Snapshot,
};
use crate::failure::Failure;

/// How long the first environment is waited for: Python reads many files when it starts first.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How long the program may take to end when it is told to.
const END_LIMIT: Duration = Duration::from_secs(10);
/// With this exit code a program says that it can't run here (sysexits.h), and why.
const UNFIT: i32 = 78;

/// What made the drive end.
enum End {
    Asked,
    Early,
    NotStarted,
}

/// Lets the program drive for `duration` from its first start on, or until `stop` becomes true.
/// `every_second` hears how it goes.
///
/// # Errors
/// The program does not start, does not begin to drive, or ends before it is told to.
pub async fn drive(
    command: &mut Command,
    duration: Duration,
    mut stop: watch::Receiver<bool>,
    every_second: &mut dyn FnMut(&Snapshot),
) -> Result<Reports, Failure> {
    let mut program = Program::start(command).map_err(|error| {
        let name = command.as_std().get_program().display();
        Failure::Configuration(format!(
            "--python: {name}: {error}; `make demo-gym` makes one that will do"
        ))
    })?;
    let mut reports = Reports::default();
    let mut began = None;
    let end = tokio::select! {
        end = listen(&mut program, &mut reports, &mut began, duration, every_second) => end,
        _ = stop.wait_for(|stop| *stop) => End::Asked,
    };
    reports.score.driven(began.map_or(Duration::ZERO, |began: Instant| began.elapsed()));
    program.stop();
    let deadline = tokio::time::Instant::now() + END_LIMIT;
    let rest = async { while hear(&mut program, &mut reports).await {} };
    // What it has not told by then is lost with it.
    let _ = timeout_at(deadline, rest).await;
    judge(&end, program.end(deadline).await)?;
    if reports.unread > 1 {
        eprintln!("fleet        {} lines could not be read", reports.unread);
    }
    Ok(reports)
}

async fn listen(
    program: &mut Program,
    reports: &mut Reports,
    began: &mut Option<Instant>,
    duration: Duration,
    every_second: &mut dyn FnMut(&Snapshot),
) -> End {
    let starts = async {
        while reports.driving == 0 {
            if !hear(program, reports).await {
                return false;
            }
        }
        true
    };
    match timeout(START_LIMIT, starts).await {
        Ok(true) => *began = Some(Instant::now()),
        Ok(false) => return End::Early,
        Err(_) => return End::NotStarted,
    }
    let mut seconds = interval(Duration::from_secs(1));
    seconds.tick().await;
    let over = sleep(duration);
    tokio::pin!(over);
    loop {
        tokio::select! {
            biased;
            _ = seconds.tick() => every_second(&reports.score.snapshot(reports.driving)),
            () = &mut over => return End::Asked,
            heard = hear(program, reports) => if !heard { return End::Early },
        }
    }
}

/// Takes the next line, if one comes.
async fn hear(program: &mut Program, reports: &mut Reports) -> bool {
    let Some(line) = program.line().await else { return false };
    if let Err(why) = reports.read(&line)
        && reports.unread == 1
    {
        eprintln!("fleet        reported what can't be read, {why}");
    }
    true
}

fn judge(end: &End, ended: Ended) -> Result<(), Failure> {
    let Ended { status, words } = ended;
    let how = match (end, status) {
        (End::Asked, Some(status)) if is_fine(status) => return Ok(()),
        // It says all there is to say.
        (_, Some(status)) if status.code() == Some(UNFIT) && !words.is_empty() => {
            return Err(Failure::Configuration(words));
        }
        (_, None) => format!("did not end within {} s", END_LIMIT.as_secs()),
        (End::NotStarted, _) => {
            format!("did not begin to drive within {} s", START_LIMIT.as_secs())
        }
        (End::Early, Some(status)) => format!("ended too early, with {status}"),
        (End::Asked, Some(status)) => format!("ended with {status}"),
    };
    let words = match words.is_empty() {
        true => "it said nothing on standard error".to_owned(),
        false => format!("its last words:\n{words}"),
    };
    Err(Failure::Defect(format!("the fleet's program {how}; {words}")))
}

/// For a program that was told to stop, perhaps before it listened for that.
fn is_fine(status: ExitStatus) -> bool {
    status.success() || status.signal() == Some(Signal::TERM.as_raw())
}
