//! How many threads the rows of a batch are spread over, on the CPU.

use std::{num::NonZero, ops::Range};

use candle_core::Result;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Output, matrix::Buffers};

/// What a policy's rows must cost for more than one thread to be chosen by default: less is done
/// before another thread has woken.
const LARGE: u64 = 2_000_000;
/// What a thread must have to do in a batch to be woken for it, some 50 microseconds of work.
const WORTH_WAKING: u64 = 5_000_000;
/// More than these are not chosen by default: each has few rows of a batch then, but reads all
/// weights.
const MOST: usize = 8;

/// As a setting names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One for a small policy, for a large one as many as there are cores, up to 8.
    Auto,
    Count(NonZero<usize>),
}

/// The threads of a policy, each with memory of its own.
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Where there is more than one.
    pool: Option<ThreadPool>,
    row_flops: u64,
}

/// What one thread uses.
pub struct Lane {
    pub buffers: Buffers,
    output: Output,
    result: Result<()>,
}

impl Threads {
    /// How many they are, for a policy whose rows cost so many floating-point operations.
    pub fn count(self, row_flops: u64) -> usize {
        match self {
            Threads::Count(count) => count.get(),
            Threads::Auto if row_flops < LARGE => 1,
            Threads::Auto => std::thread::available_parallelism().map_or(1, NonZero::get).min(MOST),
        }
    }
}

impl Lanes {
    /// The thread that asks.
    pub fn one() -> Self {
        Self { lanes: vec![Lane::default()], pool: None, row_flops: 0 }
    }

    /// # Errors
    /// What the system says that gives no thread.
    pub fn spread(threads: Threads, row_flops: u64) -> std::result::Result<Self, String> {
        let count = threads.count(row_flops);
        if count == 1 {
            return Ok(Self::one());
        }
        // A pool of our own: that of the whole process has as many threads as candle was told.
        let pool = ThreadPoolBuilder::new().num_threads(count);
        let pool = pool.thread_name(|i| format!("compute {i}")).build();
        let pool = pool.map_err(|error| format!("no threads to compute on: {error}"))?;
        let lanes = (0..count).map(|_| Lane::default()).collect();
        Ok(Self { lanes, pool: Some(pool), row_flops })
    }

    /// Computes so many rows into `output`, which has none yet; `renew` makes another output ready for
    /// as much.
    ///
    /// # Errors
    /// What `compute` reports for the first rows that fail.
    pub fn run(
        &mut self,
        rows: usize,
        output: &mut Output,
        renew: impl Fn(&mut Output) + Sync,
        compute: impl Fn(&mut Lane, Range<usize>, &mut Output) -> Result<()> + Sync,
    ) -> Result<()> {
        let count = self.worth(rows);
        let lanes = &mut self.lanes[..count];
        let pool = match &self.pool {
            Some(pool) if count > 1 => pool,
            _ => return compute(&mut lanes[0], 0..rows, output),
        };
        let alone = |lane: &mut Lane, rows: Range<usize>| {
            let mut output = std::mem::take(&mut lane.output);
            renew(&mut output);
            lane.result = compute(lane, rows, &mut output);
            lane.output = output;
        };
        pool.install(|| split(lanes, 0..rows, &alone));
        for lane in lanes {
            std::mem::replace(&mut lane.result, Ok(()))?;
            output.extend(&lane.output);
        }
        Ok(())
    }

    /// How many threads are worth waking for so many rows.
    fn worth(&self, rows: usize) -> usize {
        let work = self.row_flops.saturating_mul(rows as u64) / WORTH_WAKING;
        self.lanes.len().min(rows).min(work as usize).max(1)
    }
}

/// Halves lanes and rows until each lane has its own.
fn split(
    lanes: &mut [Lane],
    rows: Range<usize>,
    compute: &(impl Fn(&mut Lane, Range<usize>) + Sync),
) {
    let count = lanes.len();
    let (left, right) = lanes.split_at_mut(count / 2);
    if let ([], [lane]) = (&mut *left, &mut *right) {
        return compute(lane, rows);
    }
    let middle = rows.start + rows.len() * left.len() / count;
    rayon::join(
        || split(left, rows.start..middle, compute),
        || split(right, middle..rows.end, compute),
    );
}

impl Default for Lane {
    fn default() -> Self {
        Self { buffers: Buffers::default(), output: Output::default(), result: Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(threads: usize) -> Threads {
        Threads::Count(NonZero::new(threads).unwrap())
    }

    #[test]
    fn small_policies_get_one_thread_and_large_ones_no_more_than_are_of_use() {
        assert_eq!(Threads::Auto.count(LARGE - 1), 1);
        assert!((1..=MOST).contains(&Threads::Auto.count(LARGE)));
        assert_eq!(count(3).count(1), 3);
    }

    #[test]
    fn a_batch_wakes_no_more_threads_than_it_has_work_for() {
        let lanes = Lanes::spread(count(4), WORTH_WAKING / 2).unwrap();
        let woken = [1, 3, 4, 6, 8, 1000].map(|rows| lanes.worth(rows));
        assert_eq!(woken, [1, 1, 2, 3, 4, 4]);
        let lanes = Lanes::spread(count(4), 100 * WORTH_WAKING).unwrap();
        assert_eq!([1, 2, 9].map(|rows| lanes.worth(rows)), [1, 2, 4]);
    }
}
