//! Measures H8: four durable replicas that agree, each a process of its own, on a disk and in memory.

use crate::contest::Side;
use crate::control::Part;
use crate::daemon::free_port;
use crate::place::Placement;
use crate::replica::{REPLICAS, Standing, Work};
use crate::session::{Sample, Session};
use crate::wire::Wire;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OURS: Side = Side { name: "PBFT", device: "bumo", wire: Wire::Bare, floor: None };
#[cfg(feature = "commonware")]
const THEIRS: Side = Side { name: "simplex", device: "simplex", wire: Wire::Bare, floor: None };

/// Where memory is a file system.
const MEMORY: &str = "/dev/shm";
/// Replicas agree on their first things within this, also those that are traced.
const SETTLE: Duration = Duration::from_secs(60);
/// Bytes of a transaction.
const TRANSACTION_BYTES: usize = 512;
/// Payments flow when so many stand in ledgers.
const FLOWING: u64 = 1_000;
/// What makes a file durable, as strace names it. A write can ask for it too.
const SYNCS: &str = "fsync,fdatasync,msync,sync_file_range,pwritev2";

/// Where the replicas keep their files.
struct Disk {
    name: &'static str,
    folder: PathBuf,
    /// What ours must be of simplex' rate there.
    floor: f64,
}

/// What one side's rounds showed beside its rates, a value a round.
#[derive(Default)]
struct Shown {
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    transactions: Vec<f64>,
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    if cfg!(not(feature = "commonware")) {
        session.remark("H8 without simplex: build with --features commonware for it.".to_owned());
    }
    session.remark(
        "H8: a commit of simplex' is of a hash that every validator makes for itself; ours is of a value that is sent, \
         executed and stored. Ours pipelines nothing: with many it has ledgers full of transactions beside simplex' \
         stable leader that runs ahead. Times are from a proposal to its commit, at the proposer."
            .to_owned(),
    );
    let disk = Disk { name: "disk", folder: session.options.out.clone(), floor: 1.5 };
    let memory = Disk { name: "memory", folder: MEMORY.into(), floor: 1.0 };
    for disk in [disk, memory] {
        let kind = file_system(&disk.folder);
        session.remark(format!("H8: {} is {kind}.", disk.name));
        for work in [Work::Serial, Work::Many] {
            let name = format!("h8 {} on={}", work.name(), disk.name);
            if session.options.wants(&name) {
                contest(session, &name, &disk, work)?;
                if work == Work::Serial {
                    trace(session, &name, &disk)?;
                }
            }
        }
    }
    Ok(())
}

fn sides(disk: &Disk, work: Work) -> Vec<Side> {
    // Of what is many on each side the claim is not made.
    let floor = (work == Work::Serial).then_some(disk.floor);
    let sides = [
        OURS,
        #[cfg(feature = "commonware")]
        Side { floor, ..THEIRS },
    ];
    let _ = floor;
    sides.to_vec()
}

// Equal sides against each other, then all against ours.
fn contest(session: &mut Session, name: &str, disk: &Disk, work: Work) -> Result<()> {
    let sides = sides(disk, work);
    // Two on each CPU: what is measured has no load beside it that could be placed.
    let placement = session.options.placement.unwrap_or(Placement::Apart);
    let mut shown: BTreeMap<&str, Shown> = BTreeMap::new();
    let mut take = |session: &mut Session, side: &Side| {
        let (sample, times, transactions) = measure(session, side, disk, work, placement)?;
        let one = shown.entry(side.name).or_default();
        one.p50_ms.push(at(&times, 50));
        one.p99_ms.push(at(&times, 99));
        one.transactions.push(transactions);
        Ok(sample)
    };
    // One A/A run tells how quiet the machine is; what costs is the same elsewhere.
    let mut is_quiet = true;
    if work == Work::Serial {
        let again = Side { name: "ours again", ..OURS };
        is_quiet = session.series(name, placement, &[OURS, again], true, &mut take)?;
    }
    let before = session.duels.len();
    session.series(name, placement, &sides, is_quiet, &mut take)?;
    for duel in &mut session.duels[before..] {
        (duel.is_of_rate, duel.is_load_bound) = (true, false);
    }
    for side in sides {
        let one = shown.remove(side.name).unwrap_or_default();
        session.figure(name, &format!("{}: commit, p50", side.name), "ms", one.p50_ms, None);
        session.figure(name, &format!("{}: commit, p99", side.name), "ms", one.p99_ms, None);
        if one.transactions.iter().any(|rate| *rate > 0.0) {
            let what = format!("{}: transactions of {TRANSACTION_BYTES} B", side.name);
            session.figure(name, &what, "/s", one.transactions, None);
        }
    }
    Ok(())
}

