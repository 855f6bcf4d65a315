//! The queue's rules, one at a time.

use super::{super::line::AGEING, *};

pub const US: fn(u64) -> Duration = Duration::from_micros;
const MS: fn(u64) -> Duration = Duration::from_millis;

pub fn limits(batch_rows: usize, delay_us: u64, queue_rows: usize) -> Limits {
    let (simulator_requests, newest_wins) = (usize::MAX, false);
    Limits { batch_rows, max_delay: US(delay_us), queue_rows, simulator_requests, newest_wins }
}

pub fn batcher(batch_rows: usize, delay_us: u64, queue_rows: usize) -> Batcher<u32> {
    Batcher::new(limits(batch_rows, delay_us, queue_rows))
}

pub fn rows(rows: usize) -> Request {
    Request { rows, priority: 5, deadline: None, simulator: None }
}

impl Request {
    fn by(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    fn at(self, priority: u8) -> Self {
        Self { priority, ..self }
    }

    fn of(self, simulator: &str) -> Self {
        Self { simulator: Some(simulator.into()), ..self }
    }
}

/// A device that takes 1 ms for a batch and 0.1 ms for each of its rows.
fn known_device() -> Cost {
    let mut cost = Cost::default();
    for rows in [1, 8, 64] {
        cost.warm(rows, US(1000 + 100 * rows as u64));
    }
    cost
}

fn items(batch: &Batch<u32>) -> Vec<u32> {
    batch.parts.iter().map(|part| part.item).collect()
}

/// All items in the order in which a free device gets them.
fn order(queue: &mut Batcher<u32>, now: Duration) -> Vec<u32> {
    std::iter::from_fn(|| queue.take(now)).flat_map(|batch| items(&batch)).collect()
}

#[test]
fn without_a_delay_whatever_waits_is_due() {
    let mut queue = batcher(8, 0, 100);
    assert_eq!(queue.take(US(5)), None);
    queue.push(1, rows(1), US(5)).unwrap();
    queue.push(2, rows(1), US(5)).unwrap();
    let batch = queue.take(US(5)).unwrap();
    assert_eq!((items(&batch), batch.closed), (vec![1, 2], Closed::Idle));
}

#[test]
fn the_delay_counts_from_the_oldest_row() {
    let mut queue = batcher(8, 100, 100);
    queue.push(1, rows(1), US(0)).unwrap();
    queue.push(2, rows(1), US(90)).unwrap();
    assert_eq!(queue.next_due(US(90)), Some(US(100)));
    assert_eq!(queue.take(US(99)), None);
    let batch = queue.take(US(100)).unwrap();
    assert_eq!((items(&batch), batch.closed), (vec![1, 2], Closed::Delay));
    assert_eq!(queue.next_due(US(100)), None);
}

#[test]
fn a_full_batch_does_not_wait() {
    let mut queue = batcher(2, 1_000, 100);
    for item in 0..3 {
        queue.push(item, rows(1), US(0)).unwrap();
    }
    let batch = queue.take(US(0)).unwrap();
    assert_eq!((items(&batch), batch.closed), (vec![0, 1], Closed::Full));
    assert_eq!(queue.take(US(0)), None, "the third waits for company");
}

#[test]
fn a_full_queue_does_not_wait_for_a_batch_that_it_can_not_hold() {
    let mut queue = batcher(8, 1_000, 2);
    queue.push(1, rows(2), US(0)).unwrap();
    assert_eq!(items(&queue.take(US(0)).unwrap()), [1]);
}

#[test]
fn a_batch_that_waits_for_company_closes_in_time_for_the_nearest_deadline() {
    let mut queue = batcher(8, 50_000, 100);
    queue.know(known_device());
    queue.push(1, rows(1).by(MS(20)), MS(0)).unwrap();
    queue.push(2, rows(1).by(MS(30)), MS(0)).unwrap();
    let start = MS(20) - 2 * US(1200);
    let due = queue.next_due(MS(0)).unwrap();
    assert!(due.abs_diff(start) < US(10), "{due:?} is not {start:?}");
    let batch = queue.take(due).unwrap();
    assert_eq!((items(&batch), batch.closed), (vec![1, 2], Closed::Deadline));
}

#[test]
fn a_fleet_in_lock_step_never_waits_for_the_timer() {
    let mut queue = batcher(8, 900_000, 100);
    queue.push(1, rows(1).of("a"), MS(0)).unwrap();
    queue.push(2, rows(1).of("b"), MS(1)).unwrap();
    let first = queue.take(MS(1)).unwrap();
    assert_eq!((items(&first), first.closed), (vec![1, 2], Closed::Lockstep));
    queue.computed(2, US(100), &first.simulators);
    queue.push(3, rows(1).of("b"), MS(50)).unwrap();
    assert_eq!(queue.take(MS(50)), None, "a asked within the last second");
    queue.push(4, rows(1).of("a"), MS(52)).unwrap();
    assert_eq!(queue.take(MS(52)).unwrap().closed, Closed::Lockstep);
}

#[test]
fn nobody_waits_for_a_simulator_that_has_gone() {
    let mut queue = batcher(8, 900_000, 100);
    queue.push(1, rows(1).of("a"), MS(0)).unwrap();
    queue.push(2, rows(1).of("b"), MS(0)).unwrap();
    let first = queue.take(MS(0)).unwrap();
    queue.computed(2, US(100), &first.simulators);
    queue.push(3, rows(1).of("b"), MS(1001)).unwrap();
    assert_eq!(queue.take(MS(1001)).unwrap().closed, Closed::Lockstep);
}

#[test]
fn while_somebody_asks_without_a_name_nobody_knows_who_is_missing() {
    let mut queue = batcher(8, 900_000, 100);
    queue.push(1, rows(1), MS(0)).unwrap();
    queue.push(2, rows(1).of("a"), MS(0)).unwrap();
    assert_eq!(queue.take(MS(1)), None);
}

#[test]
fn a_large_request_is_split_and_its_rest_goes_first() {
    let mut queue = batcher(4, 0, 100);
    queue.push(1, rows(6), US(0)).unwrap();
    queue.push(2, rows(1), US(0)).unwrap();
    let first = queue.take(US(0)).unwrap();
    assert_eq!(first.parts, [Part { item: 1, rows: 0..4 }]);
    queue.push(3, rows(1).at(0), US(0)).unwrap();
    let second = queue.take(US(0)).unwrap();
    let parts = [(1, 4..6), (3, 0..1), (2, 0..1)].map(|(item, rows)| Part { item, rows });
    assert_eq!(second.parts, parts);
}

#[test]
fn at_the_limit_a_request_is_refused_whole_and_the_queue_is_as_before() {
    let mut queue = batcher(4, 0, 5);
    queue.push(1, rows(3), US(0)).unwrap();
    let refused = queue.push(2, rows(3), US(70)).unwrap_err();
    assert_eq!((refused.item, refused.reason), (2, Reason::Full));
    assert_eq!(queue.rows(), 3);
    queue.push(3, rows(2), US(70)).unwrap();
    assert_eq!(items(&queue.take(US(70)).unwrap()), [1, 3]);
}

#[test]
fn who_finds_no_room_hears_when_the_queue_will_have_been_computed() {
    let mut queue = batcher(8, 0, 16);
    queue.know(known_device());
    for item in 0..3 {
        queue.push(item, rows(8), MS(0)).unwrap();
        if item == 0 {
            queue.take(MS(0)).unwrap();
        }
    }
    let retry = queue.push(3, rows(1), US(800)).unwrap_err().retry_after;
    // 1 ms is left of the batch that is computed, then come two of 1.8 ms.
    assert!(retry.abs_diff(US(4600)) < US(50), "{retry:?}");
}

#[test]
fn of_one_priority_the_nearest_deadline_goes_first_and_none_goes_last() {
    let mut queue = batcher(1, 0, 100);
    queue.push(1, rows(1), MS(0)).unwrap();
    queue.push(2, rows(1).by(MS(30)), MS(0)).unwrap();
    queue.push(3, rows(1).by(MS(10)), MS(1)).unwrap();
    queue.push(4, rows(1).by(MS(20)), MS(2)).unwrap();
    assert_eq!(order(&mut queue, MS(2)), [3, 4, 2, 1]);
}

#[test]
fn a_higher_priority_goes_first_whatever_the_deadlines() {
    let mut queue = batcher(1, 0, 100);
    queue.push(1, rows(1).at(9).by(MS(5)), MS(0)).unwrap();
    queue.push(2, rows(1).at(5).by(MS(6)), MS(0)).unwrap();
    queue.push(3, rows(1).at(0), MS(0)).unwrap();
    assert_eq!(order(&mut queue, MS(0)), [3, 2, 1]);
}

#[test]
fn whoever_waits_rises_so_that_no_priority_starves() {
    let mut queue = batcher(1, 0, 100_000);
    queue.push(0, rows(1).at(9), MS(0)).unwrap();
    let served = (1..2000u32).find(|tick| {
        let now = MS(u64::from(*tick));
        queue.push(*tick, rows(1).at(0), now).unwrap();
        items(&queue.take(now).unwrap()) == [0]
    });
    let at = MS(u64::from(served.expect("it is served")));
    assert!(at >= AGEING * 9, "served at {at:?}");
    assert!(at <= AGEING * 9 + MS(1), "served at {at:?}");
}

#[test]
fn what_waited_long_rises_at_once_when_the_device_comes_back() {
    let mut queue = batcher(1, 0, 100);
    queue.push(1, rows(1).at(4), MS(0)).unwrap();
    queue.push(2, rows(1).at(2), MS(399)).unwrap();
    assert_eq!(items(&queue.take(MS(400)).unwrap()), [1]);
}

#[test]
fn simulators_take_turns_however_many_requests_one_of_them_sends() {
    let mut queue = batcher(1, 0, 100);
    for item in [10, 11, 12, 13] {
        queue.push(item, rows(1).of("greedy"), MS(0)).unwrap();
    }
    for (item, name) in [(20, "b"), (30, "c"), (21, "b")] {
        queue.push(item, rows(1).of(name), MS(1)).unwrap();
    }
    assert_eq!(order(&mut queue, MS(1)), [10, 20, 30, 11, 21, 12, 13]);
}

#[test]
fn one_that_was_served_does_not_go_before_those_who_were_not() {
    let mut queue = batcher(1, 0, 100);
    for (item, name) in [(10, "a"), (20, "b"), (30, "c")] {
        queue.push(item, rows(1).of(name).by(MS(100)), MS(0)).unwrap();
    }
    let first = queue.take(MS(0)).unwrap();
    queue.computed(1, US(10), &first.simulators);
    queue.push(11, rows(1).of("a").by(MS(50)), MS(1)).unwrap();
    assert_eq!(order(&mut queue, MS(1)), [20, 30, 11]);
}

#[test]
fn a_simulator_has_no_more_requests_open_than_it_may_until_one_is_computed() {
    let limits = Limits { simulator_requests: 2, ..limits(1, 0, 100) };
    let mut queue = Batcher::new(limits);
    queue.push(1, rows(1).of("a"), MS(0)).unwrap();
    queue.push(2, rows(1).of("a"), MS(0)).unwrap();
    let refused = |queue: &mut Batcher<u32>| queue.push(3, rows(1).of("a"), MS(0)).unwrap_err();
    assert_eq!(refused(&mut queue).reason, Reason::Simulator);
    queue.push(4, rows(1).of("b"), MS(0)).unwrap();
    let batch = queue.take(MS(0)).unwrap();
    assert_eq!(refused(&mut queue).reason, Reason::Simulator, "one is computed, one waits");
    queue.computed(1, US(10), &batch.simulators);
    queue.push(3, rows(1).of("a"), MS(0)).unwrap();
}

#[test]
fn the_newest_takes_the_place_of_the_one_that_waits_and_its_turn() {
    let limits = Limits { newest_wins: true, ..limits(1, 0, 2) };
    let mut queue = Batcher::new(limits);
    assert_eq!(queue.push(1, rows(1).of("a"), MS(0)), Ok(None));
    assert_eq!(queue.push(2, rows(1).of("b"), MS(0)), Ok(None));
    assert_eq!(queue.push(3, rows(1).of("a"), MS(1)), Ok(Some(1)), "though the queue is full");
    let first = queue.take(MS(1)).unwrap();
    assert_eq!(items(&first), [2], "of one turn, whoever came first");
    assert_eq!(queue.push(4, rows(1).of("b"), MS(1)), Ok(None), "what is computed stays");
    assert_eq!(order(&mut queue, MS(1)), [3, 4]);
}

#[test]
fn a_newer_request_that_is_refused_leaves_the_older_one_in_its_place() {
    let limits = Limits { newest_wins: true, ..limits(4, 0, 4) };
    let mut queue = Batcher::new(limits);
    queue.push(1, rows(2).of("a"), MS(0)).unwrap();
    assert_eq!(queue.push(2, rows(5).of("a"), MS(0)).unwrap_err().reason, Reason::Full);
    assert_eq!(order(&mut queue, MS(0)), [1]);
}

#[test]
fn what_has_expired_is_given_back_and_never_computed() {
    let mut queue = batcher(8, 0, 100);
    queue.push(1, rows(1).by(MS(10)), MS(0)).unwrap();
    queue.push(2, rows(1), MS(0)).unwrap();
    queue.push(3, rows(1).by(MS(20)), MS(0)).unwrap();
    assert_eq!(queue.next_expiry(), Some(MS(10)));
    assert!(queue.take_expired(US(9_999)).is_empty());
    assert_eq!(items(&queue.take(MS(10)).unwrap()), [3, 2]);
    assert_eq!(queue.next_expiry(), Some(Duration::ZERO), "there is one to be answered");
    assert_eq!(queue.take_expired(MS(10)), [1]);
    assert_eq!((queue.next_expiry(), queue.rows(), queue.requests()), (None, 0, 0));
}

#[test]
fn the_rest_of_a_request_that_has_begun_expires_too() {
    let mut queue = batcher(4, 0, 100);
    queue.push(1, rows(6).by(MS(10)), MS(0)).unwrap();
    queue.take(MS(0)).unwrap();
    assert_eq!((queue.rows(), queue.next_expiry()), (2, Some(MS(10))));
    assert_eq!(queue.take(MS(10)), None);
    assert_eq!((queue.take_expired(MS(10)), queue.rows()), (vec![1], 0));
}

#[test]
fn an_expired_request_is_no_longer_its_simulators() {
    let limits = Limits { simulator_requests: 1, ..limits(4, 0, 100) };
    let mut queue = Batcher::new(limits);
    queue.push(1, rows(1).of("a").by(MS(10)), MS(0)).unwrap();
    assert!(queue.push(2, rows(1).of("a"), MS(9)).is_err());
    assert!(queue.push(2, rows(1).of("a"), MS(10)).is_ok());
}

#[test]
fn what_can_not_be_done_in_time_is_refused_with_how_late_it_would_be() {
    let mut queue = batcher(8, 0, 100);
    queue.know(known_device());
    queue.push(0, rows(8), MS(0)).unwrap();
    queue.take(MS(0)).unwrap();
    queue.push(1, rows(8).by(MS(50)), MS(0)).unwrap();
    // Two batches of 1.8 ms, then one of 1.1 ms: 4.7 ms.
    let Err(Refused { reason: Reason::Late(late), .. }) =
        queue.push(2, rows(1).by(US(4_000)).at(6), MS(0))
    else {
        panic!("it is taken");
    };
    assert!(late.abs_diff(US(700)) < US(20), "{late:?}");
    assert_eq!(queue.push(3, rows(1).by(US(5_000)).at(6), MS(0)), Ok(None));
}

#[test]
fn only_what_goes_before_it_makes_a_request_late() {
    let mut queue = batcher(8, 0, 1000);
    queue.know(known_device());
    for item in 0..10 {
        queue.push(item, rows(8).by(MS(100)), MS(0)).unwrap();
    }
    queue.push(10, rows(8), MS(0)).unwrap();
    queue.take(MS(0)).unwrap();
    let (early, late) = (rows(1).by(MS(5)), rows(1).by(MS(5)).at(9));
    assert_eq!(queue.push(20, early, MS(0)), Ok(None), "it overtakes");
    assert!(matches!(queue.push(21, late, MS(0)).unwrap_err().reason, Reason::Late(_)));
    assert_eq!(queue.push(22, rows(1).by(MS(5)).at(0), MS(0)), Ok(None));
}

#[test]
fn a_free_device_takes_what_it_believes_to_be_late() {
    let mut queue = batcher(8, 0, 100);
    queue.know(known_device());
    queue.push(1, rows(8).by(US(10)), MS(0)).unwrap();
    assert_eq!(items(&queue.take(MS(0)).unwrap()), [1]);
}

#[test]
fn draining_ends_all_waiting() {
    let mut queue = batcher(8, 1_000_000, 100);
    queue.push(1, rows(1), US(0)).unwrap();
    queue.drain();
    let batch = queue.take(US(0)).unwrap();
    assert_eq!((items(&batch), batch.closed), (vec![1], Closed::Drain));
}

#[test]
fn abandoned_requests_come_back_once_each() {
    let mut queue = batcher(4, 0, 100);
    queue.push(1, rows(6), US(0)).unwrap();
    queue.push(2, rows(1), US(0)).unwrap();
    queue.take(US(0)).unwrap();
    queue.push(3, rows(1).by(US(1)).of("a"), US(0)).unwrap();
    let mut abandoned = queue.abandon();
    abandoned.sort_unstable();
    assert_eq!(abandoned, [1, 2, 3]);
    assert_eq!((queue.rows(), queue.take(US(9))), (0, None));
}
