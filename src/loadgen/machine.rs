//! Where figures come from: without it they can't be compared.

use sysinfo::System;

use super::results::Machine;
use crate::telemetry::GIT;

/// This machine and this program, with a broker of that version.
pub fn describe(nats_server: Option<String>) -> Machine {
    let mut system = System::new();
    system.refresh_cpu_all();
    system.refresh_memory();
    let cpu = system.cpus().first().map_or("", |cpu| cpu.brand()).trim();
    let unknown = || "unknown".to_string();
    Machine {
        cpu: if cpu.is_empty() { unknown() } else { cpu.into() },
        processors: system.cpus().len(),
        cores: System::physical_core_count(),
        memory_bytes: system.total_memory(),
        os: System::long_os_version().unwrap_or_else(unknown),
        kernel: System::kernel_version().unwrap_or_else(unknown),
        arch: std::env::consts::ARCH.into(),
        program: env!("CARGO_PKG_VERSION").into(),
        git: GIT.into(),
        release: !cfg!(debug_assertions),
        nats_server,
    }
}
