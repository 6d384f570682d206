//! Places a process on a CPU, and reads what a process used.

use anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};
use std::fs;

/// Where device and load run; part of every result, since a wake-up across CPUs costs ten times a switch on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
pub(crate) enum Placement {
    /// The device on CPU 0, the load on CPU 1.
    Apart,
    /// Both on CPU 0.
    Together,
}

impl Placement {
    /// The device's CPU.
    pub(crate) fn device(self) -> usize {
        0
    }

    /// The load's CPU.
    pub(crate) fn load(self) -> usize {
        match self {
            Self::Apart => 1,
            Self::Together => 0,
        }
    }

    /// As reports show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apart => "apart",
            Self::Together => "together",
        }
    }
}

/// Keeps this process, and the threads that it will start, on one CPU.
pub(crate) fn pin(cpu: Option<usize>) -> Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("cannot stay on CPU {cpu}"))
}

/// User and system time of this process so far, in nanoseconds.
pub(crate) fn own_cpu_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime))
}

/// The clock that all processes share, in nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    nanoseconds(rustix::time::clock_gettime(rustix::time::ClockId::Monotonic))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    // Neither clock runs below zero.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// User and system time of another process so far, in nanoseconds; the kernel counts in ticks of 10 ms.
pub(crate) fn cpu_ns_of(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a stat line without a name")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("a short stat line")?.parse()?) };
    let ticks = next()? + next()?;
    Ok(ticks * (1_000_000_000 / rustix::param::clock_ticks_per_second()))
}

/// User-space memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// Resident pages, those of files too.
    pub(crate) resident_kib: u64,
    /// Resident pages that belong to no file.
    pub(crate) anonymous_kib: u64,
    /// The most that was ever resident.
    pub(crate) peak_kib: u64,
}

/// What a process holds now.
pub(crate) fn memory_of(process: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let field = |name: &str| -> Result<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
        Ok(line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse()?)
    };
    Ok(Memory { resident_kib: field("VmRSS:")?, anonymous_kib: field("RssAnon:")?, peak_kib: field("VmHWM:")? })
}

/// What the machine did beside the measurement.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Weather {
    /// Time that the hypervisor took from all CPUs since boot, in ticks.
    pub(crate) steal_ticks: u64,
    /// Processes that wanted to run, averaged over a minute.
    pub(crate) load: f64,
}

/// The machine's weather now.
pub(crate) fn weather() -> Result<Weather> {
    let stat = fs::read_to_string("/proc/stat")?;
    let first = stat.lines().next().context("an empty /proc/stat")?;
    let steal_ticks = first.split_whitespace().nth(8).context("no steal column")?.parse()?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().context("an empty /proc/loadavg")?.parse()?;
    Ok(Weather { steal_ticks, load })
}

/// As many open files as the system allows: thousands of connections need them.
pub(crate) fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // A refusal shows later, as a connection that cannot be opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
