//! A bounded queue of requests that gives out batches of rows.
//!
//! What it promises, for any order of calls: no row is lost, none given out twice, the rows of a
//! request keep their order, no batch is larger than [`Limits::batch_rows`], no row is given out
//! after its deadline, and whoever is refused leaves the queue as it was.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Moment, PRIORITIES,
    cost::Cost,
    line::{Entry, Line, Place},
    request::{Reason, Refused, Request},
    rows::{Batch, Closed, Part},
    simulators::Simulators,
};

/// To tell whether a request can be in time, no more than so many others are looked at.
const LOOKED_AT: usize = 512;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows in one batch.
    pub batch_rows: usize,
    /// How long the oldest row may wait for company. Zero: not at all.
    pub max_delay: Duration,
    /// Rows that may wait.
    pub queue_rows: usize,
    /// Requests of one simulator that may wait or be computed.
    pub simulator_requests: usize,
    /// Whether a simulator's request takes the place of the one that waits.
    pub newest_wins: bool,
}

#[derive(Debug)]
pub struct Batcher<T> {
    limits: Limits,
    line: Line<T>,
    simulators: Simulators,
    /// A request of which the last batch took some rows: the others go first.
    begun: Option<(Place, Entry<T>)>,
    rows: usize,
    /// Requests that were accepted so far.
    count: u64,
    cost: Cost,
    /// When the batch that is being computed was given out, and its rows.
    computing: Option<(Moment, usize)>,
    expired: VecDeque<T>,
    draining: bool,
}

