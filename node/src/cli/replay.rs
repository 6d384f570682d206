//! Runs a recording through the engine.

use super::exit::Failure;
use super::{put_json, put_line};
use crate::networks::ENTRIES;
use polypeer_driver::{ReplayError, Replayed};
use polypeer_engine::journal::Holds;
use serde_json::json;
use std::path::Path;

/// `polypeer replay`.
pub(super) fn replay(file: &Path, json: bool) -> Result<(), Failure> {
    let head = polypeer_driver::head(file).map_err(|error| failed(file, &error, json))?;
    if head.holds == Holds::Simulation {
        return super::sim::replay(file, json);
    }
    for replay in ENTRIES.iter().flat_map(|entry| entry.replay) {
        match replay(file) {
            Ok(replayed) => return report(&replayed, json),
            // Another network's, perhaps.
            Err(ReplayError::Other(_)) => {}
            Err(error) => return Err(failed(file, &error, json)),
        }
    }
    let protocol = head.protocol;
    Err(Failure::new(format!("{}: this is a recording of {protocol}, which is not built in", file.display())))
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
    let found = match error {
        ReplayError::Differs { step, action, .. } => Some((step, action, None)),
        ReplayError::Rule { step, action, rule, .. } => Some((step, action, Some(rule.to_string()))),
        ReplayError::Panicked { step, action, text, .. } => Some((step, action, Some(text.clone()))),
        _ => None,
    };
    if let (true, Some((step, action, fault))) = (json, found) {
        // The exit code says it too; a reader that is gone misses the details only.
        let _ = put_json(&json!({ "same": false, "step": step, "action": action, "fault": fault }));
    }
    Failure::new(format!("{}: {error}", file.display()))
}
