//! Keeps `engine/` and `protocols/` pure: the same actions give the same effects, and nothing else happens.

use super::manifests;
use super::tokens::{each_run, is_mark, is_word, parse};
use super::tree::Tree;

/// Foreign crates that compute and do nothing else, all without default features.
const ALLOWED: [&str; 17] = [
    "blake2b_simd",
    "blake3",
    "bs58",
    "bytes",
    "crc32fast",
    "curve25519-dalek",
    "ed25519-dalek",
    "miniz_oxide",
    "pasta_curves",
    "postcard",
    "rand_chacha",
    "rand_core",
    "serde",
    "serde_json",
    "sha2",
    "sm2",
    "sm3",
];

/// Names that stand for a clock, an unordered map or entropy, wherever they come from.
const IMPURE: [&str; 8] =
    ["HashMap", "HashSet", "Instant", "SystemTime", "RandomState", "OsRng", "thread_rng", "available_parallelism"];

/// Crates that do something outside, when they begin a path or an import.
const OUTSIDE: [&str; 5] = ["std", "log", "tracing", "tokio", "getrandom"];

/// Dependencies are on the list, and without default features.
pub(crate) fn dependencies(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (folder, manifest) in tree.manifests().filter(|(folder, _)| is_pure(folder)) {
        for dependency in manifests::dependencies(&manifest).into_iter().filter(|one| !one.for_tests) {
            let name = &dependency.name;
            if dependency.value.get("path").is_some() || name.starts_with("polypeer-") {
                continue; // Ours; who may import whom is another rule.
            }
            if !ALLOWED.contains(&name.as_str()) {
                complaints.push(format!("{folder} uses {name}, which is not on the list of pure crates"));
            }
            let inherited = manifests::is_inherited(&dependency);
            let full = if inherited { manifests::of_workspace(tree, name) } else { Some(dependency.value.clone()) };
            let default = full.as_ref().and_then(|full| full.get("default-features")?.as_bool());
            if default != Some(false) {
                complaints.push(format!("{folder} uses {name} with default features"));
            }
            let lists = [full.as_ref(), Some(&dependency.value)].into_iter().flatten();
            let features = lists.filter_map(|value| value.get("features")?.as_array()).flatten();
            if features.filter_map(toml::Value::as_str).any(|feature| feature.contains("std")) {
                complaints.push(format!("{folder} uses {name} with std"));
            }
        }
    }
    complaints
}

/// Sources are `no_std`, without unsafe code, and name nothing impure.
pub(crate) fn sources(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.rust() {
        let Some((folder, inside)) = path.split_once("/src/").filter(|(folder, _)| is_pure(folder)) else { continue };
        if inside == "lib.rs" {
            for line in ["#![no_std]", "#![forbid(unsafe_code)]"] {
                if !text.lines().any(|own| own.trim_end() == line) {
                    complaints.push(format!("{folder} lacks {line}"));
                }
            }
        }
        match impure(path, text) {
            Ok(found) => complaints.extend(found.into_iter().map(|word| format!("{path} names {word}"))),
            Err(wrong) => complaints.push(wrong),
        }
    }
    complaints
}

fn impure(path: &str, text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    each_run(parse(path, text)?, &mut |run| {
        for (at, token) in run.iter().enumerate() {
            let next = run.get(at + 1);
            let begins_path = is_mark(next, ':') && is_mark(run.get(at + 2), ':');
            let before = at.checked_sub(1).and_then(|at| run.get(at));
            if is_word(before, "crate") && is_word(Some(token), "std") {
                found.push("extern crate std".to_owned());
            }
            for word in OUTSIDE.iter().filter(|word| is_word(Some(token), word)) {
                if begins_path && !is_mark(before, ':') || is_word(before, "use") {
                    found.push((*word).to_owned());
                }
            }
            found.extend(IMPURE.iter().filter(|word| is_word(Some(token), word)).map(|word| (*word).to_owned()));
        }
    });
    Ok(found)
}

fn is_pure(folder: &str) -> bool {
    folder == "engine" || folder == "protocols" || folder.starts_with("protocols/")
}
