//! Runs rows side by side.

use crate::node::Chain;
use crate::report::Outcome;
use crate::rows::{Row, Scene};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Rows at once: more wait for each other's processes on two cores than they gain.
const AT_ONCE: usize = 6;

/// Runs all, in their order as far as there is room.
pub(crate) fn run_all(rows: &[Row], polypeer: &Path, root: &Path, folder: &Path) -> Vec<Outcome> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(rows.len()) {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run_one(row, polypeer, root, folder);
                    eprintln!("{}: {}", outcome.name, outcome.result.as_ref().map_or_else(String::as_str, |_| "ok"));
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
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
