//! What is to be measured, checked.

use std::{path::PathBuf, time::Duration};

use super::RISING;
use crate::{
    broker,
    cli::{ArrivalsArg, BenchArgs, LayerArg, SettingsArgs},
    commands::load_settings,
    failure::Failure,
    loadgen::{Arrivals, Cell},
    settings::Settings,
};

/// Before each window, not measured, and a fifth of the window at most.
const WARM_UP: Duration = Duration::from_millis(300);

pub struct Plan {
    pub flags: SettingsArgs,
    pub settings: Settings,
    pub forward: bool,
    pub in_process: bool,
    pub end_to_end: bool,
    pub batch_sizes: Vec<usize>,
    pub cells: Vec<Cell>,
    pub arrivals: Arrivals,
    pub window: Duration,
    pub warm_up: Duration,
    pub rounds: usize,
    /// Which cell is asked at rising rates, too.
    pub sweep: Option<Cell>,
    /// The broker to start; `None` if one is given.
    pub server: Option<PathBuf>,
}

impl Plan {
    /// # Errors
    /// Flags that contradict each other, settings that are wrong, no nats-server.
    pub fn new(arguments: &BenchArgs) -> Result<Self, Failure> {
        let has = |layer| arguments.layers.is_empty() || arguments.layers.contains(&layer);
        let (forward, end_to_end) = (has(LayerArg::Forward), has(LayerArg::EndToEnd));
        let settings = load_settings(&arguments.settings)?.settings;
        let arrivals = arrivals(arguments)?;
        let cells = cells(arguments, arrivals);
        let is_closed = arrivals == Arrivals::Closed;
        let sweep = if cells.len() > 1 { Cell::FLEET } else { cells[0] };
        let is_swept = arguments.report.is_some() && is_closed && end_to_end;
        let server = match (&arguments.settings.nats_url, end_to_end) {
            (None, true) => Some(server(arguments)?),
            _ => None,
        };
        Ok(Self {
            flags: arguments.settings.clone(),
            settings,
            forward,
            in_process: has(LayerArg::InProcess),
            end_to_end,
            batch_sizes: arguments.batch_sizes.iter().map(|rows| *rows as usize).collect(),
            cells,
            arrivals,
            window: arguments.duration,
            warm_up: WARM_UP.min(arguments.duration / 5),
            rounds: arguments.rounds as usize,
            sweep: is_swept.then_some(sweep),
            server,
        })
    }

    /// Windows to come.
    pub fn steps(&self) -> usize {
        let passes = if self.forward { self.batch_sizes.len() } else { 0 };
        let pairs = if self.end_to_end { self.cells.len() * self.rounds } else { 0 };
        let rising = if self.sweep.is_some() { RISING.len() } else { 0 };
        let bursts = if self.in_process { self.batch_sizes.len() } else { 0 };
        passes + bursts + 2 * (pairs + rising)
    }
}

fn server(arguments: &BenchArgs) -> Result<PathBuf, Failure> {
    broker::find(arguments.nats_server.as_deref()).map_err(|why| {
        Failure::Configuration(format!(
            "{why}; or give a broker with --nats-url, or measure --layer forward alone"
        ))
    })
}

fn arrivals(arguments: &BenchArgs) -> Result<Arrivals, Failure> {
    use ArrivalsArg::{Closed, Lockstep, Poisson};
    let wrong = |why: &str| Err(Failure::Configuration(why.into()));
    match (arguments.arrivals, arguments.rate) {
        (None | Some(Closed), None) => Ok(Arrivals::Closed),
        (None | Some(Poisson), Some(rate)) => Ok(Arrivals::Poisson { rate }),
        (Some(Lockstep), Some(rate)) => Ok(Arrivals::Lockstep { rate }),
        (Some(Closed), Some(_)) => {
            wrong("--arrivals closed takes no --rate: there the answers set the pace")
        }
        (Some(Lockstep | Poisson), None) => {
            wrong("--arrivals lockstep and poisson need a --rate, in requests a second")
        }
    }
}

/// A rate is of one load: the usual ones would mean something else each.
fn cells(arguments: &BenchArgs, arrivals: Arrivals) -> Vec<Cell> {
    let BenchArgs { connections, in_flight, rows, .. } = *arguments;
    if arrivals == Arrivals::Closed && [connections, in_flight, rows] == [None; 3] {
        return Cell::STANDARD.to_vec();
    }
    let or = |given: Option<u32>, usual| given.map_or(usual, |n| n as usize);
    let Cell { connections: fleet, in_flight: one, rows: row } = Cell::FLEET;
    let (connections, in_flight, rows) =
        (or(connections, fleet), or(in_flight, one), or(rows, row));
    vec![Cell { connections, in_flight, rows }]
}
