//! A bounded queue of requests that gives out batches of rows.
//!
//! What it promises, for any order of calls: no row is lost, none given out twice, rows keep
//! their order, no batch is larger than [`Limits::batch_rows`], and a row whose delay has passed
//! is in the next batch that is taken, unless older rows fill it.

use std::{collections::VecDeque, ops::Range, time::Duration};

/// Moments are durations since any fixed one, the same for all calls.
type Moment = Duration;

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rows in one batch.
    pub batch_rows: usize,
    /// How long the oldest row may wait for company. Zero: not at all.
    pub max_delay: Duration,
    /// Rows that may wait.
    pub queue_rows: usize,
}

#[derive(Debug)]
pub struct Batcher<T> {
    limits: Limits,
    queue: VecDeque<Entry<T>>,
    rows: usize,
    draining: bool,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    arrived: Moment,
    /// Rows not yet given out.
    rows: Range<usize>,
}

/// Rows to be computed together.
#[derive(Debug, PartialEq)]
pub struct Batch<T> {
    pub parts: Vec<Part<T>>,
    pub rows: usize,
    pub closed: Closed,
}

/// Why a batch did not wait for more rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// It, or the queue, holds no more.
    Full,
    /// Its oldest row has waited for [`Limits::max_delay`].
    Delay,
    /// Nothing waits for company, and the device is free.
    Idle,
    /// The queue is being emptied.
    Drain,
}

impl Closed {
    pub const ALL: [Closed; 4] = [Closed::Full, Closed::Delay, Closed::Idle, Closed::Drain];

    /// The metrics' label.
    pub fn name(self) -> &'static str {
        match self {
            Closed::Full => "full",
            Closed::Delay => "delay",
            Closed::Idle => "idle",
            Closed::Drain => "drain",
        }
    }
}

/// Some or all rows of one request. The parts of a request come in the order of its rows.
#[derive(Debug, PartialEq)]
pub struct Part<T> {
    pub item: T,
    pub rows: Range<usize>,
}

/// The queue has no room for the request, which is handed back.
#[derive(Debug, PartialEq)]
pub struct Full<T> {
    pub item: T,
    /// How long the oldest row has waited: about what the newcomer would have to.
    pub oldest: Duration,
}

impl<T: Clone> Batcher<T> {
    pub fn new(limits: Limits) -> Self {
        Self { limits, queue: VecDeque::new(), rows: 0, draining: false }
    }

    /// Queues all rows of a request, or none.
    ///
    /// # Errors
    /// [`Full`] if they would be more than [`Limits::queue_rows`].
    pub fn push(&mut self, item: T, rows: usize, now: Moment) -> Result<(), Full<T>> {
        if self.rows + rows > self.limits.queue_rows {
            return Err(Full { item, oldest: self.oldest_age(now) });
        }
        self.rows += rows;
        self.queue.push_back(Entry { item, arrived: now, rows: 0..rows });
        Ok(())
    }

    /// The rows that wait.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The requests of which rows wait.
    pub fn requests(&self) -> usize {
        self.queue.len()
    }

    /// When [`Batcher::take`] will give a batch if nothing else arrives; `None` while empty. It
    /// may lie in the past.
    pub fn next_deadline(&self) -> Option<Moment> {
        let oldest = self.queue.front()?;
        let waits = !self.draining && !self.is_full();
        Some(if waits { oldest.arrived + self.limits.max_delay } else { oldest.arrived })
    }

    /// The next batch, if one is due: full, its oldest row has waited long enough, or draining.
    pub fn take(&mut self, now: Moment) -> Option<Batch<T>> {
        if self.next_deadline()? > now {
            return None;
        }
        let mut batch = Batch { parts: Vec::new(), rows: 0, closed: self.closed() };
        while batch.rows < self.limits.batch_rows
            && let Some(part) = self.take_part(self.limits.batch_rows - batch.rows)
        {
            batch.rows += part.rows.len();
            batch.parts.push(part);
        }
        self.rows -= batch.rows;
        Some(batch)
    }

    /// From now on nothing waits for company.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Gives up: the requests of which rows still wait, each once, to be answered otherwise.
    pub fn abandon(&mut self) -> Vec<T> {
        self.rows = 0;
        self.queue.drain(..).map(|entry| entry.item).collect()
    }

    /// Whether waiting could not make the next batch larger.
    fn is_full(&self) -> bool {
        // A queue at its limit can't wait for more.
        self.rows >= self.limits.batch_rows.min(self.limits.queue_rows)
    }

    fn closed(&self) -> Closed {
        match (self.is_full(), self.draining, self.limits.max_delay.is_zero()) {
            (true, ..) => Closed::Full,
            (false, true, _) => Closed::Drain,
            (false, false, true) => Closed::Idle,
            (false, false, false) => Closed::Delay,
        }
    }

