//! Runs the half in which js-libp2p judges, and takes over its rows.

use crate::report::Outcome;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long it may take.
const LIMIT: Duration = Duration::from_secs(270);
/// Bytes that it may print: hundreds of rows.
const OUTPUT_MAX: u64 = 1 << 20;

/// Runs it. Its rows; what goes wrong with it beyond them is a row too.
pub(crate) fn run(folder: &Path, polypeer: &Path, log: &Path) -> Vec<Outcome> {
    let (mut outcomes, whole) = collect(folder, polypeer, log);
    if let Err(error) = whole {
        outcomes.push(Outcome { name: "js: the whole".to_owned(), result: Err(format!("{error:#}")), took: None });
    }
    outcomes
}

fn collect(folder: &Path, polypeer: &Path, log: &Path) -> (Vec<Outcome>, Result<()>) {
    let mut outcomes = Vec::new();
    let whole = start(folder, polypeer, log).and_then(|mut child| {
        let ended = listen(&mut child, &mut outcomes);
        // After its time it is ended; before, it has ended by itself.
        let _ = child.kill();
        let status = child.wait()?;
        ended?;
        ensure!(status.success(), "run.mjs ended with {status}; its log is {}", log.display());
        Ok(())
    });
    (outcomes, whole)
}

fn start(folder: &Path, polypeer: &Path, log: &Path) -> Result<Child> {
    let program = folder.join("run.mjs");
    ensure!(program.is_file(), "{} is not there", program.display());
    ensure!(folder.join("node_modules").is_dir(), "run `npm ci` in {}", folder.display());
    let errors = std::fs::File::create(log)?;
    let mut command = Command::new("node");
    command.arg(program).arg("--polypeer").arg(polypeer);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
    command.spawn().context("node does not start")
}

fn listen(child: &mut Child, outcomes: &mut Vec<Outcome>) -> Result<()> {
    let output = child.stdout.take().context("its output")?.take(OUTPUT_MAX);
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        // Whoever listened has gone when this fails.
        for line in BufReader::new(output).lines() {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    let until = Instant::now() + LIMIT;
    loop {
        let left = until.checked_duration_since(Instant::now()).context("run.mjs takes too long")?;
        match told.recv_timeout(left) {
            Ok(line) => {
                let line = line?;
                outcomes.push(row(&line).with_context(|| format!("`{line}` is no row"))?);
                eprintln!("{line}");
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

fn row(line: &str) -> Result<Outcome> {
    let row: Value = serde_json::from_str(line)?;
    let text = |key: &str| row[key].as_str().map(str::to_owned).with_context(|| format!("no `{key}`"));
    let what = text("what")?;
    let result = match text("outcome")?.as_str() {
        "passed" => Ok(what),
        _ => Err(what),
    };
    Ok(Outcome { name: text("row")?, result, took: None })
}
