//! The columns of the table: what each holds, how it sorts, and which ones a screen has room for.

use crate::printable::printable;
use std::cmp::Ordering;

use super::{
    Moment,
    figures::{NOTHING, bytes, milliseconds, percent, rate, time},
    member::{Member, Standing},
};

/// Between two columns.
pub const GAP: usize = 1;
/// No name takes more of the table than this.
const WIDEST: usize = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    State,
    Model,
    Version,
    Worker,
    Host,
    Rate,
    Errors,
    P50,
    P99,
    Queue,
    Fill,
    Cpu,
    Memory,
    Uptime,
}

/// What a column sorts by.
#[derive(Debug, PartialEq)]
enum Sorted<'a> {
    Text(&'a str),
    Rank(usize),
    /// `None` comes last, whichever way.
    Number(Option<f64>),
}

impl Column {
    /// From left to right.
    pub const ALL: [Column; 14] = [
        Column::State,
        Column::Model,
        Column::Version,
        Column::Worker,
        Column::Host,
        Column::Rate,
        Column::Errors,
        Column::P50,
        Column::P99,
        Column::Queue,
        Column::Fill,
        Column::Cpu,
        Column::Memory,
        Column::Uptime,
    ];

    /// What a narrow screen shows first.
    const BY_IMPORTANCE: [Column; 14] = [
        Column::Worker,
        Column::State,
        Column::Rate,
        Column::P99,
        Column::Queue,
        Column::Errors,
        Column::Model,
        Column::Cpu,
        Column::Memory,
        Column::Fill,
        Column::P50,
        Column::Uptime,
        Column::Host,
        Column::Version,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Column::State => "STATE",
            Column::Model => "MODEL",
            Column::Version => "VERSION",
            Column::Worker => "WORKER",
            Column::Host => "HOST",
            Column::Rate => "REQ/S",
            Column::Errors => "ERR/S",
            Column::P50 => "P50 MS",
            Column::P99 => "P99 MS",
            Column::Queue => "QUEUE",
            Column::Fill => "FILL",
            Column::Cpu => "CPU",
            Column::Memory => "MEM",
            Column::Uptime => "UP",
        }
    }

    /// Figures stand at the right of their column, and sort from the largest down.
    pub fn is_figure(self) -> bool {
        use Column::{Host, Model, State, Version, Worker};
        !matches!(self, State | Model | Version | Worker | Host)
    }

    /// What a worker has in this column. Figures of one that is gone or has ended would be of the
    /// past: they are left out.
    pub fn text(self, worker: &Member, now: Moment) -> String {
        let standing = worker.standing(now);
        let (health, measured) = (&worker.health, &worker.measured);
        match self {
            Column::State => standing.to_string(),
            Column::Model => printable(&health.model),
            Column::Version => printable(&health.model_version),
            Column::Worker => printable(&health.worker),
            Column::Host => printable(&health.host),
            _ if !standing.is_live() => NOTHING.into(),
            Column::Rate => rate(health.rate),
            Column::Errors => rate(health.errors),
            Column::P50 => milliseconds(health.p50_ms),
            Column::P99 => milliseconds(health.p99_ms),
            Column::Queue => format!("{}/{}", health.queue.rows, health.queue.limit),
            Column::Fill => percent(health.batch_fill),
            Column::Cpu => percent(measured.cpu_cores),
            Column::Memory => bytes(measured.memory_bytes),
            Column::Uptime => time(worker.uptime(now)),
        }
    }

    /// Which of two workers comes first if the table is sorted by this column.
    pub fn compare(self, a: &Member, b: &Member, reversed: bool, now: Moment) -> Ordering {
        use Sorted::{Number, Rank, Text};
        let descending = self.is_figure() != reversed;
        let order = match (self.sorted(a, now), self.sorted(b, now)) {
            (Text(a), Text(b)) => a.cmp(b),
            (Rank(a), Rank(b)) => a.cmp(&b),
            (Number(Some(a)), Number(Some(b))) => a.total_cmp(&b),
            (Number(None), Number(Some(_))) => return Ordering::Greater,
            (Number(Some(_)), Number(None)) => return Ordering::Less,
            _ => Ordering::Equal,
        };
        if descending { order.reverse() } else { order }
    }

    fn sorted(self, worker: &Member, now: Moment) -> Sorted<'_> {
        let (health, measured) = (&worker.health, &worker.measured);
        let figure = match self {
            Column::State => return Sorted::Rank(rank(worker.standing(now))),
            Column::Model => return Sorted::Text(&health.model),
            Column::Version => return Sorted::Text(&health.model_version),
            Column::Worker => return Sorted::Text(&health.worker),
            Column::Host => return Sorted::Text(&health.host),
            Column::Rate => Some(health.rate),
            Column::Errors => Some(health.errors),
            Column::P50 => health.p50_ms,
            Column::P99 => health.p99_ms,
            Column::Queue => Some(health.queue.rows as f64),
            Column::Fill => health.batch_fill,
            Column::Cpu => measured.cpu_cores,
            Column::Memory => measured.memory_bytes,
            Column::Uptime => Some(worker.uptime(now)),
        };
        Sorted::Number(figure.filter(|_| worker.standing(now).is_live()))
    }

    /// The columns that fit into `room` characters, from left to right, with their widths: the
    /// important ones first, none cut but for names that are longer than any should be.
    pub fn fitting(workers: &[&Member], room: usize, now: Moment) -> Vec<(Column, usize)> {
        let widths = Self::ALL.map(|column| (column, column.width(workers, now)));
        let width = |column| widths.iter().find(|(c, _)| *c == column).map_or(0, |(_, w)| *w);
        let mut left = room + GAP;
        let mut chosen = Vec::new();
        for column in Self::BY_IMPORTANCE {
            if let Some(rest) = left.checked_sub(width(column) + GAP) {
                left = rest;
                chosen.push(column);
            }
        }
        widths.into_iter().filter(|(column, _)| chosen.contains(column)).collect()
    }

    /// Characters that this column needs, with room for the mark of the sorted one.
    pub fn width(self, workers: &[&Member], now: Moment) -> usize {
        let widest = workers.iter().map(|worker| self.text(worker, now).chars().count()).max();
        widest.unwrap_or(0).min(WIDEST).max(self.title().len() + 1)
    }
}

