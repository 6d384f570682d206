//! Measures H4, ours from ours: blocks a second downloaded, checked and durable.

use crate::chains::{Plan, chain_file};
use crate::daemon::{self, Daemon, Start};
use crate::place::{self, Placement, memory_of};
use crate::session::Session;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The chains: many empty blocks, and fewer full of transactions.
const CHAINS: [(u64, u64); 2] = [(100_000, 0), (2_000, 500)];
/// Nodes that serve.
const SOURCES: [usize; 2] = [1, 4];
/// Small blocks a second, at least.
const SMALL_BLOCKS_MIN: f64 = 50_000.0;
/// A chain that is not here by then will not come.
const PATIENCE: Duration = Duration::from_secs(900);
/// Between two looks at the height: a look costs the node about 0.2 ms.
const LOOK: Duration = Duration::from_millis(20);
/// Syncs are long; more rounds cost more than they tell.
const ROUNDS_MAX: usize = 3;

/// One sync.
struct Synced {
    seconds: f64,
    own_cpu_us: f64,
    sources_cpu_us: f64,
    peak_mib: f64,
}

pub(crate) fn run(session: &mut Session) -> Result<()> {
    let binary = daemon::binary(&session.options)?;
    let cache = session.options.out.join("chains");
    let rounds = session.options.rounds.min(ROUNDS_MAX);
    for network in ["anya-devnet", "hello-devnet"] {
        for (blocks, transactions) in CHAINS {
            let plan = Plan { network, blocks: blocks / session.options.shorten, transactions };
            for count in SOURCES {
                let case = name(&plan, count);
                if !session.options.wants(&case) {
                    continue;
                }
                let folder = plan.folder(&cache)?;
                let sources = serve(&binary, &plan, &folder, count)?;
                let synced = (0..rounds).map(|_| sync(&binary, &plan, &sources)).collect::<Result<Vec<_>>>()?;
                note(session, &case, &plan, &synced);
            }
        }
    }
    Ok(())
}

fn name(plan: &Plan, sources: usize) -> String {
    format!("h4 {} blocks={} transactions={} sources={sources}", plan.network, plan.blocks, plan.transactions)
}

fn note(session: &mut Session, case: &str, plan: &Plan, synced: &[Synced]) {
    let blocks = plan.blocks as f64;
    let each = |of: &dyn Fn(&Synced) -> f64| synced.iter().map(of).collect();
    let floor = (plan.transactions == 0).then_some(SMALL_BLOCKS_MIN);
    session.figure(case, "blocks durable", "1/s", each(&|one| blocks / one.seconds), floor);
    session.figure(case, "CPU of the syncing node", "µs/block", each(&|one| one.own_cpu_us / blocks), None);
    session.figure(case, "CPU of the sources", "µs/block", each(&|one| one.sources_cpu_us / blocks), None);
    session.figure(case, "peak memory of the syncing node", "MiB", each(&|one| one.peak_mib), None);
}

/// A node that serves, and its data.
struct Source {
    daemon: Daemon,
    _data: TempDir,
}

fn serve(binary: &Path, plan: &Plan, folder: &Path, count: usize) -> Result<Vec<Source>> {
    (0..count)
        .map(|_| {
            let data = tempfile::tempdir_in(folder.parent().context("a cache")?)?;
            copy(folder, data.path(), plan.network)?;
            let daemon = Daemon::start(&start(binary, plan, data.path(), Placement::Apart.load(), &[]))?;
            let height = daemon.height()?;
            anyhow::ensure!(height == plan.blocks, "a source has {height} blocks");
            Ok(Source { daemon, _data: data })
        })
        .collect()
}

fn copy(from: &Path, to: &Path, network: &str) -> Result<()> {
    let file: PathBuf = chain_file(to, network);
    fs::create_dir_all(file.parent().context("a folder")?)?;
    fs::copy(chain_file(from, network), file)?;
    Ok(())
}

fn start<'a>(binary: &'a Path, plan: &Plan, data: &'a Path, cpu: usize, sources: &[Source]) -> Start<'a> {
    let connect = sources.iter().map(|source| source.daemon.listen).collect();
    Start { binary, network: plan.network, data, cpu, inbound_max: 16, connect }
}

// From the start of the process until all of it is durable.
fn sync(binary: &Path, plan: &Plan, sources: &[Source]) -> Result<Synced> {
    let data = tempfile::tempdir()?;
    let cpu_of_sources =
        || -> Result<u64> { sources.iter().map(|source| place::cpu_ns_of(source.daemon.process())).sum() };
    let sources_before = cpu_of_sources()?;
    let began = Instant::now();
    let daemon = Daemon::start(&start(binary, plan, data.path(), Placement::Apart.device(), sources))?;
    let mut height = 0;
    while height < plan.blocks {
        anyhow::ensure!(began.elapsed() < PATIENCE, "it synced {height} blocks and no more");
        thread::sleep(LOOK);
        height = daemon.height()?;
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(Synced {
        seconds,
        own_cpu_us: place::cpu_ns_of(daemon.process())? as f64 / 1e3,
        sources_cpu_us: (cpu_of_sources()? - sources_before) as f64 / 1e3,
        peak_mib: memory_of(daemon.process())?.peak_kib as f64 / 1024.0,
    })
}
