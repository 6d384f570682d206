//! Keeps the tree tidy: rules of style and of the rooms that a machine can check, each shown to bite.
//!
//! A rule is a function from a [`Tree`] to complaints. It runs on the real tree, where it must find nothing, and on
//! a bad sample, where it must find the fault.

mod tidy {
    pub(super) mod banned;
    pub(super) mod manifests;
    pub(super) mod purity;
    pub(super) mod records;
    pub(super) mod rooms;
    pub(super) mod shape;
    pub(super) mod tokens;
    pub(super) mod tree;
}

use tidy::tree::Tree;
use tidy::{banned, manifests, purity, records, rooms, shape};

/// Runs a rule on the real tree.
fn check(rule: fn(&Tree) -> Vec<String>) {
    let tree = Tree::load();
    assert!(tree.files().count() > 40, "the tree was not found");
    let complaints = rule(&tree);
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Runs a rule on a sample, given as paths and contents; it must complain with each of these words.
fn bites(rule: fn(&Tree) -> Vec<String>, sample: &[(&str, &str)], words: &[&str]) {
    let complaints = rule(&Tree::sample(sample));
    for word in words {
        assert!(complaints.iter().any(|line| line.contains(word)), "no complaint about {word:?} in {complaints:?}");
    }
}

/// Runs a rule on a sample with which nothing is wrong.
fn spares(rule: fn(&Tree) -> Vec<String>, sample: &[(&str, &str)]) {
    let complaints = rule(&Tree::sample(sample));
    assert!(complaints.is_empty(), "unfounded: {complaints:?}");
}

#[test]
fn rooms_import_only_whom_they_may() {
    check(manifests::imports);
}

#[test]
fn a_forbidden_import_is_found() {
    let depends = |on: &str| format!("[package]\nname = \"x\"\n[dependencies]\n{on}\n");
    let path = |path: &str| depends(&format!("other = {{ path = \"{path}\" }}"));
    for (room, on) in [
        ("engine", "../store"),
        ("protocols/anya", "../hello"),
        ("protocols/hello", "../../driver"),
        ("ledger/reference", "../../protocols/anya"),
        ("store", "../ledger/reference"),
        ("driver", "../protocols/anya"),
        ("driver", "../protocols"),
        ("driver", "../ledger/reference"),
        ("sim", "../driver"),
    ] {
        bites(manifests::imports, &[(&format!("{room}/Cargo.toml"), &path(on))], &["may not import"]);
    }
    let workspace = "[workspace.dependencies]\npolypeer-driver = { path = \"driver\" }\n";
    let engine = depends("polypeer-driver = { workspace = true }");
    bites(manifests::imports, &[("Cargo.toml", workspace), ("engine/Cargo.toml", &engine)], &["may not import driver"]);
    let target = "[package]\nname = \"x\"\n[target.'cfg(unix)'.dependencies]\ntokio = \"1\"\n";
    bites(manifests::imports, &[("sim/Cargo.toml", target)], &["sim may not use tokio"]);
    bites(manifests::imports, &[("attic/Cargo.toml", &path("../engine"))], &["no such room"]);
    spares(manifests::imports, &[("driver/Cargo.toml", &path("../engine"))]);
}

#[test]
fn crates_take_the_lints_of_the_workspace() {
    check(manifests::lints);
}

#[test]
fn a_crate_without_lints_is_found() {
    bites(manifests::lints, &[("store/Cargo.toml", "[package]\nname = \"x\"\n")], &["[lints]"]);
    let loose = "[workspace]\n[workspace.lints.rust]\nunsafe_code = \"warn\"\n";
    bites(manifests::lints, &[("Cargo.toml", loose)], &["forbid"]);
}

#[test]
fn the_core_depends_on_pure_crates_only() {
    check(purity::dependencies);
}

#[test]
fn an_impure_dependency_is_found() {
    let uses = |line: &str| format!("[package]\nname = \"x\"\n[dependencies]\n{line}\n");
    let found = |line: &str, word: &str| {
        bites(purity::dependencies, &[("protocols/anya/Cargo.toml", &uses(line))], &[word]);
    };
    found("tokio = { version = \"1\", default-features = false }", "tokio");
    found("bytes = \"1\"", "default features");
    found("bytes = { version = \"1\", default-features = false, features = [\"std\"] }", "std");
    let root = "[workspace.dependencies]\nbytes = \"1\"\n";
    let engine = uses("bytes = { workspace = true }");
    bites(purity::dependencies, &[("Cargo.toml", root), ("engine/Cargo.toml", &engine)], &["default features"]);
    let kept = uses("bytes = { version = \"1\", default-features = false }");
    spares(purity::dependencies, &[("engine/Cargo.toml", &kept)]);
}

#[test]
fn the_core_has_no_std_no_clock_and_no_unordered_map() {
    check(purity::sources);
}

#[test]
fn impure_source_is_found() {
    let head = "#![no_std]\n#![forbid(unsafe_code)]\n";
    let found = |path: &str, text: &str, word: &str| bites(purity::sources, &[(path, text)], &[word]);
    found("engine/src/lib.rs", "#![forbid(unsafe_code)]\n", "no_std");
    found("protocols/hello/src/lib.rs", "#![no_std]\n", "unsafe_code");
    found("engine/src/lib.rs", &format!("{head}extern crate std;"), "extern crate std");
    for (text, word) in [
        ("use std::fs;", "std"),
        ("use alloc::collections::HashMap;", "HashMap"),
        ("fn f() { let s: hashbrown::HashSet<u8>; }", "HashSet"),
        ("fn f() { let at = Instant::now(); }", "Instant"),
        ("macro_rules! m { () => { SystemTime::now() } }", "SystemTime"),
        ("fn f() { log::info!(\"x\"); }", "log"),
        ("use tracing::debug;", "tracing"),
        ("#[cfg(test)] mod tests { use std::vec::Vec; }", "std"),
    ] {
        found("protocols/anya/src/sync.rs", text, word);
    }
    let innocent = "//! Speaks of std::fs.\n/* Instant */ const A: &str = \"std::fs HashMap\"; fn log() { b.log(); }";
    spares(purity::sources, &[("protocols/anya/src/sync.rs", innocent)]);
}

#[test]
fn every_file_begins_with_a_doc_line() {
    check(shape::doc_lines);
}

#[test]
fn a_missing_doc_line_is_found() {
    for text in ["", "use core::fmt;\n", "//!\n", "// Keeps.\n", "\n//! Keeps.\n", "//! keeps\n"] {
        bites(shape::doc_lines, &[("store/src/lib.rs", text)], &["doc line"]);
    }
    spares(shape::doc_lines, &[("store/src/lib.rs", "//! Keeps records.\n")]);
}

#[test]
fn files_and_functions_keep_their_size() {
    check(shape::sizes);
}

#[test]
fn an_oversized_file_or_function_is_found() {
    let lines = |count: usize| "    g();\n".repeat(count);
    let found = |text: &str, word: &str| bites(shape::sizes, &[("store/src/lib.rs", text)], &[word]);
    found(&"//\n".repeat(801), "801 lines");
    found(&format!("fn long() {{\n{}}}\n", lines(69)), "`long` has 71");
    found(&format!("impl A {{ fn long(&self) -> [u8; {{ 1 }}] {{\n{}}} }}\n", lines(69)), "`long` has 71");
    found(&format!("proptest! {{ #[test] fn long(a in 0..1) {{\n{}}} }}\n", lines(69)), "`long` has 71");
    found(&format!("fn a() {{ fn inner() {{\n{}}} }}\n", lines(69)), "`inner` has 71");
    found("fn a() {", "is not Rust");
    let fits = format!("/* {{ */ fn fits() {{\n{}}}\nconst F: fn() = fits;\n", lines(68));
    spares(shape::sizes, &[("store/src/lib.rs", &fits)]);
}

#[test]
fn names_say_something() {
    check(shape::names);
}

#[test]
fn an_empty_name_is_found() {
    for path in ["store/src/utils.rs", "node/src/common/a.rs", "node/tests/shared/mod.rs", "core/src/lib.rs"] {
        bites(shape::names, &[(path, "//! A.\n")], &["says nothing"]);
    }
    bites(shape::names, &[("store/src/lib.rs", "mod types { }")], &["types"]);
    bites(shape::names, &[("a/Cargo.toml", "[package]\nname = \"polypeer-misc\"\n")], &["misc"]);
    spares(shape::names, &[("engine/src/corelation.rs", "use core::fmt; mod typesetting {}")]);
}

#[test]
fn nothing_is_ignored_or_left_undone() {
    check(banned::words);
}

#[test]
fn what_is_ignored_or_left_undone_is_found() {
    for (text, word) in [
        ("#[test] # [ignore] fn a() {}", "ignore"),
        ("# [ignore = \"slow\"] fn a() {}", "ignore"),
        ("#[cfg_attr(miri, ignore)] fn a() {}", "ignore"),
        ("fn a() { todo !() }", "todo"),
        ("macro_rules! m { () => { unimplemented !(\"x\") } }", "unimplemented"),
        ("fn a() { assert ! ( true ); }", "asserts nothing"),
    ] {
        bites(banned::words, &[("store/src/lib.rs", text)], &[word]);
    }
    spares(banned::words, &[("store/src/lib.rs", "// # [ignore]\nfn ignore() { let todo = \"unimplemented!\"; }")]);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    check(banned::machine_paths);
}

#[test]
fn a_path_of_a_machine_is_found() {
    for path in ["/home/ada/a", "/root/.cargo", "/Users/ada", "C:\\Users\\ada"] {
        bites(banned::machine_paths, &[("README.md", &format!("see {path}\n"))], &["path of a machine"]);
    }
    spares(banned::machine_paths, &[("README.md", "https://example.org/home/page and /proc/self/status\n")]);
}

#[test]
fn every_protocol_has_the_same_rooms() {
    check(rooms::protocols);
}

#[test]
fn a_protocol_without_its_rooms_is_found() {
    let sample = [("protocols/x/Cargo.toml", "[package]\nname = \"polypeer-x\"\n"), ("protocols/x/src/lib.rs", "")];
    bites(rooms::protocols, &sample, &["handshake", "misbehavior", "tests/", "not listed"]);
}

#[test]
fn every_invariant_says_where_it_is_kept_and_checked() {
    check(records::invariants);
}

#[test]
fn an_invariant_without_a_check_is_found() {
    let bad = "# Invariants\n\n## 1. Water is wet\n\n- Enforced: by rain.\n- Checked by: `store/tests/a.rs` `gone`.\n";
    let source = ("store/tests/a.rs", "fn here() {}");
    bites(records::invariants, &[("INVARIANTS.md", bad), source], &["`gone`", "Otherwise"]);
    bites(records::invariants, &[("INVARIANTS.md", "# Invariants\n"), source], &["no invariant"]);
    bites(records::invariants, &[source], &["missing"]);
}

#[test]
fn tests_that_the_advisories_name_exist() {
    check(records::advisories);
}

#[test]
fn an_advisory_with_a_missing_test_is_found() {
    let bad = "# Advisories\n\n| T-LEN | lengths | `node/tests/a.rs` `gone` |\n";
    bites(records::advisories, &[("docs/advisories.md", bad)], &["`node/tests/a.rs`"]);
    bites(records::advisories, &[("docs/advisories.md", bad), ("node/tests/a.rs", "")], &["`gone`"]);
}

#[test]
fn what_the_source_document_of_bumo_names_is_there() {
    check(records::modules);
}

#[test]
fn a_module_of_the_source_document_without_a_room_is_found() {
    let heading = "## The modules of BUMO's source document\n| there | here |\n|---|---|\n";
    let map = format!("{heading}| `Peer` | `a/b.rs` `Peer` `gone` |\n| `Network` | nowhere |\n| `Lost` | `a/c.rs` |\n");
    let source = "## Module Structure\n\nClass | file\n|:--- | ---\n| `Peer` | x\n|`Broadcast`| x\n";
    let sample = [
        ("ARCHITECTURE.md", map.as_str()),
        ("docs/seeds/004_5581a22fe2ec4571.txt", source),
        ("docs/specs/bumo.md", "### 10.1 Border\n| Direction | Item |\n|---|---|\n| out | a letter |\n"),
        ("a/b.rs", "pub struct Peer; mod inner { // gone\n}"),
    ];
    let words =
        ["`a/b.rs` has no `gone`", "no row for `Broadcast`", "no row for a letter", "names no file", "no `a/c.rs`"];
    bites(records::modules, &sample, &words);
}

#[test]
fn the_map_of_mina_s_source_document_is_whole() {
    check(records::machines);
}

#[test]
fn an_item_of_mina_s_source_document_without_a_row_is_found() {
    let heading = "## Mina's source document, item by item\n| there | what | why | here |\n|---|---|---|---|\n";
    let map = format!(
        "{heading}| Title | heading | x | `a/b.rs` `Peer` `gone` `One` `two` |\n| `P2pState` | type | x | nowhere |\n\
         | Extra | item | x | `a/b.rs` |\n| `peers` | field | | `a/c.rs` |\n"
    );
    let source = "# Title\n```rust\npub struct P2pState {\n    pub peers: u8,\n    pub lost: u8,\n}\n```\n- **Bold**: x\n\
                  - [Link](a.md): x\n1. A step\n```mermaid\nnothing: x\n```\n";
    let sample = [
        ("ARCHITECTURE.md", map.as_str()),
        ("docs/seeds/001_7c55459788bba876.txt", source),
        ("a/b.rs", "pub struct Peer { pub a: u8 } enum Two { #[x] One { two: u8 } } // gone"),
    ];
    let words = [
        "`a/b.rs` has no `gone`",
        "no row for `lost`",
        "no row for Bold",
        "no row for Link",
        "no row for A step",
        "the document names no Extra",
        "`P2pState`: names no kind, no reason or no file",
        "`peers`: names no kind, no reason or no file",
        "there is no `a/c.rs`",
    ];
    bites(records::machines, &sample, &words);
    let sound = [
        ("ARCHITECTURE.md", &*format!("{heading}| Title | heading | x | `a/b.rs` `Two` `One` `two` `a` |\n")),
        ("docs/seeds/001_7c55459788bba876.txt", "# Title\n"),
        ("a/b.rs", "pub struct Peer { pub a: u8 } enum Two { #[x] One { two: u8 } }"),
    ];
    spares(records::machines, &sound);
}

#[test]
fn decision_records_are_numbered_and_titled() {
    check(records::decisions);
}

#[test]
fn an_untitled_decision_is_found() {
    let found = |path: &str, text: &str, word: &str| bites(records::decisions, &[(path, text)], &[word]);
    found("docs/decisions/0001-a.md", "some text\n", "title");
    found("docs/decisions/0001-a.md", "# 0002. A\n", "title");
    found("docs/decisions/notes.md", "# Notes\n", "name");
    found("docs/decisions/0002-b.md", "# 0002. B\n\n## Decision\n\nX.\n", "number 0001");
    found("docs/decisions/0001-a.md", "# 0001. A\n", "Decision");
}

#[test]
fn links_between_documents_lead_somewhere() {
    check(records::links);
}

#[test]
fn a_dead_link_is_found() {
    bites(records::links, &[("docs/a.md", "see [b](b.md) and `../gone/c.txt`")], &["b.md", "../gone/c.txt"]);
    spares(records::links, &[("docs/a.md", "[b](b.md#x) [w](https://w.org)"), ("docs/b.md", "")]);
}
