//! Says who may import whom, by the manifests.

use super::tree::Tree;
use std::path::Component;
use std::path::Path;

/// A room, the rooms that it may depend on, those that only its tests may, and foreign crates that it never may.
struct Room {
    folder: &'static str,
    may: &'static [&'static str],
    tests_may: &'static [&'static str],
    never: &'static [&'static str],
}

const RUNTIMES: [&str; 4] = ["tokio", "async-std", "smol", "mio"];

/// Folders ending in `/` stand for all below them. The first that fits counts.
const ROOMS: [Room; 15] = [
    Room { folder: "engine", may: &[], tests_may: &[], never: &RUNTIMES },
    Room { folder: "protocols", may: &["protocols/"], tests_may: &[], never: &RUNTIMES },
    Room { folder: "protocols/", may: &["engine"], tests_may: &["ledger/", "sim"], never: &RUNTIMES },
    Room { folder: "ledger/bumo", may: &["engine", "store", "protocols/bumo"], tests_may: &["sim"], never: &RUNTIMES },
    Room {
        folder: "ledger/kaspa",
        may: &["engine", "store", "protocols/kaspa"],
        tests_may: &["sim"],
        never: &RUNTIMES,
    },
    // Judges the ledger by the network's own crate.
    Room {
        folder: "ledger/oracle",
        may: &[],
        tests_may: &["engine", "protocols/kaspa", "ledger/kaspa"],
        never: &RUNTIMES,
    },
    Room { folder: "ledger/mina", may: &["engine", "store", "protocols/mina"], tests_may: &["sim"], never: &RUNTIMES },
    Room { folder: "ledger/", may: &["engine", "store"], tests_may: &["sim"], never: &RUNTIMES },
    Room { folder: "store", may: &["engine"], tests_may: &["sim"], never: &RUNTIMES },
    Room {
        folder: "driver",
        may: &["engine", "store"],
        tests_may: &["protocols", "protocols/", "ledger/"],
        never: &[],
    },
    Room {
        folder: "sim",
        may: &["engine", "ledger/", "store"],
        tests_may: &["protocols", "protocols/"],
        never: &RUNTIMES,
    },
    Room { folder: "node", may: &["/"], tests_may: &["/"], never: &[] },
    Room { folder: "interop/", may: &[], tests_may: &[], never: &[] },
    Room { folder: "benches", may: &["/"], tests_may: &["/"], never: &[] },
    Room { folder: "fuzz", may: &["/"], tests_may: &["/"], never: &[] },
];

/// No crate depends on a room that its own room may not know, nor on a runtime that does not belong there.
pub(crate) fn imports(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (folder, manifest) in tree.manifests().filter(|(folder, _)| !folder.is_empty()) {
        let Some(room) = ROOMS.iter().find(|room| fits(room.folder, folder)) else {
            complaints.push(format!("{folder}: no such room"));
            continue;
        };
        for dependency in dependencies(&manifest) {
            let allowed = if dependency.for_tests { [room.may, room.tests_may].concat() } else { room.may.to_vec() };
            match home(tree, folder, &dependency) {
                Some(home) if !allowed.iter().any(|allowed| fits(allowed, &home)) => {
                    complaints.push(format!("{folder} may not import {home}"));
                }
                None if room.never.contains(&dependency.name.as_str()) => {
                    complaints.push(format!("{folder} may not use {}", dependency.name));
                }
                _ => {}
            }
        }
    }
    complaints
}

/// Every crate has the workspace's lints, and those forbid unsafe code.
pub(crate) fn lints(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (folder, manifest) in tree.manifests() {
        if let Some(workspace) = manifest.get("workspace").filter(|_| folder.is_empty()) {
            let level = workspace.get("lints").and_then(|lints| lints.get("rust")?.get("unsafe_code")?.as_str());
            if level != Some("forbid") {
                complaints.push("Cargo.toml: the lints do not forbid unsafe code".to_owned());
            }
        } else if folder != "fuzz" {
            let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
            if inherits != Some(true) {
                complaints.push(format!("{folder}/Cargo.toml has no [lints] workspace = true"));
            }
        }
    }
    complaints
}

/// One line of a manifest's lists of dependencies.
pub(crate) struct Dependency {
    /// The name as sources use it.
    pub(crate) name: String,
    /// What stands on the right.
    pub(crate) value: toml::Value,
    /// Whether only tests, examples and build scripts have it.
    pub(crate) for_tests: bool,
}

/// All dependencies of a manifest, those of single targets too.
pub(crate) fn dependencies(manifest: &toml::Table) -> Vec<Dependency> {
    let mut tables = vec![manifest];
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    tables.extend(targets.into_iter().flat_map(|targets| targets.values()).filter_map(toml::Value::as_table));
    let mut found = Vec::new();
    for table in tables {
        for (list, for_tests) in [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)] {
            let lines = table.get(list).and_then(toml::Value::as_table).into_iter().flatten();
            found.extend(lines.map(|(name, value)| Dependency { name: name.clone(), value: value.clone(), for_tests }));
        }
    }
    found
}

/// What the workspace's manifest says of a dependency.
pub(crate) fn of_workspace(tree: &Tree, name: &str) -> Option<toml::Value> {
    let root: toml::Table = tree.text("Cargo.toml")?.parse().ok()?;
    root.get("workspace")?.get("dependencies")?.get(name).cloned()
}

/// Whether the dependency stands in the workspace's manifest.
pub(crate) fn is_inherited(dependency: &Dependency) -> bool {
    dependency.value.get("workspace").and_then(toml::Value::as_bool) == Some(true)
}

// The folder of a dependency that is ours.
fn home(tree: &Tree, folder: &str, dependency: &Dependency) -> Option<String> {
    if is_inherited(dependency) {
        let of_workspace = of_workspace(tree, &dependency.name)?;
        return Some(of_workspace.get("path")?.as_str()?.to_owned());
    }
    let path = dependency.value.get("path")?.as_str()?;
    let mut home: Vec<String> = folder.split('/').map(str::to_owned).collect();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(home.pop()),
            Component::Normal(name) => home.push(name.to_string_lossy().into_owned()),
            _ => {}
        }
    }
    Some(home.join("/"))
}

fn fits(pattern: &str, folder: &str) -> bool {
    match pattern.strip_suffix('/') {
        Some("") => true,
        Some(above) => folder.strip_prefix(above).is_some_and(|rest| rest.starts_with('/')),
        None => folder == pattern,
    }
}
