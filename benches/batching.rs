//! Queueing requests and taking a batch of them.

use std::{sync::Arc, time::Duration};

use carla_rl::batch::{self, Batcher, Limits};
use criterion::{Criterion, Throughput};

pub fn benches(criterion: &mut Criterion) {
    let limits = Limits {
        batch_rows: 64,
        max_delay: Duration::ZERO,
        queue_rows: 4096,
        simulator_requests: 64,
        newest_wins: false,
    };
    let simulators: Vec<Arc<str>> = (0..64).map(|i| format!("simulator-{i}").into()).collect();
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(64));
    let plain = |_: usize, _: Duration| (None, None);
    let by_deadline = |_: usize, now: Duration| (Some(now + Duration::from_secs(10)), None);
    let by_turns = |i: usize, now: Duration| {
        (Some(now + Duration::from_secs(10)), Some(simulators[i].clone()))
    };
    type Asks<'a> = &'a dyn Fn(usize, Duration) -> (Option<Duration>, Option<Arc<str>>);
    let kinds: [(&str, Asks); 3] =
        [("plain", &plain), ("with deadlines", &by_deadline), ("of simulators", &by_turns)];
    for (name, ask) in kinds {
        group.bench_function(format!("push 64, take 1, {name}"), |bencher| {
            let (mut queue, mut now) = (Batcher::new(limits), Duration::ZERO);
            bencher.iter(|| {
                now += Duration::from_micros(100);
                for i in 0..64 {
                    let (deadline, simulator) = ask(i, now);
                    let request = batch::Request { rows: 1, priority: 5, deadline, simulator };
                    queue.push(i, request, now).expect("there is room");
                }
                let batch = queue.take(now).expect("one is due");
                queue.computed(batch.rows, Duration::from_micros(50), &batch.simulators);
                batch
            });
        });
    }
    group.finish();
}
