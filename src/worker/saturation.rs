//! When a full queue means that other workers should get the requests.
//!
//! A queue group knows nothing of load: staying out of it is the one signal that the broker
//! understands. A burst is not worth it (the requests that find no room are told so), a queue that
//! stays full is.

use super::membership::TICK;

/// Share of the queue's limit at which a worker counts as full, and below which as free again.
const HIGH: f64 = 0.8;
const LOW: f64 = 0.4;
/// How long the queue must stay above [`HIGH`] or refuse requests, in ticks: two seconds.
const SUSTAINED: u32 = ticks(2_000);
/// More requests in the client library's line than this mean that we can't even read them: what does
/// not fit that line is lost, and it fills up within a second.
const LINE: u64 = 131_072;
/// From the decision to leave to that to return: so long at the least. Leaving takes about as long
/// under load, so a device that computes its queue meanwhile is not idle for that.
const AWAY: u32 = ticks(1_000);

const fn ticks(ms: u32) -> u32 {
    ms / TICK.as_millis() as u32
}

#[derive(Debug)]
pub struct Saturation {
    queue_rows: usize,
    full_ticks: u32,
    refused: u64,
    /// Ticks since it became saturated, while it is.
    away: Option<u32>,
}

/// What a look shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// In the queue.
    pub rows: usize,
    /// How many requests the queue has had no room for since the start. (Large ones are refused by
    /// a queue that looks far from full.)
    pub refused: u64,
    /// Requests that were delivered and not yet read.
    pub unread: u64,
}

impl Saturation {
    pub fn new(queue_rows: usize) -> Self {
        Self { queue_rows, full_ticks: 0, refused: 0, away: None }
    }

    /// Looks once a tick; whether the worker is saturated.
    pub fn look(&mut self, load: Load) -> bool {
        let share = load.rows as f64 / self.queue_rows as f64;
        let full = share >= HIGH || load.refused > self.refused;
        self.refused = load.refused;
        self.full_ticks = if full { self.full_ticks + 1 } else { 0 };
        self.away = match self.away {
            Some(away) if away >= AWAY && share <= LOW && load.unread == 0 => None,
            Some(away) => Some(away.saturating_add(1)),
            None => (self.full_ticks >= SUSTAINED || load.unread >= LINE).then_some(1),
        };
        self.is_away()
    }

    /// Whether the last look showed that.
    pub fn is_away(&self) -> bool {
        self.away.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: usize) -> Load {
        Load { rows, ..Load::default() }
    }

    #[test]
    fn a_burst_does_not_saturate_and_a_lasting_flood_does_until_it_ebbs() {
        let mut saturation = Saturation::new(100);
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(100))));
        assert!(!saturation.look(rows(79)), "a look below the mark starts the count anew");
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(80))));
        assert!(saturation.look(rows(80)));
        assert!((0..2 * AWAY).all(|_| saturation.look(rows(41))), "no return before the low mark");
        assert!(!saturation.look(rows(40)));
    }

    #[test]
    fn refusing_in_every_tick_saturates_however_empty_the_queue_looks() {
        let mut saturation = Saturation::new(100);
        let refused = |refused| Load { refused, ..rows(10) };
        assert!((1..SUSTAINED).all(|tick| !saturation.look(refused(u64::from(tick)))));
        assert!(saturation.look(refused(u64::from(SUSTAINED))));
        let last = Load { refused: u64::from(SUSTAINED), ..Load::default() };
        assert!((1..AWAY).all(|_| saturation.look(last)), "no return within a second");
        assert!(!saturation.look(last));
    }

    #[test]
    fn requests_that_it_can_not_even_read_saturate_at_once() {
        let mut saturation = Saturation::new(100);
        assert!(!saturation.look(Load { unread: LINE - 1, ..Load::default() }));
        assert!(saturation.look(Load { unread: LINE, ..Load::default() }));
        assert!((0..2 * AWAY).all(|_| saturation.look(Load { unread: 1, ..Load::default() })));
        assert!(!saturation.look(rows(0)), "all is read");
    }
}
