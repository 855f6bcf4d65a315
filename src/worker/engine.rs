//! The policy and its thread, which takes a batch when it is free, computes it and hands it on.
//!
//! Handing a batch to another thread and back takes longer than a small policy needs for it. So the
//! serving thread computes a brief one itself if the device thread has nothing to do.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{mpsc, oneshot};

use super::{
    canary::Canary,
    pending::Pending,
    queue::{Next, Queue},
};
use crate::{
    batch::{self, Batch, Cost},
    failure::Failure,
    policy::{Input, Mode, Output, Policy, PolicySpec, message},
    telemetry::{
        Vitals,
        tally::{Computed, DeviceError},
        traces::BatchTrace,
    },
    wire::{Code, Observations, Wants},
};

/// A batch is brief if it takes no longer: about the price of waking a thread that sleeps, twice.
const BRIEF: Duration = Duration::from_micros(50);

pub struct Engine {
    device: Mutex<Device>,
    spare: Mutex<Vec<Output>>,
    /// Whether other threads than the device's own may use the policy.
    inline: bool,
    queue: Arc<Queue>,
    vitals: Arc<Vitals>,
}

struct Device {
    policy: Box<dyn Policy>,
    canary: Option<Canary>,
    /// Of the batch that is being computed; its vectors are used again.
    input: Input,
}

/// Outputs of answered batches, of which the next ones use the memory: one is being computed, one
/// waits, one is being answered.
const SPARE: usize = 3;

/// A batch that went through the policy.
pub struct Done {
    pub batch: Batch<Arc<Pending>>,
    pub output: Result<Output, String>,
    /// On the worker's clock, as all moments here.
    pub started: Duration,
    /// Its rows were put together.
    pub assembled: Duration,
    pub finished: Duration,
    pub panicked: bool,
}

impl Done {
    /// What there is to count of it.
    pub fn computed(&self) -> Computed {
        Computed {
            rows: self.batch.rows,
            closed: self.batch.closed,
            assemble: self.assembled.saturating_sub(self.started),
            forward: self.finished.saturating_sub(self.assembled),
            result: match (self.panicked, &self.output) {
                (true, _) => Err(DeviceError::Panicked),
                (false, Err(_)) => Err(DeviceError::Reported),
                (false, Ok(_)) => Ok(()),
            },
        }
    }

    /// What there is to trace of it, so far.
    pub fn trace(&self) -> BatchTrace {
        BatchTrace {
            epoch: SystemTime::UNIX_EPOCH,
            started: self.started,
            assembled: self.assembled,
            forwarded: self.finished,
            finished: self.finished,
            rows: self.batch.rows,
            messages: self.batch.parts.len(),
            error: self.output.is_err().then_some(Code::Internal.name()),
            requests: Vec::new(),
        }
    }
}

impl Engine {
    /// Starts the device thread, and waits until every batch size has run once. The thread ends when
    /// the queue is closed, or after the policy has panicked; the channel closes behind its last
    /// batch. It holds one: if nobody takes that, waiting happens in the queue.
    ///
    /// # Errors
    /// [`Failure::Defect`]: the system gives no thread, or the device fails.
    pub async fn start(
        policy: Box<dyn Policy>,
        canary: Option<Canary>,
        queue: Arc<Queue>,
        vitals: Arc<Vitals>,
    ) -> Result<(Arc<Self>, mpsc::Receiver<Done>), Failure> {
        let begun = Instant::now();
        let defect = |error: String| Failure::Defect(format!("the device can't start: {error}"));
        let (sender, done) = mpsc::channel(1);
        let (warmed, warm) = oneshot::channel();
        let (inline, input) = (policy.runs_inline(), Input::empty(policy.spec()));
        let device = Mutex::new(Device { policy, canary, input });
        let spare = Mutex::new(Vec::with_capacity(SPARE));
        let engine = Arc::new(Self { device, spare, inline, queue, vitals });
        let own = engine.clone();
        let thread = std::thread::Builder::new().name("device".into()).spawn(move || {
            let result = own.warm_up().map_err(|error| message(&error));
            let failed = result.is_err();
            if warmed.send(result).is_ok() && !failed {
                own.compute_all(&sender);
            }
        });
        thread.map_err(|error| defect(error.to_string()))?;
        match warm.await {
            Ok(warmed) => warmed.map_err(defect)?,
            Err(_) => return Err(defect("the policy panicked".into())),
        }
        tracing::debug!(elapsed_ms = begun.elapsed().as_millis() as u64, "device warm");
        Ok((engine, done))
    }

    /// Computes the next batch at once, on the thread that asks, if it is due and brief and the
    /// device thread has nothing to do.
    pub fn compute_brief(&self) -> Option<Done> {
        if !self.inline {
            return None;
        }
        let done = self.compute(self.queue.take_brief(BRIEF)?);
        self.vitals.handed_on();
        Some(done)
    }

    /// What has been answered.
    pub fn take_back(&self, output: Output) {
        let mut spare = lock(&self.spare);
        if spare.len() < SPARE {
            spare.push(output);
        }
    }

    fn warm_up(&self) -> candle_core::Result<()> {
        let batch_rows = self.vitals.about.limits.batch_rows;
        let (slowest, cost) = warm_up(self.device().policy.as_mut(), batch_rows)?;
        self.vitals.tally().warmed_up(slowest);
        self.queue.know(cost);
        Ok(())
    }

