//! Keeps the protocols alike: whoever knows one knows where to look in all.

use super::tree::Tree;

/// The rooms that every protocol's crate has.
const ROOMS: [&str; 7] = ["wire", "handshake", "discovery", "relay", "sync", "misbehavior", "ledger"];

/// Every protocol's crate has the named rooms and tests, and stands in the list of `protocols/`.
pub(crate) fn protocols(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let list = tree.text("protocols/src/lib.rs").unwrap_or_default();
    for (folder, _) in tree.manifests().filter(|(folder, _)| folder.starts_with("protocols/")) {
        for room in ROOMS {
            let file = format!("{folder}/src/{room}.rs");
            if !tree.exists(&file) && !tree.exists(&format!("{folder}/src/{room}/mod.rs")) {
                complaints.push(format!("{folder} has no room {room}"));
            }
        }
        if !tree.exists(&format!("{folder}/tests")) {
            complaints.push(format!("{folder} has no tests/"));
        }
        let name = folder.rsplit('/').next().unwrap_or_default();
        if !list.contains(&format!("pub use polypeer_{name} as {name};")) {
            complaints.push(format!("{folder} is not listed in protocols/src/lib.rs"));
        }
    }
    complaints
}