// The sample, the sorted times of commits in milliseconds, and transactions a second.
fn measure(
    session: &Session,
    side: &Side,
    disk: &Disk,
    work: Work,
    placement: Placement,
) -> Result<(Sample, Vec<f64>, f64)> {
    let mut replicas = Replicas::start(side, disk, work, placement, false)?;
    thread::sleep(session.options.warm_up());
    let before = replicas.look()?;
    thread::sleep(session.options.seconds());
    let after = replicas.look()?;
    let seconds = span(&before, &after);
    let commits = gained(&before, &after, |one| one.commits);
    let transactions = gained(&before, &after, |one| one.transactions) / seconds;
    let cpu_ns = gained(&before, &after, |one| one.cpu_ns) * REPLICAS as f64;
    let mut times: Vec<f64> = after.iter().flat_map(|one| &one.times_ns).map(|ns| *ns as f64 / 1e6).collect();
    times.sort_by(f64::total_cmp);
    let sample = Sample {
        rate: commits / seconds,
        bytes_rate: transactions * TRANSACTION_BYTES as f64,
        cpu_ns: cpu_ns / commits.max(1.0),
        corrupt: contradictions(&after)?,
        ..Sample::default()
    };
    Ok((sample, times, transactions))
}

// Counts what makes durable, with the same replicas below strace.
fn trace(session: &mut Session, name: &str, disk: &Disk) -> Result<()> {
    if Command::new("strace").arg("-V").output().is_err() {
        session.remark(format!("{name}: no strace, so that nothing is counted with it."));
        return Ok(());
    }
    for side in sides(disk, Work::Serial) {
        let placement = session.options.placement.unwrap_or(Placement::Apart);
        let mut replicas = Replicas::start(&side, disk, Work::Serial, placement, true)?;
        thread::sleep(session.options.warm_up());
        let (before, synced_before) = (replicas.look()?, replicas.syncs()?);
        thread::sleep(session.options.seconds());
        let (after, synced) = (replicas.look()?, replicas.syncs()?);
        let commits = gained(&before, &after, |one| one.commits).max(1.0);
        let votes = gained(&before, &after, |one| one.votes) * REPLICAS as f64 / commits;
        let syncs = (synced - synced_before) as f64 / commits;
        session.figure(name, &format!("{}: votes a commit, of all", side.name), "", vec![votes], None);
        session.figure(name, &format!("{}: syncs of files a commit, of all", side.name), "", vec![syncs], None);
        let traced = commits / span(&before, &after);
        session.figure(name, &format!("{}: commits below strace", side.name), "/s", vec![traced], None);
        contradictions(&after)?;
    }
    Ok(())
}

/// Four replicas that run, and their files.
struct Replicas {
    parts: Vec<Part>,
    traces: Vec<PathBuf>,
    // Gone after those who write into it.
    _folder: TempDir,
}

