//! Keeps the documents true as far as a machine can tell: what they name exists.

use super::tokens::{functions, parse};
use super::tree::Tree;

/// What every invariant tells.
const PARTS: [&str; 3] = ["- Enforced: ", "- Otherwise: ", "- Checked by: "];

/// Every invariant says where it is enforced, what breaks otherwise, and which existing check exercises it.
pub(crate) fn invariants(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text("INVARIANTS.md") else { return vec!["INVARIANTS.md is missing".to_owned()] };
    let text = text.split("\n# ").next().unwrap_or_default(); // What follows is not promised.
    let mut complaints = Vec::new();
    let sections: Vec<&str> = text.split("\n## ").skip(1).collect();
    if sections.is_empty() {
        complaints.push("INVARIANTS.md has no invariant".to_owned());
    }
    for section in sections {
        let title = section.lines().next().unwrap_or_default();
        for part in PARTS {
            if !section.lines().any(|line| line.starts_with(part)) {
                complaints.push(format!("INVARIANTS.md: {title}: no line that begins with {part:?}"));
            }
        }
        let checks: Vec<&str> = section.split("- Checked by: ").skip(1).collect();
        if checks.iter().all(|text| named(text).is_empty()) {
            complaints.push(format!("INVARIANTS.md: {title}: names no check"));
        }
        for check in checks {
            complaints.extend(missing(tree, check).map(|what| format!("INVARIANTS.md: {title}: {what}")));
        }
    }
    complaints
}

/// Tests named by the list of advisories exist.
pub(crate) fn advisories(tree: &Tree) -> Vec<String> {
    let Some(text) = tree.text("docs/advisories.md") else { return vec!["docs/advisories.md is missing".to_owned()] };
    let lines = text.lines().filter(|line| line.starts_with('|'));
    lines.flat_map(|line| missing(tree, line).map(|what| format!("docs/advisories.md: {what}"))).collect()
}

/// Decision records are numbered without a gap, titled, and say what was decided.
pub(crate) fn decisions(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let records = tree.files().filter_map(|(path, text)| Some((path.strip_prefix("docs/decisions/")?, text)));
    for (expected, (name, text)) in (1..).zip(records) {
        let number = name.split('-').next().unwrap_or_default();
        if number.len() != 4 || !number.bytes().all(|byte| byte.is_ascii_digit()) || !name.ends_with(".md") {
            complaints.push(format!("{name}: a decision's name is NNNN-title.md"));
            continue;
        }
        if number != format!("{expected:04}") {
            complaints.push(format!("{name}: the decision with number {expected:04} is missing"));
        }
        let title = text.lines().next().and_then(|line| line.strip_prefix(&format!("# {number}. ")));
        if title.is_none_or(|title| title.trim().is_empty()) {
            complaints.push(format!("{name} has no title `# {number}. ...`"));
        }
        for part in ["## Context", "## Decision", "## Consequences"] {
            if !text.lines().any(|line| line == part) {
                complaints.push(format!("{name} has no {part}"));
            }
        }
    }
    complaints
}

/// Links and names of files that begin with `../` lead to something in the tree.
pub(crate) fn links(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| path.ends_with(".md")) {
        let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let named = text.split('`').filter(|code| code.starts_with("../"));
        for link in linked.chain(named) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            let resolved = resolve(path, target);
            if !resolved.is_empty() && !tree.exists(&resolved) {
                complaints.push(format!("{path} links to {link}, which is not there"));
            }
        }
    }
    complaints
}

fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

// Pairs of a file and the functions that are named after it, each in backticks.
fn named(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for code in text.split('`').skip(1).step_by(2) {
        if code.ends_with(".rs") && code.contains('/') {
            found.push((code, Vec::new()));
        } else if let Some((_, functions)) = found.last_mut() {
            functions.push(code);
        }
    }
    found
}

fn missing(tree: &Tree, text: &str) -> impl Iterator<Item = String> {
    let mut complaints = Vec::new();
    for (path, names) in named(text) {
        let Some(source) = tree.text(path) else {
            complaints.push(format!("there is no `{path}`"));
            continue;
        };
        let present = parse(path, source).map(functions).unwrap_or_default();
        let absent = names.into_iter().filter(|name| !present.iter().any(|(present, _)| present == name));
        complaints.extend(absent.map(|name| format!("`{path}` has no `{name}`")));
    }
    complaints.into_iter()
}