    /// How long the oldest row has waited; nothing if none waits.
    pub fn oldest_age(&self, now: Moment) -> Duration {
        self.queue.front().map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest.arrived))
    }

    /// At most `room` rows of the oldest request.
    fn take_part(&mut self, room: usize) -> Option<Part<T>> {
        let oldest = self.queue.front_mut()?;
        if oldest.rows.len() > room {
            let rows = oldest.rows.start..oldest.rows.start + room;
            oldest.rows.start = rows.end;
            return Some(Part { item: oldest.item.clone(), rows });
        }
        self.queue.pop_front().map(|Entry { item, rows, .. }| Part { item, rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const US: fn(u64) -> Duration = Duration::from_micros;

    fn batcher(batch_rows: usize, delay_us: u64, queue_rows: usize) -> Batcher<u32> {
        Batcher::new(Limits { batch_rows, max_delay: US(delay_us), queue_rows })
    }

    fn items(batch: &Batch<u32>) -> Vec<u32> {
        batch.parts.iter().map(|part| part.item).collect()
    }

    #[test]
    fn without_a_delay_whatever_waits_is_due() {
        let mut queue = batcher(8, 0, 100);
        assert_eq!(queue.take(US(5)), None);
        queue.push(1, 1, US(5)).unwrap();
        queue.push(2, 1, US(5)).unwrap();
        assert_eq!(items(&queue.take(US(5)).unwrap()), [1, 2]);
    }

    #[test]
    fn the_delay_counts_from_the_oldest_row() {
        let mut queue = batcher(8, 100, 100);
        queue.push(1, 1, US(0)).unwrap();
        queue.push(2, 1, US(90)).unwrap();
        assert_eq!(queue.next_deadline(), Some(US(100)));
        assert_eq!(queue.take(US(99)), None);
        assert_eq!(items(&queue.take(US(100)).unwrap()), [1, 2]);
        assert_eq!(queue.next_deadline(), None);
    }

    #[test]
    fn a_full_batch_does_not_wait() {
        let mut queue = batcher(2, 1_000, 100);
        for item in 0..3 {
            queue.push(item, 1, US(0)).unwrap();
        }
        assert_eq!(items(&queue.take(US(0)).unwrap()), [0, 1]);
        assert_eq!(queue.take(US(0)), None, "the third waits for company");
    }

    #[test]
    fn a_full_queue_does_not_wait_for_a_batch_that_it_can_not_hold() {
        let mut queue = batcher(8, 1_000, 2);
        queue.push(1, 2, US(0)).unwrap();
        assert_eq!(items(&queue.take(US(0)).unwrap()), [1]);
    }

    #[test]
    fn a_large_request_is_split_and_its_rest_goes_first() {
        let mut queue = batcher(4, 0, 100);
        queue.push(1, 6, US(0)).unwrap();
        queue.push(2, 1, US(0)).unwrap();
        let first = queue.take(US(0)).unwrap();
        assert_eq!(first.parts, [Part { item: 1, rows: 0..4 }]);
        let second = queue.take(US(0)).unwrap();
        assert_eq!(second.parts, [Part { item: 1, rows: 4..6 }, Part { item: 2, rows: 0..1 }]);
    }

    #[test]
    fn at_the_limit_a_request_is_refused_whole_and_the_queue_is_as_before() {
        let mut queue = batcher(4, 0, 5);
        queue.push(1, 3, US(0)).unwrap();
        assert_eq!(queue.push(2, 3, US(70)), Err(Full { item: 2, oldest: US(70) }));
        assert_eq!(queue.rows(), 3);
        queue.push(3, 2, US(70)).unwrap();
        assert_eq!(items(&queue.take(US(70)).unwrap()), [1, 3]);
    }

    #[test]
    fn draining_ends_all_waiting() {
        let mut queue = batcher(8, 1_000_000, 100);
        queue.push(1, 1, US(0)).unwrap();
        queue.drain();
        assert_eq!(items(&queue.take(US(0)).unwrap()), [1]);
    }

    #[test]
    fn abandoned_requests_come_back_once_each() {
        let mut queue = batcher(4, 0, 100);
        queue.push(1, 6, US(0)).unwrap();
        queue.push(2, 1, US(0)).unwrap();
        queue.take(US(0)).unwrap();
        assert_eq!(queue.abandon(), [1, 2]);
        assert_eq!((queue.rows(), queue.take(US(9))), (0, None));
    }

    /// One step of a random history: some time passes, then a request arrives or the device asks.
    #[derive(Clone, Debug)]
    enum Step {
        Push { after_us: u64, rows: usize },
        Take { after_us: u64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let push =
            (0..300u64, 1..12usize).prop_map(|(after_us, rows)| Step::Push { after_us, rows });
        let take = (0..300u64).prop_map(|after_us| Step::Take { after_us });
        proptest::collection::vec(prop_oneof![3 => push, 2 => take], 0..200)
    }

    /// What a history did: each accepted row with its arrival, each batch with its moment.
    #[derive(Default)]
    struct History {
        accepted: Vec<((u32, usize), Duration)>,
        batches: Vec<(Duration, Vec<(u32, usize)>)>,
        left: usize,
    }

    fn play(queue: &mut Batcher<u32>, steps: &[Step]) -> History {
        let (mut history, mut now) = (History::default(), Duration::ZERO);
        for (i, step) in steps.iter().enumerate() {
            match *step {
                Step::Push { after_us, rows } => {
                    now += US(after_us);
                    if queue.push(i as u32, rows, now).is_ok() {
                        history.accepted.extend((0..rows).map(|row| ((i as u32, row), now)));
                    }
                }
                Step::Take { after_us } => {
                    now += US(after_us);
                    let batch = queue.take(now);
                    history.batches.extend(batch.map(|batch| (now, rows_of(&batch))));
                }
            }
        }
        history.left = queue.rows();
        history
    }

    fn rows_of(batch: &Batch<u32>) -> Vec<(u32, usize)> {
        let rows =
            |part: &Part<u32>| part.rows.clone().map(|row| (part.item, row)).collect::<Vec<_>>();
        batch.parts.iter().flat_map(rows).collect()
    }

    proptest! {
        #[test]
        fn no_row_is_lost_or_doubled_and_all_keep_their_order(
            steps in steps(), batch_rows in 1..20usize, delay in 0..500u64, queue_rows in 12..60usize,
        ) {
            let mut queue = batcher(batch_rows, delay, queue_rows);
            let history = play(&mut queue, &steps);
            let taken: Vec<_> = history.batches.iter().flat_map(|(_, rows)| rows.clone()).collect();
            let accepted: Vec<_> = history.accepted.iter().map(|(row, _)| *row).collect();
            prop_assert_eq!(&taken[..], &accepted[..taken.len()]);
            prop_assert_eq!(taken.len() + history.left, accepted.len());
        }

        #[test]
        fn no_batch_is_empty_or_too_big_and_the_queue_keeps_its_limit(
            steps in steps(), batch_rows in 1..20usize, delay in 0..500u64, queue_rows in 12..60usize,
        ) {
            let mut queue = batcher(batch_rows, delay, queue_rows);
            let history = play(&mut queue, &steps);
            prop_assert!(history.batches.iter().all(|(_, rows)| (1..=batch_rows).contains(&rows.len())));
            prop_assert!(history.left <= queue_rows);
        }

        #[test]
        fn a_row_past_its_deadline_is_in_the_next_batch_unless_older_rows_fill_it(
            steps in steps(), batch_rows in 1..20usize, delay in 0..500u64,
        ) {
            let mut queue = batcher(batch_rows, delay, usize::MAX);
            let history = play(&mut queue, &steps);
            let mut arrivals = history.accepted.iter().map(|(_, arrived)| *arrived);
            for (taken_at, rows) in &history.batches {
                let in_batch: Vec<_> = arrivals.by_ref().take(rows.len()).collect();
                let next = arrivals.clone().next();
                let due = |arrived: Duration| arrived + US(delay) <= *taken_at;
                // Whoever waits behind a batch that is not full arrived after it was taken.
                prop_assert!(rows.len() == batch_rows || next.is_none_or(|next| next >= *taken_at));
                prop_assert!(rows.len() == batch_rows || due(in_batch[0]), "taken too early");
            }
        }

        #[test]
        fn a_device_that_asks_at_each_deadline_keeps_all_of_them(
            arrivals in proptest::collection::vec((0..200u64, 1..6usize), 1..100),
            batch_rows in 1..20usize, delay in 0..500u64,
        ) {
            let mut queue = batcher(batch_rows, delay, usize::MAX);
            let mut now = Duration::ZERO;
            for (item, (after_us, rows)) in arrivals.into_iter().enumerate() {
                let next = now + US(after_us);
                while let Some(deadline) = queue.next_deadline().filter(|deadline| *deadline <= next) {
                    let at = deadline.max(now);
                    prop_assert!(queue.take(at).is_some(), "a deadline without a batch");
                }
                now = next;
                queue.push(item as u32, rows, now).unwrap();
                let oldest = queue.queue.front().unwrap().arrived;
                prop_assert!(now <= oldest + US(delay), "a row waits past its deadline");
            }
        }
    }
}
