//! What holds for any history of the queue.

use proptest::prelude::*;

use super::{
    tests::{US, batcher, limits, rows},
    *,
};

/// One step of a random history: some time passes, then a request arrives, the device is free and
/// asks, or somebody looks for expired requests.
#[derive(Clone, Debug)]
enum Step {
    Push { after_us: u64, request: Request },
    Take { after_us: u64 },
    Expire { after_us: u64 },
}

/// Requests of any kind; deadlines are counted from arrival.
fn requests() -> impl Strategy<Value = Request> {
    let deadline = proptest::option::of((0..2000u64).prop_map(US));
    let name = proptest::option::of((0..4u8).prop_map(|i| Arc::from(format!("sim-{i}"))));
    (1..12usize, 0..12u8, deadline, name).prop_map(|(rows, priority, deadline, simulator)| {
        Request { rows, priority, deadline, simulator }
    })
}

fn steps(requests: impl Strategy<Value = Request>) -> impl Strategy<Value = Vec<Step>> {
    let push =
        (0..300u64, requests).prop_map(|(after_us, request)| Step::Push { after_us, request });
    let take = (0..300u64).prop_map(|after_us| Step::Take { after_us });
    let expire = (0..300u64).prop_map(|after_us| Step::Expire { after_us });
    proptest::collection::vec(prop_oneof![6 => push, 4 => take, 1 => expire], 0..200)
}

/// What a history did, by item.
#[derive(Default)]
struct History {
    accepted: Vec<(u32, Request, Duration)>,
    superseded: Vec<u32>,
    expired: Vec<(u32, Duration)>,
    batches: Vec<(Duration, Batch<u32>)>,
    left: Vec<u32>,
    most_rows: usize,
}

fn play(queue: &mut Batcher<u32>, steps: &[Step]) -> History {
    let (mut history, mut now) = (History::default(), Duration::ZERO);
    for (item, step) in steps.iter().enumerate() {
        match step {
            Step::Push { after_us, request } => {
                now += US(*after_us);
                let deadline = request.deadline.map(|budget| now + budget);
                let request = Request { deadline, ..request.clone() };
                if let Ok(superseded) = queue.push(item as u32, request.clone(), now) {
                    history.accepted.push((item as u32, request, now));
                    history.superseded.extend(superseded);
                }
            }
            Step::Take { after_us } => {
                now += US(*after_us);
                if let Some(batch) = queue.take(now) {
                    queue.computed(batch.rows, US(*after_us), &batch.simulators);
                    history.batches.push((now, batch));
                }
            }
            Step::Expire { after_us } => {
                now += US(*after_us);
                history.expired.extend(queue.take_expired(now).into_iter().map(|i| (i, now)));
            }
        }
        history.most_rows = history.most_rows.max(queue.rows());
    }
    history.expired.extend(queue.take_expired(now).into_iter().map(|item| (item, now)));
    history.left = queue.abandon();
    history
}

impl History {
    /// The rows of an item that were given out, in that order.
    fn given_out(&self, item: u32) -> Vec<usize> {
        let parts = self.batches.iter().flat_map(|(_, batch)| &batch.parts);
        parts.filter(|part| part.item == item).flat_map(|part| part.rows.clone()).collect()
    }

    fn accepted(&self, item: u32) -> &Request {
        &self.accepted.iter().find(|(accepted, ..)| *accepted == item).unwrap().1
    }
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1..20usize, 0..500u64, 12..60usize, 1..8usize, any::<bool>()).prop_map(
        |(batch_rows, delay, queue_rows, simulator_requests, newest_wins)| Limits {
            simulator_requests,
            newest_wins,
            ..limits(batch_rows, delay, queue_rows)
        },
    )
}