impl Replicas {
    fn start(side: &Side, disk: &Disk, work: Work, placement: Placement, is_traced: bool) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("replicas").tempdir_in(&disk.folder)?;
        let addresses = (0..REPLICAS).map(|_| Ok(free_port()?.to_string())).collect::<Result<Vec<_>>>()?.join(",");
        let (mut parts, mut traces) = (Vec::new(), Vec::new());
        for place in 0..REPLICAS {
            let cpu = if place % 2 == 0 { placement.device() } else { placement.load() };
            let (place, cpu) = (place.to_string(), cpu.to_string());
            let at = folder.path().to_str().context("a folder with a strange name")?;
            let first = ["replica", side.device, "--work", work.name(), "--place", &place, "--cpu", &cpu];
            let second = ["--addresses", &addresses, "--folder", at];
            let arguments: Vec<_> = first.into_iter().chain(second).map(str::to_owned).collect();
            if is_traced {
                // In memory, so that what is written down does not slow what is counted.
                traces.push(Path::new(MEMORY).join(format!("{}.{place}", trace_name(folder.path()))));
                let mut command = Command::new("strace");
                command.args(["-f", "--seccomp-bpf", "-qq", "-e", &format!("trace={SYNCS}"), "-o"]);
                command.arg(&traces[traces.len() - 1]).arg(std::env::current_exe()?);
                parts.push(Part::start_by(command, &arguments)?);
            } else {
                parts.push(Part::start(&arguments)?);
            }
        }
        let mut replicas = Self { parts, traces, _folder: folder };
        let until = Instant::now() + SETTLE;
        // Accounts are made first, and payments come when they are there.
        let flowing = if work == Work::Many && side.device == OURS.device { FLOWING } else { 0 };
        let is_begun = |all: &[Standing]| all.iter().all(|one| one.commits > 0 && one.transactions >= flowing);
        while !is_begun(&replicas.look()?) {
            ensure!(Instant::now() < until, "{} does not agree on anything", side.name);
            thread::sleep(Duration::from_millis(20));
        }
        Ok(replicas)
    }

    fn look(&mut self) -> Result<Vec<Standing>> {
        self.parts.iter_mut().map(Part::read).collect()
    }

    // What strace wrote of so far: one line for each that began, durable writes among them only.
    fn syncs(&self) -> Result<usize> {
        let mut count = 0;
        for trace in &self.traces {
            let text = fs::read_to_string(trace)?;
            let is_sync = |line: &&str| !line.contains("resumed>") && line.contains('(');
            let is_durable = |line: &&str| !line.contains("pwritev2(") || line.contains("SYNC");
            count += text.lines().filter(is_sync).filter(is_durable).count();
        }
        Ok(count)
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.parts.clear();
        for trace in &self.traces {
            // It is in the way of nobody.
            drop(fs::remove_file(trace));
        }
    }
}

fn trace_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

// How much more there is, in the mean of the replicas.
fn gained(before: &[Standing], after: &[Standing], of: impl Fn(&Standing) -> u64) -> f64 {
    let gained = before.iter().zip(after).map(|(before, after)| of(after).saturating_sub(of(before)));
    gained.sum::<u64>() as f64 / REPLICAS as f64
}

fn span(before: &[Standing], after: &[Standing]) -> f64 {
    gained(before, after, |one| one.at_ns) / 1e9
}

// How often two say another thing of the same number. That nothing could be compared is an error.
fn contradictions(all: &[Standing]) -> Result<u64> {
    let (mut known, mut compared, mut contradictions) = (BTreeMap::new(), 0, 0);
    for (number, hash) in all.iter().flat_map(|one| &one.marks) {
        match known.insert(*number, *hash) {
            None => {}
            Some(other) => {
                compared += 1;
                contradictions += u64::from(other != *hash);
            }
        }
    }
    ensure!(compared > 0, "the replicas have nothing in common");
    Ok(contradictions)
}

fn at(sorted: &[f64], percent: usize) -> f64 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn file_system(folder: &Path) -> String {
    let output = Command::new("df").arg("--output=fstype").arg(folder).output().map(|output| output.stdout);
    let text = String::from_utf8_lossy(&output.unwrap_or_default()).into_owned();
    text.lines().nth(1).unwrap_or("unknown").trim().to_owned()
}
