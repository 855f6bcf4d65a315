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
const SUSTAINED: u32 = (2_000 / TICK.as_millis()) as u32;

#[derive(Debug)]
pub struct Saturation {
    queue_rows: usize,
    full_ticks: u32,
    refused: u64,
    saturated: bool,
}

impl Saturation {
    pub fn new(queue_rows: usize) -> Self {
        Self { queue_rows, full_ticks: 0, refused: 0, saturated: false }
    }

    /// Looks once a tick at the rows in the queue and at how many requests it has refused since the
    /// start; whether the worker is saturated. (Large requests are refused by a queue that looks
    /// far from full.)
    pub fn look(&mut self, rows: usize, refused: u64) -> bool {
        let share = rows as f64 / self.queue_rows as f64;
        let full = share >= HIGH || refused > self.refused;
        self.refused = refused;
        self.full_ticks = if full { self.full_ticks + 1 } else { 0 };
        self.saturated = match self.saturated {
            true => share > LOW,
            false => self.full_ticks >= SUSTAINED,
        };
        self.saturated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_does_not_saturate_and_a_lasting_flood_does_until_it_ebbs() {
        let mut saturation = Saturation::new(100);
        assert!((1..SUSTAINED).all(|_| !saturation.look(100, 0)));
        assert!(!saturation.look(79, 0), "a look below the mark starts the count anew");
        assert!((1..SUSTAINED).all(|_| !saturation.look(80, 0)));
        assert!(saturation.look(80, 0));
        assert!(saturation.look(41, 0), "no return before the low mark");
        assert!(!saturation.look(40, 0));
    }

    #[test]
    fn refusing_in_every_tick_saturates_however_empty_the_queue_looks() {
        let mut saturation = Saturation::new(100);
        assert!((1..SUSTAINED).all(|tick| !saturation.look(10, u64::from(tick))));
        assert!(saturation.look(10, u64::from(SUSTAINED)));
        assert!(!saturation.look(10, u64::from(SUSTAINED)));
    }
}
