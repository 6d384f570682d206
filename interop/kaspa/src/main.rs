//! Judges our Kaspa by real kaspads, and the spec too.
//!
//! Every row starts nodes of its own on loopback, says something to one of them, and watches. It runs once for kaspad
//! and once for ours, where it can also with the sides of the connection changed. Rows that wait run together.

mod bench;
mod client;
mod kaspad;
mod mining;
mod polypeer;
mod process;
mod pruned;
mod report;
mod rows;
mod rpc;
mod runner;
mod scenarios;
mod spending;
mod target;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use target::{Kind, Programs};

/// The version of kaspad that the spec describes.
const KASPAD_VERSION: &str = "2.1.0";

/// Runs what is said to a node and what it must do, against kaspad and against ours, and prints a table.
#[derive(Debug, Parser)]
struct Arguments {
    /// The kaspad; the one on the path, or in the cache of the checks, when left out.
    #[arg(long, value_name = "FILE")]
    kaspad: Option<PathBuf>,
    /// Our program; the one beside this program when left out.
    #[arg(long, value_name = "FILE")]
    polypeer: Option<PathBuf>,
    /// Judge only this one.
    #[arg(long, value_name = "NAME")]
    only: Option<Only>,
    /// Only these rows, by name or number.
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,
    /// Take the time that is not there for every change: stay connected for ten minutes.
    #[arg(long)]
    long: bool,
    /// Keep the logs and data of what passed too.
    #[arg(long)]
    keep: bool,
    /// Measure ours beside kaspad instead, all of it or these parts, and print a line of JSON for each figure.
    #[arg(long, value_name = "PART", num_args = 0.., conflicts_with_all = ["only", "row", "long", "list"])]
    bench: Option<Vec<bench::Part>>,
    /// Rounds of what is measured.
    #[arg(long, default_value_t = 5, requires = "bench")]
    rounds: usize,
    /// Print the rows and do nothing.
    #[arg(long)]
    list: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Only {
    Kaspad,
    Polypeer,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let mut rows = rows::all();
    ensure!(rows.len() == rows::COUNT, "there are {} rows, and the spec has {}", rows.len(), rows::COUNT);
    rows.extend(scenarios::all());
    ensure!(rows.len() == rows::COUNT + scenarios::COUNT, "a scenario is missing: {} rows", rows.len());
    if arguments.list {
        rows.iter().for_each(|row| println!("{:>2}  {}", row.number, row.name));
        return Ok(true);
    }
    if let Some(unknown) = arguments.row.iter().find(|name| !rows.iter().any(|row| row.is_called(name))) {
        bail!("there is no row `{unknown}`; --list has them");
    }
    if !arguments.row.is_empty() {
        rows.retain(|row| arguments.row.iter().any(|name| row.is_called(name)));
    }
    let kinds = match arguments.only {
        None => vec![Kind::Kaspad, Kind::Polypeer],
        Some(Only::Kaspad) => vec![Kind::Kaspad],
        Some(Only::Polypeer) => vec![Kind::Polypeer],
    };
    let folder = tempfile::Builder::new().prefix("polypeer-interop-").tempdir()?;
    let programs = Programs {
        kaspad: find_kaspad(arguments.kaspad.as_deref())?,
        polypeer: find_polypeer(arguments.polypeer.as_deref(), &kinds)?,
        root: folder.path().to_owned(),
        stock: tokio::sync::OnceCell::new(),
        keep: arguments.keep,
    };
    if let Some(parts) = &arguments.bench {
        return bench::run(&Arc::new(programs), parts, arguments.rounds);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let started = std::time::Instant::now();
    let outcomes = runtime.block_on(runner::run_all(&rows, &kinds, Arc::new(programs), arguments.long));
    // What still runs must end before its folder does.
    drop(runtime);
    let good = report::print(&rows, &kinds, &outcomes, started.elapsed());
    if !good || arguments.keep {
        println!("the logs are in {}", folder.keep().display());
    }
    Ok(good)
}

fn find_kaspad(given: Option<&Path>) -> Result<PathBuf> {
    let found = match given {
        Some(file) => Some(file.to_owned()),
        None => on_the_path("kaspad").or_else(in_the_cache),
    };
    let file = found.context("no kaspad: `.ci/run interop` installs it, or say --kaspad FILE")?;
    let output = std::process::Command::new(&file).arg("--version").output();
    let output = output.with_context(|| format!("{} does not start", file.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(version.contains(KASPAD_VERSION), "{} is `{version}`, and not {KASPAD_VERSION}", file.display());
    Ok(file)
}

fn on_the_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn in_the_cache() -> Option<PathBuf> {
    let folder = match std::env::var_os("POLYPEER_CI_CACHE") {
        Some(folder) => PathBuf::from(folder),
        None => std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".cache")))?
            .join("polypeer-ci"),
    };
    Some(folder.join("bin/kaspad")).filter(|file| file.is_file())
}

fn find_polypeer(given: Option<&Path>, kinds: &[Kind]) -> Result<PathBuf> {
    let file = match given {
        Some(file) => file.to_owned(),
        None => std::env::current_exe()?.with_file_name("polypeer"),
    };
    let needed = kinds.contains(&Kind::Polypeer);
    ensure!(!needed || file.is_file(), "{} is not there: build polypeer, or say --polypeer FILE", file.display());
    Ok(file)
}
