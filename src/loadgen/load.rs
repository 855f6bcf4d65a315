//! Many lines, on some threads.

use std::{
    cell::RefCell,
    ops::Range,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use futures_util::future::try_join_all;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::LocalSet,
    time::{MissedTickBehavior, interval_at, sleep_until, timeout},
};

use super::{
    Arrivals, Cell, Question, Recorder,
    arrivals::Schedule,
    line::{Line, Pace},
    pacer,
};
use crate::{failure::Failure, nats, settings};

/// Between connecting and asking, so that all threads begin together.
const RUN_UP: Duration = Duration::from_millis(10);
/// How often [`Moment::Within`] comes.
const TICK: Duration = Duration::from_millis(100);
/// More than lines wait for their last answers.
const REST: Duration = Duration::from_secs(15);
/// One thread of load keeps several processors busy with brokers and workers.
const PROCESSORS_A_THREAD: usize = 4;

/// Load that is put on whoever answers a question.
#[derive(Clone)]
pub struct Load {
    pub nats: settings::Nats,
    pub question: Question,
    pub cell: Cell,
    pub arrivals: Arrivals,
    /// Not measured, before the window.
    pub warm_up: Duration,
    pub window: Duration,
    pub seed: u64,
}

/// How far the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The window begins.
    Begin,
    /// Now and then.
    Within,
    /// The window ends.
    End,
}

impl Load {
    /// All of it, from connecting to the last answer. `look` hears where the window is.
    ///
    /// # Errors
    /// There is no broker, or it goes away for good.
    pub async fn run(&self, look: &mut dyn FnMut(Moment)) -> Result<Recorder, Failure> {
        // Threads end when this is dropped, whoever drops it.
        let (_alive, alive) = watch::channel(());
        let threads = self.connect(&alive).await?;
        let began = Instant::now() + RUN_UP;
        let limit = RUN_UP + self.measured().end + REST;
        let running = timeout(limit, try_join_all(threads.into_iter().map(|t| t.run(began))));
        // Without a broker, what is sent waits for ever once the library's line is full.
        let stuck = |_| Failure::Unreachable("the broker takes no requests any more".into());
        let results = async { running.await.map_err(stuck)? };
        let watched = async {
            self.watch(began, look).await;
            Ok(())
        };
        let (results, ()) = tokio::try_join!(results, watched)?;
        let mut all = Recorder::new(self.measured());
        results.iter().for_each(|recorder| all.join(recorder));
        Ok(all)
    }

    /// Starts the threads, and waits until each is connected, or has failed.
    async fn connect(&self, alive: &watch::Receiver<()>) -> Result<Vec<Thread>, Failure> {
        // Each thread lets go of it then.
        let (connecting, mut connected) = mpsc::channel::<()>(1);
        let shares = shares(self.cell.connections, threads()).into_iter().enumerate();
        let threads = shares.map(|(number, connections)| {
            let share = Share { connections, load: self.clone(), number };
            Thread::start(share, connecting.clone(), alive.clone())
        });
        let threads = threads.collect::<Result<_, _>>()?;
        drop(connecting);
        let _ = connected.recv().await;
        Ok(threads)
    }

    fn measured(&self) -> Range<Duration> {
        self.warm_up..self.warm_up + self.window
    }

    async fn watch(&self, began: Instant, look: &mut dyn FnMut(Moment)) {
        let Range { start, end } = self.measured();
        let (start, end) = (began + start, began + end);
        sleep_until(start.into()).await;
        look(Moment::Begin);
        let mut ticks = interval_at((start + TICK).into(), TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let within = async {
            loop {
                ticks.tick().await;
                look(Moment::Within);
            }
        };
        tokio::select! {
            () = within => {}
            () = sleep_until(end.into()) => {}
        }
        look(Moment::End);
    }
}

/// One that has begun to connect.
struct Thread {
    go: oneshot::Sender<Instant>,
    result: oneshot::Receiver<Result<Recorder, Failure>>,
}

impl Thread {
    fn start(
        share: Share,
        connecting: mpsc::Sender<()>,
        alive: watch::Receiver<()>,
    ) -> Result<Self, Failure> {
        let (go, began) = oneshot::channel();
        let (done, result) = oneshot::channel();
        let thread = thread::Builder::new().name(format!("load {}", share.number));
        let spawned = thread.spawn(move || {
            // Nobody waits for it any more once the load is stopped.
            let _ = done.send(share.run(connecting, began, alive));
        });
        spawned.map_err(|error| Failure::Defect(format!("no thread for load: {error}")))?;
        Ok(Self { go, result })
    }

