//! Runs a recording through the engine.

use super::exit::Failure;
use super::{put_json, put_line};
use crate::networks::ENTRIES;
use polypeer_driver::{ReplayError, Replayed};
use serde_json::json;
use std::path::Path;

/// `polypeer replay`.
pub(super) fn replay(file: &Path, json: bool) -> Result<(), Failure> {
    let mut other = None;
    for replay in ENTRIES.iter().flat_map(|entry| entry.replay) {
        match replay(file) {
            Ok(replayed) => return report(&replayed, json),
            // Another network's, perhaps.
            Err(error @ ReplayError::Other { .. }) => other = Some(error),
            Err(error) => return Err(failed(file, &error, json)),
        }
    }
    let error = other.ok_or_else(|| Failure::new("no network is built in"))?;
    Err(failed(file, &error, json))
}

fn report(replayed: &Replayed, json: bool) -> Result<(), Failure> {
    let Replayed { network, steps, bytes, was_cut } = replayed;
    if json {
        return put_json(&json!({ "same": true, "network": network, "steps": steps, "bytes": bytes, "cut": was_cut }));
    }
    let cut = if *was_cut { "; the recording was cut off, as by a crash" } else { "" };
    put_line(&format!("{network}: {steps} steps, the same effects{cut}"))
}

fn failed(file: &Path, error: &ReplayError, json: bool) -> Failure {
    if let (true, ReplayError::Differs { step, action, .. }) = (json, error) {
        // The exit code says it too; a reader that is gone misses the details only.
        let _ = put_json(&json!({ "same": false, "step": step, "action": action }));
    }
    Failure::new(format!("{}: {error}", file.display()))
}
