//! What the process and its machine use.

use std::time::{Duration, Instant};

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// A look costs a few system calls, and CPU shares need some time between two.
const FRESH: Duration = Duration::from_secs(1);

pub struct Host {
    system: System,
    pid: Pid,
    last: Option<(Instant, HostFigures)>,
}

/// Bytes, unless the name says otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFigures {
    /// User and system time of the process.
    pub cpu: Duration,
    pub memory: u64,
    pub virtual_memory: u64,
    pub open_fds: Option<usize>,
    pub max_fds: Option<usize>,
    /// Start of the process, seconds of Unix time.
    pub start: u64,
    /// Share of all CPUs, 0 to 1.
    pub host_cpu: f64,
    pub host_cpus: usize,
    /// Of one minute.
    pub host_load: f64,
    pub host_memory: u64,
    pub host_memory_available: u64,
    /// To the broker and back.
    pub round_trip: Option<Duration>,
}

impl Host {
    pub fn new() -> Self {
        Self { system: System::new(), pid: Pid::from_u32(std::process::id()), last: None }
    }

    /// The figures of now, or of a second ago at the most.
    pub fn look(&mut self) -> HostFigures {
        match &self.last {
            Some((at, figures)) if at.elapsed() < FRESH => figures.clone(),
            _ => {
                let figures = self.refresh();
                self.last = Some((Instant::now(), figures.clone()));
                figures
            }
        }
    }

    fn refresh(&mut self) -> HostFigures {
        self.system.refresh_cpu_usage();
        self.system.refresh_memory();
        let what = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        let own = ProcessesToUpdate::Some(&[self.pid]);
        self.system.refresh_processes_specifics(own, false, what);
        let host = HostFigures {
            host_cpu: f64::from(self.system.global_cpu_usage()) / 100.0,
            host_cpus: self.system.cpus().len(),
            host_load: System::load_average().one,
            host_memory: self.system.total_memory(),
            host_memory_available: self.system.available_memory(),
            ..Default::default()
        };
        let Some(process) = self.system.process(self.pid) else { return host };
        HostFigures {
            cpu: Duration::from_millis(process.accumulated_cpu_time()),
            memory: process.memory(),
            virtual_memory: process.virtual_memory(),
            open_fds: process.open_files(),
            max_fds: process.open_files_limit(),
            start: process.start_time(),
            ..host
        }
    }
}

/// The machine's name.
pub fn name() -> String {
    System::host_name().unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_and_its_machine_have_plausible_figures() {
        let figures = Host::new().look();
        assert!(figures.memory > 1 << 20 && figures.memory < figures.host_memory, "{figures:?}");
        assert!(figures.start > 1_700_000_000 && figures.host_cpus > 0, "{figures:?}");
        assert!(figures.host_memory_available <= figures.host_memory, "{figures:?}");
    }
}
