//! Plays stock libp2p nodes and scripted ones against our Mina node on loopback, and prints a table of what held.
//!
//! Every row starts `polypeer run` as a process, with a network of its own, and speaks to it over sockets. Nothing of
//! ours is linked in: frames and encodings follow the spec, so that a mistake of ours is not made here as well.

mod client;
mod js;
mod node;
mod payments;
mod report;
mod rows;
mod runner;
mod stock;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Rows that the js half has.
const JS_ROWS: usize = 18;

/// Plays stock libp2p nodes and scripted ones against our Mina node, and prints a table.
#[derive(Debug, Parser)]
struct Arguments {
    /// Our program.
    #[arg(long, value_name = "FILE")]
    polypeer: PathBuf,
    /// The half in which js-libp2p judges, after `npm ci` there; the one beside this program's sources when left out.
    #[arg(long, value_name = "FOLDER")]
    js: Option<PathBuf>,
    /// Only these rows, by a part of their names; `js` is the other half.
    #[arg(long, value_name = "NAME")]
    row: Vec<String>,
    /// Print the rows and do nothing.
    #[arg(long)]
    list: bool,
    /// Keep the logs and data of what passed too.
    #[arg(long)]
    keep: bool,
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
    ensure!(rows.len() == rows::COUNT, "there are {} rows, and {} were to be", rows.len(), rows::COUNT);
    if arguments.list {
        rows.iter().for_each(|row| println!("{}", row.name));
        return Ok(true);
    }
    let is_wanted = |name: &str| arguments.row.is_empty() || arguments.row.iter().any(|part| name.contains(part));
    rows.retain(|row| is_wanted(row.name));
    let has_js = is_wanted("js");
    if rows.is_empty() && !has_js {
        bail!("there is no row like that; --list has them");
    }
    let polypeer = arguments.polypeer.canonicalize();
    let polypeer = polypeer.with_context(|| format!("{} is not there", arguments.polypeer.display()))?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let js = arguments.js.clone().unwrap_or_else(|| root.join("interop/mina/js"));
    let folder = tempfile::Builder::new().prefix("polypeer-interop-mina-").tempdir()?;
    let started = Instant::now();
    let mut outcomes = std::thread::scope(|scope| {
        let other = has_js.then(|| scope.spawn(|| js::run(&js, &polypeer, &folder.path().join("js.log"))));
        let places =
            runner::Places { polypeer: polypeer.clone(), root: root.clone(), folder: folder.path().to_owned() };
        let mut outcomes = runner::run_all(&rows, &places);
        // A panic there leaves its rows out, which their number tells.
        outcomes.extend(other.and_then(|other| other.join().ok()).into_iter().flatten());
        outcomes
    });
    outcomes.sort_by_key(|outcome| order(&outcome.name));
    let wanted = rows.len() + if has_js { JS_ROWS } else { 0 };
    let is_good = report::print(&outcomes, wanted, started.elapsed());
    if !is_good || arguments.keep {
        println!("the logs are in {}", folder.keep().display());
    }
    Ok(is_good)
}

// Section 11 by its numbers, and behind the others.
fn order(name: &str) -> (bool, u32, String) {
    let number = name.strip_prefix("11.").and_then(|rest| rest.split(' ').next()?.parse().ok());
    (number.is_some(), number.unwrap_or_default(), name.to_owned())
}
