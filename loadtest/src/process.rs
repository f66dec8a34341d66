//! What other processes took: processor time and memory, as `/proc` tells.

use std::fs;
use std::io;
use std::time::Duration;

/// `/proc` counts processor time in hundredths of a second, on every Linux that matters here.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of some processes.
pub(crate) fn cpu(pids: &[u32]) -> io::Result<Duration> {
    let mut ticks = 0;
    for pid in pids {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in brackets, may hold anything; after it come state (3), …, utime (14) and stime (15).
        let numbers = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        ticks += numbers.skip(11).take(2).filter_map(|number| number.parse::<u32>().ok()).sum::<u32>();
    }
    Ok(TICK * ticks)
}

/// Resident bytes of some processes.
pub(crate) fn resident(pids: &[u32]) -> io::Result<u64> {
    let mut bytes = 0;
    for pid in pids {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        bytes += line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024;
    }
    Ok(bytes)
}

/// Time of the measured processes and of ourselves since a moment.
#[derive(Debug)]
pub(crate) struct CpuWatch {
    theirs: Vec<(u32, Duration)>,
    ours: Duration,
}

impl CpuWatch {
    pub(crate) fn start(pids: &[u32]) -> io::Result<Self> {
        let theirs = pids.iter().map(|pid| Ok((*pid, cpu(&[*pid])?))).collect::<io::Result<_>>()?;
        Ok(Self { theirs, ours: cpu(&[std::process::id()])? })
    }

    pub(crate) fn theirs(&self) -> io::Result<Duration> {
        self.theirs.iter().map(|(pid, before)| Ok(cpu(&[*pid])? - *before)).sum()
    }

    /// The same of those processes that are still there: some that a database starts end by themselves.
    pub(crate) fn theirs_left(&self) -> Duration {
        self.theirs.iter().filter_map(|(pid, before)| Some(cpu(&[*pid]).ok()?.saturating_sub(*before))).sum()
    }

    pub(crate) fn ours(&self) -> io::Result<Duration> {
        Ok(cpu(&[std::process::id()])? - self.ours)
    }
}
