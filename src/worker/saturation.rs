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
/// A worker stays out for so long at the least.
const AWAY: u32 = ticks(1_000);
/// Each time that it is full again within [`RELAPSE`] of its return, it stays out twice as long, but
/// no longer than this.
const LONGEST_AWAY: u32 = ticks(30_000);
const RELAPSE: u32 = ticks(10_000);

const fn ticks(ms: u32) -> u32 {
    ms / TICK.as_millis() as u32
}

#[derive(Debug)]
pub struct Saturation {
    queue_rows: usize,
    full_ticks: u32,
    refused: u64,
    /// While saturated.
    away: Option<u32>,
    /// How long it stays out this time.
    stay_away: u32,
    /// Ticks since the last return.
    back: u32,
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
        Self { queue_rows, full_ticks: 0, refused: 0, away: None, stay_away: AWAY, back: RELAPSE }
    }

    /// Looks once a tick; whether the worker is saturated.
    pub fn look(&mut self, load: Load) -> bool {
        let share = load.rows as f64 / self.queue_rows as f64;
        let full = share >= HIGH || load.refused > self.refused;
        self.refused = load.refused;
        self.full_ticks = if full { self.full_ticks + 1 } else { 0 };
        match &mut self.away {
            Some(away) => {
                *away += 1;
                if share <= LOW && load.unread == 0 && *away >= self.stay_away {
                    (self.away, self.back) = (None, 0);
                }
            }
            None => {
                self.back = self.back.saturating_add(1);
                if self.full_ticks >= SUSTAINED || load.unread >= LINE {
                    self.leave();
                }
            }
        }
        self.away.is_some()
    }

    fn leave(&mut self) {
        let relapse = self.back <= RELAPSE;
        self.stay_away = if relapse { (2 * self.stay_away).min(LONGEST_AWAY) } else { AWAY };
        self.away = Some(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: usize) -> Load {
        Load { rows, ..Load::default() }
    }

    /// Of 100 rows, full for as long as it takes.
    fn saturated() -> Saturation {
        let mut saturation = Saturation::new(100);
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(100))));
        assert!(saturation.look(rows(100)));
        saturation
    }

    /// Ticks until the worker comes back, its queue being empty.
    fn away(saturation: &mut Saturation) -> u32 {
        (1..).find(|_| !saturation.look(rows(0))).unwrap()
    }

    #[test]
    fn a_burst_does_not_saturate_and_a_lasting_flood_does_until_it_ebbs() {
        let mut saturation = Saturation::new(100);
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(100))));
        assert!(!saturation.look(rows(79)), "a look below the mark starts the count anew");
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(80))));
        assert!(saturation.look(rows(80)));
        assert!((0..AWAY).all(|_| saturation.look(rows(41))), "no return before the low mark");
        assert!(!saturation.look(rows(40)));
    }

    #[test]
    fn refusing_in_every_tick_saturates_however_empty_the_queue_looks() {
        let mut saturation = Saturation::new(100);
        let refused = |refused| Load { rows: 10, refused, unread: 0 };
        assert!((1..SUSTAINED).all(|tick| !saturation.look(refused(u64::from(tick)))));
        assert!(saturation.look(refused(u64::from(SUSTAINED))));
        assert_eq!(away(&mut saturation), AWAY);
    }

    #[test]
    fn requests_that_it_can_not_even_read_saturate_at_once() {
        let mut saturation = Saturation::new(100);
        assert!(!saturation.look(Load { unread: LINE - 1, ..Load::default() }));
        assert!(saturation.look(Load { unread: LINE, ..Load::default() }));
        assert!((0..AWAY).all(|_| saturation.look(Load { unread: 1, ..Load::default() })));
        assert!(!saturation.look(rows(0)), "all is read");
    }

    #[test]
    fn who_is_full_again_right_away_stays_out_longer_each_time() {
        let mut saturation = saturated();
        let mut stays = vec![away(&mut saturation)];
        for _ in 0..7 {
            assert!((1..SUSTAINED).all(|_| !saturation.look(rows(100))));
            assert!(saturation.look(rows(100)));
            stays.push(away(&mut saturation));
        }
        assert_eq!(stays, [10, 20, 40, 80, 160, 300, 300, 300]);
        assert!((0..=RELAPSE).all(|_| !saturation.look(rows(0))));
        assert!((1..SUSTAINED).all(|_| !saturation.look(rows(100))));
        assert!(saturation.look(rows(100)));
        assert_eq!(away(&mut saturation), AWAY, "after a good time all is forgotten");
    }
}
