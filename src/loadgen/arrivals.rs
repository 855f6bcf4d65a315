//! When requests are sent.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Exp};
use serde::{Deserialize, Serialize};

use super::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Whoever is answered asks again: the load follows the pool.
    Closed,
    /// All simulators at the same tick, so many requests a second together.
    Lockstep { rate: f64 },
    /// Each at a moment of its own, so many a second on average.
    Poisson { rate: f64 },
}

impl Arrivals {
    /// Requests a second, if they don't wait for answers.
    pub fn rate(self) -> Option<f64> {
        match self {
            Arrivals::Closed => None,
            Arrivals::Lockstep { rate } | Arrivals::Poisson { rate } => Some(rate),
        }
    }

    /// The same for a part of the simulators.
    pub fn part(self, part: f64) -> Self {
        match self {
            Arrivals::Closed => Arrivals::Closed,
            Arrivals::Lockstep { rate } => Arrivals::Lockstep { rate: rate * part },
            Arrivals::Poisson { rate } => Arrivals::Poisson { rate: rate * part },
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Arrivals::Closed => "closed",
            Arrivals::Lockstep { .. } => "lockstep",
            Arrivals::Poisson { .. } => "poisson",
        }
    }
}

/// One request that is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// Since the load began.
    pub at: Duration,
    pub connection: usize,
}

/// All requests of an open loop in their order. The same seed gives the same ones.
pub struct Schedule {
    cell: Cell,
    end: Duration,
    process: Process,
}

enum Process {
    /// The number of the next request, and seconds between two ticks.
    Lockstep { next: usize, tick: f64 },
    /// Seconds until the request before, and the gaps.
    Poisson { passed: f64, gaps: Exp<f64>, draws: Box<ChaCha8Rng> },
}

impl Schedule {
    /// `None` for a closed loop, and for a rate at which nothing ever comes.
    pub fn new(arrivals: Arrivals, cell: Cell, end: Duration, seed: u64) -> Option<Self> {
        let rate = arrivals.rate().filter(|rate| rate.is_finite() && *rate > 0.0)?;
        let process = match arrivals {
            Arrivals::Closed => return None,
            Arrivals::Lockstep { .. } => {
                Process::Lockstep { next: 0, tick: cell.simulators() as f64 / rate }
            }
            Arrivals::Poisson { .. } => {
                let draws = Box::new(ChaCha8Rng::seed_from_u64(seed));
                Process::Poisson { passed: 0.0, gaps: Exp::new(rate).ok()?, draws }
            }
        };
        Some(Self { cell, end, process })
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        let (seconds, connection) = match &mut self.process {
            Process::Lockstep { next, tick } => {
                let (number, simulators) = (*next, self.cell.simulators());
                *next += 1;
                ((number / simulators) as f64 * *tick, number % self.cell.connections)
            }
            Process::Poisson { passed, gaps, draws } => {
                *passed += gaps.sample(draws.as_mut());
                (*passed, draws.random_range(0..self.cell.connections))
            }
        };
        let at = Duration::try_from_secs_f64(seconds).ok()?;
        (at < self.end).then_some(Arrival { at, connection })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CELL: Cell = Cell { connections: 4, in_flight: 2, rows: 1 };
    const END: Duration = Duration::from_secs(10);

    fn schedule(arrivals: Arrivals, seed: u64) -> Vec<Arrival> {
        Schedule::new(arrivals, CELL, END, seed).unwrap().collect()
    }

    #[test]
    fn in_lockstep_every_simulator_asks_once_at_each_tick() {
        let all = schedule(Arrivals::Lockstep { rate: 80.0 }, 1);
        assert_eq!(all.len(), 800);
        for (number, tick) in all.chunks(8).enumerate() {
            let due = Duration::from_millis(100 * number as u64);
            assert!(tick.iter().all(|a| a.at.abs_diff(due) < Duration::from_micros(1)));
            let mut connections: Vec<_> = tick.iter().map(|a| a.connection).collect();
            connections.sort_unstable();
            assert_eq!(connections, [0, 0, 1, 1, 2, 2, 3, 3]);
        }
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_as_much_variance_as_mean() {
        let rate = 2000.0;
        let all = schedule(Arrivals::Poisson { rate }, 7);
        assert!(all.iter().map(|a| a.at).is_sorted());
        assert!((all.len() as f64 / 20_000.0 - 1.0).abs() < 0.03, "{}", all.len());
        let mut counts = [0.0; 1000];
        all.iter().for_each(|a| counts[(a.at.as_secs_f64() * 100.0) as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / 1000.0;
        let variance = counts.iter().map(|n| (n - mean) * (n - mean)).sum::<f64>() / 1000.0;
        assert!((variance / mean - 1.0).abs() < 0.2, "mean {mean}, variance {variance}");
        for connection in 0..4 {
            let share = all.iter().filter(|a| a.connection == connection).count();
            assert!((share as f64 / all.len() as f64 - 0.25).abs() < 0.02, "{connection}: {share}");
        }
    }

    #[test]
    fn a_seed_gives_the_same_arrivals_again_and_another_gives_others() {
        let poisson = Arrivals::Poisson { rate: 100.0 };
        assert_eq!(schedule(poisson, 1), schedule(poisson, 1));
        assert_ne!(schedule(poisson, 1), schedule(poisson, 2));
    }

    #[test]
    fn a_closed_loop_and_a_rate_of_nothing_have_no_schedule() {
        for arrivals in [
            Arrivals::Closed,
            Arrivals::Poisson { rate: 0.0 },
            Arrivals::Lockstep { rate: f64::NAN },
        ] {
            assert!(Schedule::new(arrivals, CELL, END, 1).is_none(), "{arrivals:?}");
        }
    }
}
