//! Runs rows side by side.

use crate::node::{self, Chain};
use crate::report::Outcome;
use crate::rows::{Row, Scene};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Rows at once: more wait for each other's processes on two cores than they gain.
const AT_ONCE: usize = 6;
/// All of them together: what is not done then has failed. One of them waits for two minutes, and all end within five.
const LIMIT: Duration = Duration::from_secs(280);

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) polypeer: PathBuf,
    pub(crate) root: PathBuf,
    pub(crate) folder: PathBuf,
}

/// Runs all, in their order as far as there is room.
pub(crate) fn run_all(rows: &[Row], places: &Places) -> Vec<Outcome> {
    let (next, (tell, told)) = (Arc::new(AtomicUsize::new(0)), mpsc::channel());
    for _ in 0..AT_ONCE.min(rows.len()) {
        let (rows, places, next, tell) = (rows.to_vec(), places.clone(), Arc::clone(&next), tell.clone());
        std::thread::spawn(move || {
            while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                // Nobody listens once the time is over.
                let _ = tell.send(run_one(row, &places.polypeer, &places.root, &places.folder));
            }
        });
    }
    drop(tell);
    let (until, mut outcomes) = (Instant::now() + LIMIT, Vec::<Outcome>::new());
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let Ok(outcome) = told.recv_timeout(left) else { break };
        eprintln!("{}: {}", outcome.name, outcome.result.as_ref().map_or_else(String::as_str, |_| "ok"));
        outcomes.push(outcome);
    }
    node::end_all();
    let undone = rows.iter().filter(|row| !outcomes.iter().any(|outcome| outcome.name == row.name));
    let undone = undone.map(|row| (row.name.to_owned(), Err(format!("not done within {LIMIT:?}"))));
    let undone: Vec<Outcome> = undone.map(|(name, result)| Outcome { name, result, took: None }).collect();
    outcomes.extend(undone);
    outcomes
}

fn run_one(row: &Row, polypeer: &Path, root: &Path, folder: &Path) -> Outcome {
    let started = Instant::now();
    let scene = Scene {
        polypeer: polypeer.to_owned(),
        root: root.to_owned(),
        folder: folder.join(row.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-")),
        chain: Chain::named(row.name),
    };
    // A panic is a failure of this row, and of no other.
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (row.story)(&scene)));
    let result = match told {
        Ok(told) => told.map_err(|error| format!("{error:#}")),
        Err(_) => Err("the row has panicked".to_owned()),
    };
    Outcome { name: row.name.to_owned(), result, took: Some(started.elapsed()) }
}
