//! A pool in one line.

use super::{
    Moment,
    figures::rate,
    member::{Member, Standing},
    pool::Pool,
};

/// Totals of all workers. Rates are those of workers that serve now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub workers: usize,
    /// How many there are of each standing, without those of which there are none.
    pub standings: Vec<(Standing, usize)>,
    /// Requests per second.
    pub rate: f64,
    /// Of these, requests per second that were answered with an error.
    pub errors: f64,
}

impl Summary {
    pub fn of(pool: &Pool, now: Moment) -> Self {
        let workers: Vec<&Member> = pool.workers().collect();
        let count =
            |standing| workers.iter().filter(|worker| worker.standing(now) == standing).count();
        let live = || workers.iter().filter(|worker| worker.standing(now).is_live());
        Self {
            workers: workers.len(),
            standings: Standing::ALL
                .into_iter()
                .map(|standing| (standing, count(standing)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            rate: total(live().map(|worker| worker.health.rate)),
            errors: total(live().map(|worker| worker.health.errors)),
        }
    }

    /// `240 requests/s, 0.0 errors/s, 3 workers: 1 gone, 2 ready`: a narrow screen cuts the end.
    pub fn line(&self) -> String {
        let plural = if self.workers == 1 { "" } else { "s" };
        let standings: Vec<_> =
            self.standings.iter().map(|(standing, count)| format!("{count} {standing}")).collect();
        let colon = if standings.is_empty() { "" } else { ": " };
        format!(
            "{} requests/s, {} errors/s, {} worker{plural}{colon}{}",
            rate(self.rate),
            rate(self.errors),
            self.workers,
            standings.join(", ")
        )
    }
}

/// The standard library's sum of nothing is -0.
fn total(rates: impl Iterator<Item = f64>) -> f64 {
    rates.fold(0.0, |sum, rate| sum + rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        said,
        wire::{Health, State},
    };

    #[test]
    fn totals_count_all_workers_and_the_rates_of_those_that_serve() {
        let mut pool = Pool::default();
        let mut say = |name, state, second| {
            let health = Health { state, rate: 100.0, errors: 1.5, ..said::health(name) };
            pool.hear_health(&said::health_body(&health), Duration::from_secs(second));
        };
        say("gone", State::Ready, 0);
        say("stopped", State::Stopped, 9);
        say("a", State::Ready, 9);
        say("b", State::Ready, 9);
        let summary = Summary::of(&pool, Duration::from_secs(11));
        let line = "200 requests/s, 3.0 errors/s, 4 workers: 1 gone, 2 ready, 1 stopped";
        assert_eq!(summary.line(), line);
    }

    #[test]
    fn a_pool_of_which_nothing_was_heard_is_empty() {
        let summary = Summary::of(&Pool::default(), Duration::ZERO);
        assert_eq!(summary.line(), "0.0 requests/s, 0.0 errors/s, 0 workers");
    }
}
