//! A distribution twice: all of it for Prometheus, the last ten seconds of it for people.

use hdrhistogram::Histogram;

use crate::wire::Quantiles;

/// Ten seconds in slots of one [`super::vitals::TURN`].
pub const SLOTS: usize = 5;
/// Two digits of a quantile are enough to look at, and keep a slot at some 15 kB.
const DIGITS: u8 = 2;

/// Times or row counts.
pub struct Distribution {
    exported: metrics::Histogram,
    recent: [Histogram<u32>; SLOTS],
    current: usize,
    /// What one step of `recent` stands for.
    step: f64,
    count: u64,
    sum: f64,
}

impl Distribution {
    /// Of times in seconds: kept to the nanosecond, up to 100 s.
    pub fn seconds() -> Self {
        Self::new(1e-9, 100_000_000_000)
    }

    /// Of rows, up to the largest batch that settings allow.
    pub fn rows() -> Self {
        Self::new(1.0, 65_536)
    }

    fn new(step: f64, most: u64) -> Self {
        let slot = || Histogram::new_with_bounds(1, most, DIGITS);
        // The bounds are constants in the library's range: 1, at least 2, and 0 to 5 digits.
        let recent = [(); SLOTS].map(|()| slot().expect("constant bounds"));
        let exported = metrics::Histogram::noop();
        Self { exported, recent, current: 0, step, count: 0, sum: 0.0 }
    }

    /// From now on the exporter hears of each value. Only for one whose upkeep runs: it keeps
    /// every value until then.
    pub fn export(&mut self, to: metrics::Histogram) {
        self.exported = to;
    }

    /// A value in the unit of the name: seconds or rows. No value that is measured can be negative
    /// or not a number, which would spoil the sum for good.
    pub fn record(&mut self, value: f64) {
        self.exported.record(value);
        self.recent[self.current].saturating_record((value / self.step) as u64);
        self.count += 1;
        self.sum += value;
    }

    /// Forgets the oldest slot.
    pub fn turn(&mut self) {
        self.current = (self.current + 1) % SLOTS;
        self.recent[self.current].reset();
    }

    /// Of all time.
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// A copy, to be looked at in peace.
    pub fn recent(&self) -> Recent {
        let Self { recent, step, count, sum, .. } = self;
        Recent { slots: recent.clone(), step: *step, count: *count, sum: *sum }
    }
}

/// A distribution at one moment.
pub struct Recent {
    slots: [Histogram<u32>; SLOTS],
    step: f64,
    count: u64,
    sum: f64,
}

impl Recent {
    pub fn quantiles(&self) -> Quantiles {
        let mut all = self.slots[0].clone();
        for slot in &self.slots[1..] {
            // All slots have the same bounds.
            all.add(slot).expect("the same bounds");
        }
        let at = |quantile| all.value_at_quantile(quantile) as f64 * self.step;
        Quantiles {
            count: self.count,
            sum: self.sum,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: all.max() as f64 * self.step,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_last_slots_and_count_and_sum_are_of_all_time() {
        let mut times = Distribution::seconds();
        (0..100).for_each(|_| times.record(0.002));
        let is = |got: f64, expected: f64| (got / expected - 1.0).abs() < 0.01;
        let q = times.recent().quantiles();
        assert!(is(q.p50, 0.002) && is(q.p99, 0.002) && is(q.max, 0.002), "{q:?}");
        (0..SLOTS).for_each(|_| times.turn());
        times.record(0.5);
        let q = times.recent().quantiles();
        assert!(is(q.p50, 0.5), "{q:?}");
        assert_eq!(q.count, 101);
        assert!(is(q.sum, 0.7));
    }

    #[test]
    fn nothing_recorded_is_all_zeros_and_what_is_out_of_bounds_is_clamped() {
        let mut rows = Distribution::rows();
        assert_eq!(rows.recent().quantiles(), Quantiles::default());
        rows.record(1e9);
        assert!(rows.recent().quantiles().max >= 65_536.0);
    }
}
