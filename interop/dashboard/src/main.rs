//! Judges the dashboard by a real browser: it loads, follows private networks, acts, and complains of nothing.
//!
//! Every chapter of the story prints a line. A chapter ends when what it waits for is there, and fails when it is not
//! there in time; nothing is measured.

mod browser;
mod devnet;
mod page;
mod story;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the browser is called, in the order in which it is looked for.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Starts a devnet and a headless Chromium, and goes through the dashboard as an operator would.
#[derive(Debug, Parser)]
struct Arguments {
    /// Our program; the one beside this program when left out.
    #[arg(long, value_name = "FILE")]
    polypeer: Option<PathBuf>,
    /// The browser, Chromium or a relative; the one on the path when left out.
    #[arg(long, value_name = "FILE")]
    chromium: Option<PathBuf>,
    /// Write pictures of the page, wide and narrow, light and dark, into this folder.
    #[arg(long, value_name = "FOLDER")]
    pictures: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let polypeer = match &arguments.polypeer {
        Some(file) => file.clone(),
        None => std::env::current_exe()?.with_file_name("polypeer"),
    };
    ensure!(polypeer.is_file(), "{} is not there: build polypeer, or say --polypeer FILE", polypeer.display());
    let chromium = match &arguments.chromium {
        Some(file) => file.clone(),
        None => on_the_path().context("no Chromium: install the package `chromium`, or say --chromium FILE")?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(story::tell(&polypeer, &chromium, arguments.pictures.as_deref()))
}

fn on_the_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found = |name: &&str| folders.iter().map(|folder| folder.join(name)).find(|file: &PathBuf| Path::is_file(file));
    NAMES.iter().find_map(found)
}
