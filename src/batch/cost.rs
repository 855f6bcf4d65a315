//! How long a batch takes, learned from those that were computed.

use std::time::Duration;

/// What a batch counts for after the next one: the last fifty or so matter.
const KEPT: f64 = 0.98;
/// What a batch of the warm-up counts for, always: enough to tell how time grows with rows when
/// all batches since then had the same size.
const PRIOR: f64 = 0.1;
/// One batch that took far longer than expected was most likely interrupted; if not, the next ones
/// will tell.
const OUTLIER: f64 = 4.0;

/// A line through times and rows of batches, `a + b * rows`, by least squares with weights that fade
/// with each further batch.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    prior: Sums,
    recent: Sums,
    /// What they come to: `a` and `b`, in seconds.
    line: (f64, f64),
}

/// Of weights, rows (x), seconds (y) and their products.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    xy: f64,
}

impl Cost {
    /// A batch of the warm-up.
    pub fn warm(&mut self, rows: usize, took: Duration) {
        self.prior.add(PRIOR, rows as f64, took.as_secs_f64());
        self.line = self.prior.plus(self.recent).line();
    }

    /// A batch was computed.
    pub fn learn(&mut self, rows: usize, took: Duration) {
        let (expected, seconds) = (self.batch(rows).as_secs_f64(), took.as_secs_f64());
        let seconds = if expected > 0.0 { seconds.min(OUTLIER * expected) } else { seconds };
        self.recent.fade();
        self.recent.add(1.0, rows as f64, seconds);
        self.line = self.prior.plus(self.recent).line();
    }

    /// What one batch probably takes; nothing as long as none is known.
    pub fn batch(&self, rows: usize) -> Duration {
        let (a, b) = self.line;
        Duration::try_from_secs_f64(a + b * rows as f64).unwrap_or(Duration::MAX)
    }

    /// What so many rows probably take, in batches of at most `batch_rows`.
    pub fn rows(&self, rows: usize, batch_rows: usize) -> Duration {
        let (a, b) = self.line;
        let batches = rows.div_ceil(batch_rows) as f64;
        Duration::try_from_secs_f64(a * batches + b * rows as f64).unwrap_or(Duration::MAX)
    }
}

impl Sums {
    fn add(&mut self, weight: f64, x: f64, y: f64) {
        self.n += weight;
        self.x += weight * x;
        self.y += weight * y;
        self.xx += weight * x * x;
        self.xy += weight * x * y;
    }

    fn fade(&mut self) {
        for sum in [&mut self.n, &mut self.x, &mut self.y, &mut self.xx, &mut self.xy] {
            *sum *= KEPT;
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            x: self.x + other.x,
            y: self.y + other.y,
            xx: self.xx + other.xx,
            xy: self.xy + other.xy,
        }
    }

    /// `(a, b)` of least squares, neither below zero.
    fn line(self) -> (f64, f64) {
        if self.n == 0.0 {
            return (0.0, 0.0);
        }
        let spread = self.n * self.xx - self.x * self.x;
        // Batches of one size tell nothing of others: then time is taken to grow with rows.
        let through_zero = self.xy / self.xx;
        if spread <= 1e-9 * self.n * self.xx {
            return (0.0, through_zero);
        }
        let b = ((self.n * self.xy - self.x * self.y) / spread).max(0.0);
        let a = (self.y - b * self.x) / self.n;
        if a < 0.0 { (0.0, through_zero) } else { (a, b) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: fn(u64) -> Duration = Duration::from_micros;

    fn assert_near(got: Duration, expected: Duration) {
        let ratio = got.as_secs_f64() / expected.as_secs_f64();
        assert!((0.99..=1.01).contains(&ratio), "{got:?} is not {expected:?}");
    }

    fn line(a: u64, b: u64) -> impl Fn(usize) -> Duration {
        move |rows| US(a + b * rows as u64)
    }

    #[test]
    fn nothing_is_known_before_the_first_batch() {
        assert_eq!(Cost::default().rows(1000, 64), Duration::ZERO);
    }

    #[test]
    fn batches_on_a_line_give_that_line() {
        let (mut cost, takes) = (Cost::default(), line(100, 7));
        for rows in [1, 5, 64, 20] {
            cost.learn(rows, takes(rows));
        }
        assert_near(cost.batch(40), takes(40));
    }

    #[test]
    fn rows_take_full_batches_and_a_rest() {
        let (mut cost, takes) = (Cost::default(), line(100, 7));
        for rows in [1, 64] {
            cost.warm(rows, takes(rows));
        }
        assert_near(cost.rows(64, 64), takes(64));
        assert_near(cost.rows(200, 64), takes(64) * 3 + takes(8));
    }

    #[test]
    fn a_device_that_became_slower_is_learned_within_a_hundred_batches() {
        let mut cost = Cost::default();
        for i in 0..1000 {
            cost.learn(1 + i % 64, line(100, 7)(1 + i % 64));
        }
        for i in 0..200 {
            cost.learn(1 + i % 64, line(300, 20)(1 + i % 64));
        }
        let (got, expected) = (cost.batch(32).as_secs_f64(), line(300, 20)(32).as_secs_f64());
        assert!((got / expected - 1.0).abs() < 0.05, "{got} is not {expected}");
    }

    #[test]
    fn equal_batches_after_a_warm_up_do_not_make_other_sizes_a_guess() {
        let (mut cost, takes) = (Cost::default(), line(1000, 10));
        for rows in [1, 2, 4, 8, 16, 32, 64] {
            cost.warm(rows, takes(rows));
        }
        for _ in 0..1000 {
            cost.learn(8, takes(8));
        }
        assert_near(cost.batch(64), takes(64));
    }

    #[test]
    fn one_batch_that_was_interrupted_changes_little() {
        let mut cost = Cost::default();
        for rows in (1..=64).cycle().take(200) {
            cost.learn(rows, line(100, 7)(rows));
        }
        let before = cost.batch(32).as_secs_f64();
        cost.learn(32, Duration::from_secs(5));
        assert!(cost.batch(32).as_secs_f64() < 1.1 * before);
    }

    #[test]
    fn times_that_shrink_with_rows_are_no_reason_for_less_than_nothing() {
        let mut cost = Cost::default();
        cost.learn(1, US(500));
        cost.learn(64, US(100));
        assert!(cost.batch(1000) > Duration::ZERO);
        assert!(cost.batch(1000) >= cost.batch(1));
    }
}
