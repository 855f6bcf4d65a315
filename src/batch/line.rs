//! The order of those who wait.

use std::{array, collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use super::{Moment, PRIORITIES, sorted::Sorted};

/// Who has waited so long at a priority goes on to the next higher one.
pub(super) const AGEING: Duration = Duration::from_millis(100);
/// No deadline: after all others.
const NEVER: Moment = Moment::MAX;

/// Requests that wait, each at a priority and a place there.
#[derive(Debug)]
pub(super) struct Line<T> {
    levels: [Level<T>; PRIORITIES as usize],
    /// When each one came, by number.
    arrivals: Sorted<u64, Moment>,
    /// Those with a deadline, the nearest first.
    deadlines: Sorted<(Moment, Place), ()>,
}

#[derive(Debug)]
struct Level<T> {
    entries: Sorted<Place, Entry<T>>,
    /// Since when each has been here, the longest first. Some have left meanwhile.
    since: VecDeque<(Moment, Place)>,
    rows: usize,
    /// Of these, the rows of requests without a deadline.
    endless: usize,
}

/// In the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which turn of its simulator it is.
    turn: u64,
    deadline: Moment,
    /// Unique, in the order of arrival.
    number: u64,
}

impl Place {
    pub fn new(turn: u64, deadline: Option<Moment>, number: u64) -> Self {
        Self { turn, deadline: deadline.unwrap_or(NEVER), number }
    }

    pub fn turn(self) -> u64 {
        self.turn
    }

    pub fn has_expired(self, now: Moment) -> bool {
        self.deadline <= now
    }

    pub fn deadline(self) -> Option<Moment> {
        (self.deadline != NEVER).then_some(self.deadline)
    }
}

#[derive(Debug)]
pub(super) struct Entry<T> {
    pub item: T,
    pub arrived: Moment,
    /// Rows not yet given out.
    pub rows: Range<usize>,
    pub simulator: Option<Arc<str>>,
}

impl<T> Line<T> {
    pub fn new() -> Self {
        Self {
            levels: array::from_fn(|_| Level::new()),
            arrivals: Sorted::new(),
            deadlines: Sorted::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.arrivals.len()
    }

    pub fn insert(&mut self, level: usize, place: Place, entry: Entry<T>) {
        self.arrivals.insert(place.number, entry.arrived);
        if let Some(deadline) = place.deadline() {
            self.deadlines.insert((deadline, place), ());
        }
        let since = entry.arrived;
        self.levels[level].insert(since, place, entry);
    }

    pub fn remove(&mut self, place: Place) -> Option<Entry<T>> {
        let entry = self.levels.iter_mut().find_map(|level| level.remove(place))?;
        self.forget(place);
        Some(entry)
    }

    /// Whose turn it is.
    pub fn pop(&mut self) -> Option<(Place, Entry<T>)> {
        let popped = self.levels.iter_mut().find_map(Level::pop)?;
        self.forget(popped.0);
        Some(popped)
    }

    /// Everybody, by priority.
    pub fn clear(&mut self) -> impl Iterator<Item = (Place, Entry<T>)> + use<T> {
        let emptied = std::mem::replace(self, Self::new());
        emptied.levels.into_iter().flat_map(|mut level| level.entries.drain())
    }

    /// The rows of a request that waits.
    pub fn rows_of(&self, place: Place) -> Option<usize> {
        let entry = self.levels.iter().find_map(|level| level.entries.get(&place))?;
        Some(entry.rows.len())
    }

    /// When the one came who has waited longest.
    pub fn oldest(&self) -> Option<Moment> {
        self.arrivals.first().map(|(_, arrived)| *arrived)
    }

    pub fn nearest_deadline(&self) -> Option<Moment> {
        self.deadlines.first().map(|((deadline, _), ())| *deadline)
    }

    /// Somebody whose deadline has passed.
    pub fn pop_expired(&mut self, now: Moment) -> Option<(Place, Entry<T>)> {
        let ((_, place), ()) =
            self.deadlines.first().filter(|((deadline, _), ())| *deadline <= now)?;
        let place = *place;
        Some((place, self.remove(place)?))
    }

    /// Raises all who have waited for [`AGEING`].
    pub fn age(&mut self, now: Moment) {
        // From the highest nobody can rise.
        self.levels[0].since.clear();
        for level in (1..self.levels.len()).rev() {
            while let Some((since, place, entry)) = self.levels[level].pop_aged(now) {
                self.levels[level - 1].insert(since + AGEING, place, entry);
            }
        }
    }

    /// Rows at this priority and the higher ones.
    pub fn rows_up_to(&self, level: usize) -> usize {
        self.levels[..=level].iter().map(|level| level.rows).sum()
    }

    /// Of these, the rows that would be served before a request with this deadline, as far as
    /// deadlines decide; `None` if more than `most` requests would have to be looked at.
    pub fn rows_before(&self, level: usize, deadline: Moment, most: usize) -> Option<usize> {
        let Level { entries, rows, endless, .. } = &self.levels[level];
        let higher = self.rows_up_to(level) - rows;
        if self.deadlines.last_key().is_none_or(|(last, _)| *last <= deadline) {
            return Some(higher + rows - endless);
        }
        let earlier = self.deadlines.keys().take_while(|(other, _)| *other <= deadline);
        let mut rows = higher;
        for (count, (_, place)) in earlier.enumerate() {
            if count == most {
                return None;
            }
            rows += entries.get(place).map_or(0, |entry| entry.rows.len());
        }
        Some(rows)
    }

    fn forget(&mut self, place: Place) {
        self.arrivals.remove(&place.number);
        if let Some(deadline) = place.deadline() {
            self.deadlines.remove(&(deadline, place));
        }
    }
}

impl<T> Level<T> {
    fn new() -> Self {
        Self { entries: Sorted::new(), since: VecDeque::new(), rows: 0, endless: 0 }
    }

    fn insert(&mut self, since: Moment, place: Place, entry: Entry<T>) {
        self.rows += entry.rows.len();
        self.endless += endless(place, &entry);
        self.entries.insert(place, entry);
        // Whoever comes from below may have waited longer than those who are here: it goes on a
        // little later than it could, and the order stays.
        let last = self.since.back().map_or(since, |(last, _)| *last);
        self.since.push_back((since.max(last), place));
    }

    fn pop(&mut self) -> Option<(Place, Entry<T>)> {
        let (place, entry) = self.entries.pop_first()?;
        self.uncount(place, &entry);
        // Who is served in the order of arrival leaves nothing behind.
        if self.since.front().is_some_and(|(_, first)| *first == place) {
            self.since.pop_front();
        }
        Some((place, entry))
    }

    fn remove(&mut self, place: Place) -> Option<Entry<T>> {
        let entry = self.entries.remove(&place)?;
        self.uncount(place, &entry);
        Some(entry)
    }

    fn uncount(&mut self, place: Place, entry: &Entry<T>) {
        self.rows -= entry.rows.len();
        self.endless -= endless(place, entry);
    }

    /// Somebody who has been here for [`AGEING`], and since when.
    fn pop_aged(&mut self, now: Moment) -> Option<(Moment, Place, Entry<T>)> {
        while self.since.front().is_some_and(|(since, _)| *since + AGEING <= now) {
            let (since, place) = self.since.pop_front()?;
            if let Some(entry) = self.remove(place) {
                return Some((since, place, entry));
            }
        }
        None
    }
}

/// The rows of a request, if it has no deadline.
fn endless<T>(place: Place, entry: &Entry<T>) -> usize {
    if place.deadline == NEVER { entry.rows.len() } else { 0 }
}