proptest! {
    #[test]
    fn every_request_ends_in_one_way_and_its_rows_come_once_in_their_order(
        steps in steps(requests()), limits in any_limits(),
    ) {
        let history = play(&mut Batcher::new(limits), &steps);
        for (item, request, _) in &history.accepted {
            let rows = history.given_out(*item);
            prop_assert_eq!(&rows, &(0..rows.len()).collect::<Vec<_>>());
            let ends = usize::from(rows.len() == request.rows)
                + history.superseded.iter().filter(|other| *other == item).count()
                + history.expired.iter().filter(|(other, _)| other == item).count()
                + history.left.iter().filter(|other| *other == item).count();
            prop_assert_eq!(ends, 1, "{} {:?}", item, request);
        }
    }

    #[test]
    fn no_batch_is_empty_or_too_big_and_the_queue_keeps_its_limit(
        steps in steps(requests()), limits in any_limits(),
    ) {
        let history = play(&mut Batcher::new(limits), &steps);
        for (_, batch) in &history.batches {
            let rows: usize = batch.parts.iter().map(|part| part.rows.len()).sum();
            prop_assert_eq!(rows, batch.rows);
            prop_assert!((1..=limits.batch_rows).contains(&rows));
        }
        prop_assert!(history.most_rows <= limits.queue_rows);
    }

    #[test]
    fn nothing_is_computed_after_its_deadline_or_expires_before_it(
        steps in steps(requests()), limits in any_limits(),
    ) {
        let history = play(&mut Batcher::new(limits), &steps);
        for (now, batch) in &history.batches {
            for part in &batch.parts {
                prop_assert!(history.accepted(part.item).deadline.is_none_or(|by| by > *now));
            }
        }
        for (item, now) in &history.expired {
            prop_assert!(history.accepted(*item).deadline.is_some_and(|by| by <= *now));
        }
    }

    #[test]
    fn in_the_end_no_row_waits_and_no_simulator_has_anything_open(
        steps in steps(requests()), limits in any_limits(),
    ) {
        let mut queue = Batcher::new(limits);
        play(&mut queue, &steps);
        prop_assert_eq!((queue.rows(), queue.requests()), (0, 0));
        for i in 0..4 {
            prop_assert_eq!(queue.simulators.open(Some(&format!("sim-{i}").into())), 0);
        }
    }

    #[test]
    fn equal_requests_come_in_the_order_of_their_arrival(
        steps in steps((1..12usize).prop_map(rows)), batch_rows in 1..20usize, delay in 0..500u64,
    ) {
        let history = play(&mut batcher(batch_rows, delay, 60), &steps);
        let parts = history.batches.iter().flat_map(|(_, batch)| &batch.parts);
        let items: Vec<_> = parts.map(|part| part.item).collect();
        prop_assert!(items.is_sorted());
    }

    #[test]
    fn a_row_whose_delay_has_passed_is_in_the_next_batch_unless_that_is_full(
        steps in steps((1..12usize).prop_map(rows)), batch_rows in 1..20usize, delay in 0..500u64,
    ) {
        let history = play(&mut batcher(batch_rows, delay, usize::MAX), &steps);
        let arrived = |item: u32| history.accepted.iter().find(|(i, ..)| *i == item).unwrap().2;
        for (now, batch) in history.batches.iter().filter(|(_, batch)| batch.rows < batch_rows) {
            prop_assert!(arrived(batch.parts[0].item) + US(delay) <= *now, "taken too early");
            let last = batch.parts.last().unwrap().item;
            let next = history.accepted.iter().find(|(item, ..)| *item > last);
            prop_assert!(next.is_none_or(|(_, _, arrived)| *arrived >= *now), "left waiting");
        }
    }

    #[test]
    fn a_device_that_asks_at_each_due_moment_keeps_all_of_them(
        arrivals in proptest::collection::vec((0..200u64, 1..6usize), 1..100),
        batch_rows in 1..20usize, delay in 0..500u64,
    ) {
        let mut queue = batcher(batch_rows, delay, usize::MAX);
        let mut now = Duration::ZERO;
        for (item, (after_us, count)) in arrivals.into_iter().enumerate() {
            let next = now + US(after_us);
            while let Some(due) = queue.next_due(now).filter(|due| *due <= next) {
                prop_assert!(queue.take(due.max(now)).is_some(), "a due moment without a batch");
            }
            now = next;
            queue.push(item as u32, rows(count), now).unwrap();
            prop_assert!(queue.oldest_age(now) <= US(delay), "a row waits past its delay");
        }
    }
}