    /// Lets it ask from then on, until all is answered.
    async fn run(self, began: Instant) -> Result<Recorder, Failure> {
        // One that has failed does not listen; its result tells why.
        let _ = self.go.send(began);
        let died = |_| Failure::Defect("a thread of the load generator died".into());
        self.result.await.map_err(died)?
    }
}

/// What one thread does.
struct Share {
    connections: usize,
    load: Load,
    number: usize,
}

impl Share {
    fn run(
        self,
        connecting: mpsc::Sender<()>,
        began: oneshot::Receiver<Instant>,
        mut alive: watch::Receiver<()>,
    ) -> Result<Recorder, Failure> {
        // One thread, one runtime: connections that share a thread write together.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Defect(error.to_string()))?;
        let all = async {
            tokio::select! {
                result = self.ask(connecting, began) => result,
                _ = alive.changed() => Err(Failure::Defect("the load was stopped".into())),
            }
        };
        let result = LocalSet::new().block_on(&runtime, all);
        // A name server that hangs must not keep us.
        runtime.shutdown_background();
        result
    }

    async fn ask(
        &self,
        connecting: mpsc::Sender<()>,
        began: oneshot::Receiver<Instant>,
    ) -> Result<Recorder, Failure> {
        let recorder = Rc::new(RefCell::new(Recorder::new(self.load.measured())));
        let (paces, due): (Vec<_>, Vec<_>) = (0..self.connections).map(|_| self.pace()).unzip();
        let mut lines = Vec::new();
        for pace in paces {
            lines.push((self.line(&pace, recorder.clone()).await?, pace));
        }
        drop(connecting);
        let stopped = |_| Failure::Defect("the load was stopped".into());
        let began = began.await.map_err(stopped)?;
        tokio::time::sleep_until(began.into()).await;
        if let Some(schedule) = self.schedule() {
            let due = due.into_iter().flatten().collect();
            pacer::start(schedule, began, due)
                .map_err(|error| Failure::Defect(format!("no thread for the pacer: {error}")))?;
        }
        let lost = |error| Failure::Unreachable(format!("the broker is gone: {error}"));
        let running = lines.into_iter().map(|(line, pace)| {
            let task = tokio::task::spawn_local(line.run(pace, began));
            async { task.await.unwrap_or_else(|error| Err(error.to_string())) }
        });
        try_join_all(running).await.map_err(lost)?;
        Ok(recorder.borrow().clone())
    }

    async fn line(&self, pace: &Pace, recorder: Rc<RefCell<Recorder>>) -> Result<Line, Failure> {
        let client = nats::connect_once(&self.load.nats, "bench").await?.client;
        let line = Line::new(client.clone(), self.load.question.clone(), pace, recorder).await;
        // Behind it the broker knows where the answers go.
        match line {
            Ok(line) => nats::round_trip(&client).await.map(|()| line),
            Err(error) => Err(error),
        }
        .map_err(Failure::Unreachable)
    }

    fn pace(&self) -> (Pace, Option<mpsc::UnboundedSender<Duration>>) {
        match self.load.arrivals {
            Arrivals::Closed => {
                let end = self.load.measured().end;
                (Pace::Closed { in_flight: self.load.cell.in_flight, end }, None)
            }
            _ => {
                let (sender, due) = mpsc::unbounded_channel();
                (Pace::Open { due }, Some(sender))
            }
        }
    }

    /// This thread's part of all arrivals.
    fn schedule(&self) -> Option<Schedule> {
        let Load { cell, arrivals, seed, .. } = self.load;
        let part = self.connections as f64 / cell.connections as f64;
        let cell = Cell { connections: self.connections, ..cell };
        let seed = seed.wrapping_add(self.number as u64);
        Schedule::new(arrivals.part(part), cell, self.load.measured().end, seed)
    }
}

fn threads() -> usize {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    (processors / PROCESSORS_A_THREAD).max(1)
}

/// As even as can be, and none without any.
fn shares(all: usize, parts: usize) -> Vec<usize> {
    let parts = parts.min(all).max(1);
    (0..parts).map(|part| all / parts + usize::from(part < all % parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_no_thread_has_none() {
        assert_eq!(shares(64, 3), [22, 21, 21]);
        assert_eq!(shares(1, 8), [1]);
    }
}
