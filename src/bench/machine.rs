//! What the kernel knows of a process. Linux only: elsewhere these figures are not to be had.

use std::fs;
use std::time::Duration;

use anyhow::Context;

/// Memory of a process in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Its own, anonymous.
    pub anonymous: f64,
    /// With the files that are mapped.
    pub resident: f64,
}

pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = read(pid, "status")?;
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    Ok(Memory { anonymous: mib("RssAnon:"), resident: mib("VmRSS:") })
}

/// Processor time of all threads that live, to the nanosecond where the kernel keeps it so.
pub fn processor_time(pid: u32) -> anyhow::Result<Duration> {
    let mut all = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| gone(pid))? {
        let stat = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        let ran = stat.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or_default();
        all += Duration::from_nanos(ran);
    }
    Ok(all)
}

/// Open file descriptors.
pub fn descriptors(pid: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| gone(pid))?.count())
}

fn read(pid: u32, what: &str) -> anyhow::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/{what}")).with_context(|| gone(pid))
}

fn gone(pid: u32) -> String {
    format!("process {pid} cannot be looked at: it has ended, or this is not Linux")
}