impl<T: Clone> Batcher<T> {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            line: Line::new(),
            simulators: Simulators::default(),
            begun: None,
            rows: 0,
            count: 0,
            cost: Cost::default(),
            computing: None,
            expired: VecDeque::new(),
            draining: false,
        }
    }

    /// What the device has shown before the first request.
    pub fn know(&mut self, cost: Cost) {
        self.cost = cost;
    }

    /// Queues all rows of a request, or none. Gives the request whose place it takes, if any.
    ///
    /// # Errors
    /// [`Refused`]: there is no room, it could not be done in time, or its simulator has too many.
    pub fn push(
        &mut self,
        item: T,
        request: Request,
        now: Moment,
    ) -> Result<Option<T>, Refused<T>> {
        self.expire(now);
        self.simulators.forget(now);
        let simulator = self.simulators.arrive(request.simulator.clone(), now);
        let replaced = self.replaced(simulator.as_ref());
        if let Err((reason, retry_after)) = self.admit(&request, simulator.as_ref(), replaced, now)
        {
            return Err(Refused { item, reason, retry_after });
        }
        let superseded = replaced.and_then(|place| self.give_up(place));
        let turn = match replaced {
            Some(place) => place.turn(),
            None => self.simulators.next_turn(simulator.as_ref()),
        };
        self.count += 1;
        let place = Place::new(turn, request.deadline, self.count);
        if let Some(name) = &simulator {
            self.simulators.queued(name, place);
        }
        self.rows += request.rows;
        let entry = Entry { item, arrived: now, rows: 0..request.rows, simulator };
        self.line.insert(level(&request), place, entry);
        Ok(superseded)
    }

    /// The rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The requests of which rows wait.
    pub fn requests(&self) -> usize {
        self.line.len() + usize::from(self.begun.is_some())
    }

    /// How long the oldest row has waited; nothing if none waits.
    pub fn oldest_age(&self, now: Moment) -> Duration {
        self.oldest().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest))
    }

    /// When [`Batcher::take`] will give a batch if nothing else arrives; `None` while empty. It
    /// may lie in the past.
    pub fn next_due(&self, now: Moment) -> Option<Moment> {
        self.due(now).map(|(due, _)| due)
    }

    /// The next batch, if one is due. The device computes it from now on.
    pub fn take(&mut self, now: Moment) -> Option<Batch<T>> {
        self.expire(now);
        self.simulators.forget(now);
        let (_, closed) = self.due(now).filter(|(due, _)| *due <= now)?;
        self.line.age(now);
        let mut batch = Batch { parts: Vec::new(), rows: 0, closed, simulators: Vec::new() };
        while batch.rows < self.limits.batch_rows
            && let Some((place, entry)) = self.next()
        {
            self.give_out(&mut batch, place, entry);
        }
        self.rows -= batch.rows;
        self.computing = Some((now, batch.rows));
        Some(batch)
    }

    /// The same if the batch will probably take no longer than `most`.
    pub fn take_brief(&mut self, now: Moment, most: Duration) -> Option<Batch<T>> {
        let rows = self.rows.min(self.limits.batch_rows);
        if rows == 0 || self.cost.batch(rows) > most { None } else { self.take(now) }
    }

    /// The device has computed the batch of so many rows, with which requests of these simulators
    /// end.
    pub fn computed(&mut self, rows: usize, took: Duration, simulators: &[Arc<str>]) {
        self.computing = None;
        self.cost.learn(rows, took);
        simulators.iter().for_each(|name| self.simulators.closed(name));
    }

    /// When the next request expires, if it is not given out before.
    pub fn next_expiry(&self) -> Option<Moment> {
        let begun = self.begun.as_ref().and_then(|(place, _)| place.deadline());
        let waiting = self.expired.front().map(|_| Moment::ZERO);
        [waiting, begun, self.line.nearest_deadline()].into_iter().flatten().min()
    }

    /// The requests whose deadline has passed while they waited.
    pub fn take_expired(&mut self, now: Moment) -> Vec<T> {
        self.expire(now);
        self.expired.drain(..).collect()
    }

    /// From now on nothing waits for company.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Gives up: the requests of which rows still wait, each once, to be answered otherwise.
    pub fn abandon(&mut self) -> Vec<T> {
        let all: Vec<_> = self.begun.take().into_iter().chain(self.line.clear()).collect();
        for (place, entry) in all {
            self.put_aside(place, entry);
        }
        self.expired.drain(..).collect()
    }

    /// The request that a new one of this simulator takes the place of.
    fn replaced(&self, simulator: Option<&Arc<str>>) -> Option<Place> {
        self.simulators.last(simulator).filter(|_| self.limits.newest_wins)
    }

    fn admit(
        &self,
        request: &Request,
        simulator: Option<&Arc<str>>,
        replaced: Option<Place>,
        now: Moment,
    ) -> Result<(), (Reason, Duration)> {
        let backlog = || self.finish(self.rows, now).saturating_sub(now);
        let open = self.simulators.open(simulator) - usize::from(replaced.is_some());
        if simulator.is_some() && open >= self.limits.simulator_requests {
            return Err((Reason::Simulator, backlog()));
        }
        let freed = replaced.and_then(|place| self.line.rows_of(place)).unwrap_or(0);
        if self.rows - freed + request.rows > self.limits.queue_rows {
            return Err((Reason::Full, backlog()));
        }
        match request.deadline.map(|deadline| self.lateness(request, deadline, now)) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(late) => Err((Reason::Late(late), late)),
        }
    }

    /// How long after its deadline a request would probably be done. A free device takes everything:
    /// what is late then would be late anywhere, and only computing shows what it takes.
    fn lateness(&self, request: &Request, deadline: Moment, now: Moment) -> Duration {
        if self.rows == 0 && self.computing.is_none() {
            return Duration::ZERO;
        }
        let begun = self.begun.as_ref().map_or(0, |(_, entry)| entry.rows.len());
        let late = |before: usize| {
            self.finish(begun + before + request.rows, now).saturating_sub(deadline)
        };
        let at_most = late(self.line.rows_up_to(level(request)));
        if at_most.is_zero() {
            return at_most;
        }
        self.line.rows_before(level(request), deadline, LOOKED_AT).map_or(at_most, late)
    }

    /// When so many rows will probably have been computed, the device's batch before them.
    fn finish(&self, rows: usize, now: Moment) -> Moment {
        let free = match self.computing {
            Some((began, rows)) => began.saturating_add(self.cost.batch(rows)).max(now),
            None => now,
        };
        free.saturating_add(self.cost.rows(rows, self.limits.batch_rows))
    }

    /// When a batch is due, and why it would be closed then.
    fn due(&self, now: Moment) -> Option<(Moment, Closed)> {
        let oldest = self.oldest()?;
        if self.is_full() {
            return Some((oldest, Closed::Full));
        }
        if self.draining {
            return Some((oldest, Closed::Drain));
        }
        if self.limits.max_delay.is_zero() {
            return Some((oldest, Closed::Idle));
        }
        if self.simulators.all_wait(now) {
            return Some((oldest, Closed::Lockstep));
        }
        let delay = (oldest + self.limits.max_delay, Closed::Delay);
        let deadline = self.latest_start().map(|start| (start, Closed::Deadline));
        Some(deadline.filter(|(start, _)| *start < delay.0).unwrap_or(delay))
    }

    /// When the rows that wait must be begun so that the nearest deadline is kept, if they take
    /// up to twice as long as expected.
    fn latest_start(&self) -> Option<Moment> {
        let begun = self.begun.as_ref().and_then(|(place, _)| place.deadline());
        let nearest = [begun, self.line.nearest_deadline()].into_iter().flatten().min()?;
        let rows = self.rows.min(self.limits.batch_rows);
        Some(nearest.saturating_sub(self.cost.batch(rows) * 2))
    }

    /// Whether waiting could not make the next batch larger.
    fn is_full(&self) -> bool {
        // A queue at its limit can't wait for more.
        self.rows >= self.limits.batch_rows.min(self.limits.queue_rows)
    }

    fn oldest(&self) -> Option<Moment> {
        let begun = self.begun.as_ref().map(|(_, entry)| entry.arrived);
        [begun, self.line.oldest()].into_iter().flatten().min()
    }

    fn next(&mut self) -> Option<(Place, Entry<T>)> {
        if let Some(begun) = self.begun.take() {
            return Some(begun);
        }
        let (place, entry) = self.line.pop()?;
        if let Some(name) = &entry.simulator {
            self.simulators.begun(name, place);
        }
        Some((place, entry))
    }

    /// Adds as many rows as the batch has room for; the rest of them goes first in the next one.
    fn give_out(&mut self, batch: &mut Batch<T>, place: Place, mut entry: Entry<T>) {
        let room = self.limits.batch_rows - batch.rows;
        let rows = entry.rows.start..entry.rows.end.min(entry.rows.start + room);
        batch.rows += rows.len();
        if rows.end < entry.rows.end {
            entry.rows.start = rows.end;
            batch.parts.push(Part { item: entry.item.clone(), rows });
            self.begun = Some((place, entry));
            return;
        }
        if let Some(name) = entry.simulator {
            self.simulators.dequeued(&name);
            batch.simulators.push(name);
        }
        batch.parts.push(Part { item: entry.item, rows });
    }

    /// Puts those aside whose deadline has passed.
    fn expire(&mut self, now: Moment) {
        if let Some((place, entry)) = self.begun.take_if(|(place, _)| place.has_expired(now)) {
            self.put_aside(place, entry);
        }
        while let Some((place, entry)) = self.line.pop_expired(now) {
            self.put_aside(place, entry);
        }
    }

    fn put_aside(&mut self, place: Place, entry: Entry<T>) {
        let item = self.dropped(place, entry);
        self.expired.push_back(item);
    }

    fn give_up(&mut self, place: Place) -> Option<T> {
        let entry = self.line.remove(place)?;
        Some(self.dropped(place, entry))
    }

    fn dropped(&mut self, place: Place, entry: Entry<T>) -> T {
        self.rows -= entry.rows.len();
        if let Some(name) = &entry.simulator {
            self.simulators.dropped(name, place);
        }
        entry.item
    }
}

fn level(request: &Request) -> usize {
    usize::from(request.priority.min(PRIORITIES - 1))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
