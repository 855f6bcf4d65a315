//! Who asks: turns among simulators, and which of them are there.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{Moment, line::Place};

/// Who has asked nothing for so long is not waited for.
const ACTIVE: Duration = Duration::from_secs(1);
/// More are not told apart: whoever makes up a new name for each request gains nothing but that.
const MOST: usize = 65_536;

/// The simulators that have asked within the last second, or have requests open.
#[derive(Debug, Default)]
pub(super) struct Simulators {
    known: HashMap<Arc<str>, Simulator>,
    /// Each of them once, with the moment at which it is to be looked at again.
    looks: VecDeque<(Moment, Arc<str>)>,
    /// Of how many a request waits.
    waiting: usize,
    /// The turn of the request that was given out last.
    turn: u64,
    /// When somebody asked who gave no name.
    nameless: Option<Moment>,
}

#[derive(Debug, Default)]
struct Simulator {
    /// Of its last request.
    turn: u64,
    /// Requests that wait or are computed.
    open: usize,
    /// Of these, those that wait.
    queued: usize,
    seen: Moment,
    /// Its last request, if that still waits whole.
    last: Option<Place>,
}

impl Simulators {
    /// Somebody asks. What is known of it; `None` if it is not told apart from others.
    pub fn arrive(&mut self, name: Option<Arc<str>>, now: Moment) -> Option<Arc<str>> {
        let name = name.filter(|name| self.known.len() < MOST || self.known.contains_key(name));
        let Some(name) = name else {
            self.nameless = Some(now);
            return None;
        };
        let looks = &mut self.looks;
        let simulator = self.known.entry(name.clone()).or_insert_with(|| {
            looks.push_back((now + ACTIVE, name.clone()));
            Simulator::default()
        });
        simulator.seen = now;
        Some(name)
    }

    /// The turn of a request that is queued now: one after that of its simulator's last one, but
    /// none for the time in which it asked nothing. The start tag of start-time fair queueing
    /// (Goyal, Vin and Cheng, 1996), with requests of equal size.
    pub fn next_turn(&self, name: Option<&Arc<str>>) -> u64 {
        let last = self.get(name).map_or(0, |simulator| simulator.turn);
        last.max(self.turn) + 1
    }

    /// Requests that wait or are computed.
    pub fn open(&self, name: Option<&Arc<str>>) -> usize {
        self.get(name).map_or(0, |simulator| simulator.open)
    }

    /// Its last request, if that still waits whole.
    pub fn last(&self, name: Option<&Arc<str>>) -> Option<Place> {
        self.get(name)?.last
    }

    /// A request was queued.
    pub fn queued(&mut self, name: &Arc<str>, place: Place) {
        let Some(simulator) = self.known.get_mut(name) else { return };
        simulator.turn = simulator.turn.max(place.turn());
        simulator.last = Some(place);
        simulator.open += 1;
        simulator.queued += 1;
        self.waiting += usize::from(simulator.queued == 1);
    }

    /// Rows of a request were given out, for the first time.
    pub fn begun(&mut self, name: &Arc<str>, place: Place) {
        self.turn = self.turn.max(place.turn());
        if let Some(simulator) = self.known.get_mut(name) {
            simulator.last = simulator.last.filter(|last| *last != place);
        }
    }

    /// No row of a request waits any more.
    pub fn dequeued(&mut self, name: &Arc<str>) {
        let Some(simulator) = self.known.get_mut(name) else { return };
        simulator.queued -= 1;
        self.waiting -= usize::from(simulator.queued == 0);
    }

    /// A request has been computed, or was given up.
    pub fn closed(&mut self, name: &Arc<str>) {
        if let Some(simulator) = self.known.get_mut(name) {
            simulator.open -= 1;
        }
    }

    /// A queued request was given up.
    pub fn dropped(&mut self, name: &Arc<str>, place: Place) {
        if let Some(simulator) = self.known.get_mut(name) {
            simulator.last = simulator.last.filter(|last| *last != place);
        }
        self.dequeued(name);
        self.closed(name);
    }

    /// Forgets who has gone.
    pub fn forget(&mut self, now: Moment) {
        while self.looks.front().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.looks.pop_front() else { return };
            let Some(simulator) = self.known.get(&name) else { continue };
            let next = if simulator.open > 0 { now + ACTIVE } else { simulator.seen + ACTIVE };
            match next > now {
                // A little later than it could be: the order stays.
                true => self.looks.push_back((next.max(self.last_look()), name)),
                false => {
                    self.known.remove(&name);
                }
            }
        }
    }

    /// Whether all who are there have a request waiting, so that nobody is left to wait for.
    pub fn all_wait(&self, now: Moment) -> bool {
        let nameless = self.nameless.is_some_and(|at| at + ACTIVE > now);
        !nameless && !self.known.is_empty() && self.waiting == self.known.len()
    }

    fn get(&self, name: Option<&Arc<str>>) -> Option<&Simulator> {
        self.known.get(name?)
    }

    fn last_look(&self) -> Moment {
        self.looks.back().map_or(Moment::ZERO, |(at, _)| *at)
    }
}
