//! Reads what a process used.

use anyhow::{Context, Result};
use std::fs;

/// The kernel shows times in hundredths of a second, on every machine that kaspad runs on.
const TICK_MS: u64 = 10;

/// User and system time so far of all threads, in milliseconds; those that have ended count too.
pub(super) fn cpu_ms(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let after_name = stat.rsplit_once(')').context("a stat line without a name")?.1;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("a short stat line")?.parse()?) };
    let ticks = next()? + next()?;
    Ok((ticks * TICK_MS) as f64)
}

/// What is resident now, in KiB.
pub(super) fn resident_kib(process: u32) -> Result<f64> {
    memory(process, "VmRSS:")
}

/// The most that ever was, in KiB.
pub(super) fn peak_kib(process: u32) -> Result<f64> {
    memory(process, "VmHWM:")
}

fn memory(process: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    Ok(line.trim_matches(|letter: char| !letter.is_ascii_digit()).parse()?)
}

#[cfg(test)]
mod tests {
    use super::{cpu_ms, peak_kib, resident_kib};

    #[test]
    fn this_process_uses_something() {
        let own = std::process::id();
        let resident = resident_kib(own).unwrap();
        assert!(resident > 100.0 && peak_kib(own).unwrap() >= resident);
        assert!(cpu_ms(own).unwrap() < 3_600_000.0);
    }
}