    fn compute_all(&self, done: &mpsc::Sender<Done>) {
        let rest = self.device().canary.as_ref().map(|canary| canary.after);
        loop {
            let batch = match self.queue.next(rest) {
                Next::Batch(batch) => batch,
                Next::Rested if self.is_well() => continue,
                // The policy can't be trusted any more.
                Next::Rested | Next::End => return,
            };
            let computed = self.compute(batch);
            let panicked = computed.panicked;
            let sent = done.blocking_send(computed);
            self.vitals.handed_on();
            if panicked || sent.is_err() {
                return;
            }
        }
    }

    fn compute(&self, batch: Batch<Arc<Pending>>) -> Done {
        let (queue, vitals) = (&self.queue, &self.vitals);
        let Device { policy, input, .. } = &mut *self.device();
        vitals.begin();
        let started = queue.now();
        assemble(&batch, policy.spec(), input);
        let assembled = queue.now();
        let mut output = lock(&self.spare).pop().unwrap_or_default();
        let result = catch_unwind(AssertUnwindSafe(|| policy.forward(input, &mut output)));
        let panicked = result.is_err();
        let output = match result {
            Ok(computed) => computed.map(|()| output).map_err(|error| message(&error)),
            // What the policy left behind can't be trusted: it computes no more.
            Err(_) => Err("the policy panicked".into()),
        };
        let finished = queue.now();
        queue.computed(&batch, finished.saturating_sub(started));
        vitals.end();
        Done { batch, output, started, assembled, finished, panicked }
    }

    /// Whether an idle device still gives what it gave at first.
    fn is_well(&self) -> bool {
        let Device { policy, canary, .. } = &mut *self.device();
        let Some(canary) = canary else { return true };
        self.vitals.begin();
        let sung = catch_unwind(AssertUnwindSafe(|| canary.sing(policy.as_mut())));
        self.vitals.rested();
        let sung =
            sung.unwrap_or_else(|_| Err("the device was idle, then: the policy panicked".into()));
        self.vitals.tally().canary(sung.is_ok());
        if let Err(problem) = &sung {
            tracing::error!(problem, "the golden row fails");
            self.vitals.fail(problem.clone());
        }
        sung.is_ok()
    }

    fn device(&self) -> MutexGuard<'_, Device> {
        lock(&self.device)
    }
}

/// Panics of a policy are caught where it is called.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Two forward passes of each batch size that the device may compile or choose kernels for: powers
/// of two, and the largest. How long the slowest took, and what the second ones did.
///
/// # Errors
/// What the device reports.
fn warm_up(policy: &mut dyn Policy, max_rows: usize) -> candle_core::Result<(Duration, Cost)> {
    let (mut slowest, mut cost) = (Duration::ZERO, Cost::default());
    for rows in batch::sizes(max_rows) {
        let input = zeros(policy.spec(), rows);
        let mut took = Duration::ZERO;
        let mut output = Output::default();
        for _ in 0..2 {
            let began = Instant::now();
            policy.forward(&input, &mut output)?;
            took = began.elapsed();
            slowest = slowest.max(took);
        }
        cost.warm(rows, took);
    }
    Ok((slowest, cost))
}

fn zeros(spec: &PolicySpec, rows: usize) -> Input {
    let space = &spec.observation_space;
    let zeros = Observations::F32(vec![0.0; rows * space.size()]);
    let mut observations = Observations::empty(space);
    observations.extend(&zeros, 0..zeros.len());
    Input::new(observations, vec![Mode::Deterministic; rows], spec.wants())
}

fn assemble(batch: &Batch<Arc<Pending>>, spec: &PolicySpec, input: &mut Input) {
    let size = spec.observation_space.size();
    input.observations.truncate(0);
    input.modes.clear();
    input.wants = Wants::default();
    for part in &batch.parts {
        let request = &part.item;
        let elements = part.rows.start * size..part.rows.end * size;
        request.rows.values.append_to(&mut input.observations, elements);
        input.modes.extend(part.rows.clone().map(|row| match request.seed {
            Some(seed) => Mode::Sample { seed, row: row as u64 },
            None => Mode::Deterministic,
        }));
        input.wants = input.wants.union(request.wants);
    }
    input.states = spec
        .state_size()
        .map(|size| gather(batch, |request| request.states.as_deref(), (size, 0.0)));
    // Without a single mask in the batch, there is nothing to rule out.
    let masked = batch.parts.iter().any(|part| part.item.masks.is_some());
    let mask_size = spec.mask_size().filter(|_| masked);
    input.masks =
        mask_size.map(|size| gather(batch, |request| request.masks.as_deref(), (size, 1)));
}

/// `size` values of each row, or the default for requests that brought none.
fn gather<T: Copy>(
    batch: &Batch<Arc<Pending>>,
    values: impl Fn(&Pending) -> Option<&[T]>,
    (size, default): (usize, T),
) -> Vec<T> {
    let mut gathered = Vec::with_capacity(batch.rows * size);
    for part in &batch.parts {
        match values(&part.item) {
            Some(values) => {
                gathered.extend_from_slice(&values[part.rows.start * size..part.rows.end * size]);
            }
            None => gathered.resize(gathered.len() + part.rows.len() * size, default),
        }
    }
    gathered
}