fn rank(standing: Standing) -> usize {
    Standing::ALL.iter().position(|other| *other == standing).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        said,
        view::member::Measured,
        wire::{Health, State},
    };

    const NOW: Moment = Duration::ZERO;

    fn worker(health: Health) -> Member {
        Member::new(health, Measured::default(), NOW)
    }

    fn order(column: Column, workers: &[Member], reversed: bool) -> Vec<&str> {
        let mut workers: Vec<_> = workers.iter().collect();
        workers.sort_by(|a, b| column.compare(a, b, reversed, NOW));
        workers.iter().map(|worker| worker.health.worker.as_str()).collect()
    }

    #[test]
    fn every_column_has_its_importance() {
        for column in Column::ALL {
            assert!(Column::BY_IMPORTANCE.contains(&column), "{column:?}");
        }
    }

    #[test]
    fn figures_sort_from_the_largest_down_with_the_unknown_last_either_way() {
        let with = |name, p99_ms| worker(Health { p99_ms, ..said::health(name) });
        let workers = [with("none", None), with("low", Some(1.0)), with("high", Some(20.0))];
        assert_eq!(order(Column::P99, &workers, false), ["high", "low", "none"]);
        assert_eq!(order(Column::P99, &workers, true), ["low", "high", "none"]);
    }

    #[test]
    fn texts_sort_by_the_alphabet_and_states_by_trouble() {
        let with = |name, state| worker(Health { state, ..said::health(name) });
        let workers =
            [with("b", State::Ready), with("a", State::Stopped), with("c", State::Degraded)];
        assert_eq!(order(Column::Worker, &workers, false), ["a", "b", "c"]);
        assert_eq!(order(Column::Worker, &workers, true), ["c", "b", "a"]);
        assert_eq!(order(Column::State, &workers, false), ["c", "b", "a"]);
    }

    #[test]
    fn figures_of_a_worker_that_has_ended_are_left_out() {
        let ended = worker(Health { state: State::Stopped, ..said::health("a") });
        for column in Column::ALL.into_iter().filter(|column| column.is_figure()) {
            assert_eq!(column.text(&ended, NOW), NOTHING, "{column:?}");
        }
        assert_eq!(Column::State.text(&ended, NOW), "stopped");
    }

    #[test]
    fn uptime_goes_on_between_two_messages() {
        let worker = worker(Health { uptime_s: 55.0, ..said::health("a") });
        assert_eq!(Column::Uptime.text(&worker, NOW), "55s");
        assert_eq!(Column::Uptime.text(&worker, NOW + Duration::from_secs(6)), "1m");
    }

    #[test]
    fn the_chosen_columns_never_need_more_room_than_there_is() {
        let worker = worker(Health { host: "h".repeat(99), ..said::health("9e4aedac") });
        for room in 0..300 {
            let columns = Column::fitting(&[&worker], room, NOW);
            let needed: usize = columns.iter().map(|(_, width)| width + GAP).sum();
            assert!(needed.saturating_sub(GAP) <= room, "{room}");
        }
        assert_eq!(Column::fitting(&[&worker], 300, NOW).len(), Column::ALL.len());
    }

    #[test]
    fn eighty_characters_show_who_how_fast_and_what_is_wrong() {
        let worker = worker(said::health("9e4aedac"));
        let columns: Vec<_> =
            Column::fitting(&[&worker], 78, NOW).into_iter().map(|(column, _)| column).collect();
        use Column::{Errors, Model, P99, Queue, Rate, State, Worker};
        for column in [State, Model, Worker, Rate, Errors, P99, Queue] {
            assert!(columns.contains(&column), "{column:?}");
        }
    }
}
