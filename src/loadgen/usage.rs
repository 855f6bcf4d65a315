//! What processes use.

use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// Looks at some processes again and again.
pub struct Processes {
    system: System,
    pids: Vec<Option<Pid>>,
    began: Instant,
    first: Vec<Option<Duration>>,
    /// The most resident memory of each so far, bytes.
    peak: Vec<Option<u64>>,
}

impl Processes {
    /// Those with these ids; `None` for one that is elsewhere.
    pub fn new(ids: &[Option<u32>]) -> Self {
        let pids: Vec<_> = ids.iter().map(|id| id.map(Pid::from_u32)).collect();
        let (system, began, none) = (System::new(), Instant::now(), vec![None; pids.len()]);
        Self { system, peak: vec![None; pids.len()], pids, began, first: none }
    }

    /// From now on time counts.
    pub fn begin(&mut self) {
        self.system.refresh_cpu_usage();
        self.began = Instant::now();
        self.first = self.look();
    }

    /// How many processors were busy with something else since the beginning, when these have used
    /// so much. `None` where one is elsewhere: it may be here all the same.
    pub fn foreign_cores(&mut self, used: &[Option<Duration>]) -> Option<f64> {
        let own: f64 =
            used.iter().copied().map(|used| Some(used?.as_secs_f64())).sum::<Option<_>>()?;
        self.system.refresh_cpu_usage();
        let busy = f64::from(self.system.global_cpu_usage()) / 100.0;
        let busy = busy * self.system.cpus().len() as f64;
        Some((busy - own / self.began.elapsed().as_secs_f64()).max(0.0))
    }

    /// How much processor time each has had since the beginning. One that was never there has none.
    pub fn used(&mut self) -> Vec<Option<Duration>> {
        let now = self.look();
        let pairs = now.into_iter().zip(&self.first);
        pairs.map(|(now, first)| Some(now?.saturating_sub((*first)?))).collect()
    }

    /// Looks at the memory of each, and returns its processor time so far.
    pub fn look(&mut self) -> Vec<Option<Duration>> {
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        let known: Vec<_> = self.pids.iter().flatten().copied().collect();
        self.system.refresh_processes_specifics(ProcessesToUpdate::Some(&known), false, what);
        let looks = self.pids.iter().zip(&mut self.peak).map(|(pid, peak)| {
            let process = self.system.process((*pid)?)?;
            *peak = (*peak).max(Some(process.memory()));
            Some(Duration::from_millis(process.accumulated_cpu_time()))
        });
        looks.collect()
    }

    pub fn peak(&self) -> &[Option<u64>] {
        &self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_time_and_memory_and_one_elsewhere_is_not_known() {
        let mut processes = Processes::new(&[Some(std::process::id()), None]);
        processes.begin();
        let began = Instant::now();
        let mut sum = 0_u64;
        // The system counts in hundredths of a second.
        while processes.used()[0].is_some_and(|used| used < Duration::from_millis(20)) {
            sum = (0..100_000_u64).fold(sum, |sum, n| std::hint::black_box(sum ^ n));
            assert!(began.elapsed() < Duration::from_secs(60), "{sum}");
        }
        assert_eq!(processes.used()[1], None);
        assert!(processes.peak()[0].is_some_and(|peak| peak > 1 << 20));
        assert_eq!(processes.peak()[1], None);
    }
}
