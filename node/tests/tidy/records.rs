//! Keeps the documents true as far as a machine can tell: what they name exists.

use super::tokens::{functions, items, items_and_members, parse};
use super::tree::Tree;
use proc_macro2::TokenStream;

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

/// Everything that BUMO's source document and the border in its spec name has a row in the map, and every row leads to
/// what exists.
pub(crate) fn modules(tree: &Tree) -> Vec<String> {
    let text = |path: &str| tree.text(path).unwrap_or_default();
    let map = section(text("ARCHITECTURE.md"), "## The modules of BUMO's source document");
    let rows: Vec<Vec<&str>> = rows(map).collect();
    let classes = rows_of(text("docs/seeds/004_5581a22fe2ec4571.txt"), "## Module Structure", 0);
    let messages = text("docs/seeds/004_5581a22fe2ec4571.txt").lines().filter_map(|line| line.split_once("  #"));
    let messages = messages.map(|(name, _)| format!("`{}`", name.trim()));
    let border = rows_of(text("docs/specs/bumo.md"), "### 10.1 ", 1);
    let named: Vec<String> = classes.into_iter().chain(messages).chain(border).collect();
    let mut complaints = Vec::new();
    if named.len() < 17 {
        complaints.push(format!("the source document and the spec name {} things", named.len()));
    }
    for name in named.iter().filter(|name| !rows.iter().any(|row| row.first() == Some(&name.as_str()))) {
        complaints.push(format!("ARCHITECTURE.md has no row for {name}"));
    }
    for row in rows {
        let (title, rooms) = (row.first().unwrap_or(&""), row.last().unwrap_or(&""));
        if self::named(rooms).is_empty() {
            complaints.push(format!("ARCHITECTURE.md: {title}: names no file"));
        }
        complaints.extend(absent(tree, rooms, items).map(|what| format!("ARCHITECTURE.md: {title}: {what}")));
    }
    complaints
}

/// Everything that Mina's source document names (headings, types, fields, actions, steps, lists) has a row in the map, and
/// every row leads to what exists and says why it differs.
pub(crate) fn machines(tree: &Tree) -> Vec<String> {
    let text = |path: &str| tree.text(path).unwrap_or_default();
    let map = section(text("ARCHITECTURE.md"), "## Mina's source document, item by item");
    let rows: Vec<Vec<&str>> = rows(map).collect();
    let named = named_in_document(text("docs/seeds/001_7c55459788bba876.txt"));
    let mut complaints = Vec::new();
    for name in named.iter().filter(|name| !rows.iter().any(|row| row.first() == Some(&name.as_str()))) {
        complaints.push(format!("ARCHITECTURE.md has no row for {name}"));
    }
    for row in rows {
        let [title, kind, why, rooms] = row[..] else {
            complaints.push(format!("ARCHITECTURE.md: {row:?} has not four cells"));
            continue;
        };
        if !named.iter().any(|name| name == title) {
            complaints.push(format!("ARCHITECTURE.md: the document names no {title}"));
        }
        if kind.is_empty() || why.is_empty() || self::named(rooms).is_empty() {
            complaints.push(format!("ARCHITECTURE.md: {title}: names no kind, no reason or no file"));
        }
        complaints
            .extend(absent(tree, rooms, items_and_members).map(|what| format!("ARCHITECTURE.md: {title}: {what}")));
    }
    complaints
}

// Headings, steps, lists and links of a document as they stand, and in backticks what its code defines.
fn named_in_document(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut fence: Option<&str> = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        let name = match fence {
            None => named_in_prose(line).map(str::to_owned),
            Some("rust") => named_in_code(line).map(|name| format!("`{name}`")),
            Some(_) => None,
        };
        names.extend(name);
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn named_in_prose(line: &str) -> Option<&str> {
    if line.starts_with('#') {
        return Some(line.trim_start_matches('#').trim());
    }
    if let Some(item) = line.strip_prefix("- ") {
        let bold = item.strip_prefix("**").and_then(|item| item.split("**").next());
        let link = item.strip_prefix('[').and_then(|item| item.split(']').next());
        return bold.or(link).or(Some(item));
    }
    let (number, step) = line.split_once(". ")?;
    number.parse::<u32>().is_ok().then_some(step)
}

fn named_in_code(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("struct ").or(line.strip_prefix("enum ")).unwrap_or(line);
    let end = line.find(|one: char| !(one.is_alphanumeric() || one == '_'))?;
    let (name, rest) = line.split_at(end);
    (!name.is_empty() && (rest.starts_with(':') || rest.starts_with(" {"))).then_some(name)
}

// What is below a heading, up to the next one.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let below = text.split_once(heading).map_or("", |(_, below)| below);
    below.split("\n#").next().unwrap_or_default()
}

// Cells of the rows of all tables, without their heads and rules.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_rule = |line: &str| line.contains("---") && line.chars().all(|one| matches!(one, '|' | '-' | ' ' | ':'));
    let is_head: Vec<bool> = (0..lines.len()).map(|at| lines.get(at + 1).is_some_and(|next| is_rule(next))).collect();
    let bodies = lines.into_iter().zip(is_head).filter(move |(line, is_head)| !is_head && !is_rule(line));
    bodies
        .filter(|(line, _)| line.starts_with('|'))
        .map(|(line, _)| line.trim_matches('|').split('|').map(str::trim).collect())
}

fn rows_of(text: &str, heading: &str, column: usize) -> Vec<String> {
    rows(section(text, heading)).filter_map(|row| row.get(column).map(|cell| (*cell).to_owned())).collect()
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
    absent(tree, text, |tokens| functions(tokens).into_iter().map(|(name, _)| name).collect())
}

// What the text names that `present` does not find in the files that it names.
fn absent(tree: &Tree, text: &str, present: fn(TokenStream) -> Vec<String>) -> impl Iterator<Item = String> {
    let mut complaints = Vec::new();
    for (path, names) in named(text) {
        let Some(source) = tree.text(path) else {
            complaints.push(format!("there is no `{path}`"));
            continue;
        };
        let present = parse(path, source).map(present).unwrap_or_default();
        let absent = names.into_iter().filter(|name| !present.iter().any(|present| present == name));
        complaints.extend(absent.map(|name| format!("`{path}` has no `{name}`")));
    }
    complaints.into_iter()
}
