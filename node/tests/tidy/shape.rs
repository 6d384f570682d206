//! Keeps files and functions small, named and introduced.

use super::tokens::{each_run, functions, is_word, parse};
use super::tree::Tree;
use proc_macro2::TokenTree;

/// Lines of a file: by here it has a second subject.
const FILE_LINES_MAX: usize = 800;
/// Lines of a function, from `fn` to the closing brace: a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 9] = ["core", "common", "util", "utils", "types", "misc", "shared", "helpers", "stuff"];

/// Every source file begins with a line that says what it is for.
pub(crate) fn doc_lines(tree: &Tree) -> Vec<String> {
    let lacks = |text: &str| {
        let first = text.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default();
        !first.starts_with(|letter: char| letter.is_uppercase())
    };
    tree.rust()
        .filter(|(_, text)| lacks(text))
        .map(|(path, _)| format!("{path} does not begin with a doc line"))
        .collect()
}

/// No file and no function outgrows its limit.
pub(crate) fn sizes(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.rust() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path} has {lines} lines, more than {FILE_LINES_MAX}"));
        }
        match parse(path, text) {
            Ok(tokens) => complaints.extend(
                functions(tokens)
                    .into_iter()
                    .filter(|(_, lines)| *lines > FUNCTION_LINES_MAX)
                    .map(|(name, lines)| format!("{path}: `{name}` has {lines} lines, more than {FUNCTION_LINES_MAX}")),
            ),
            Err(wrong) => complaints.push(wrong),
        }
    }
    complaints
}

/// No crate, folder or module has a name that says nothing.
pub(crate) fn names(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut judge = |place: &str, name: &str| {
        if EMPTY_NAMES.contains(&name) {
            complaints.push(format!("{place}: the name {name} says nothing"));
        }
    };
    for (path, text) in tree.rust() {
        path.trim_end_matches(".rs").split('/').for_each(|name| judge(path, name));
        let Ok(tokens) = parse(path, text) else { continue };
        each_run(tokens, &mut |run| {
            for pair in run.windows(2) {
                if let (true, TokenTree::Ident(name)) = (is_word(pair.first(), "mod"), &pair[1]) {
                    judge(path, &name.to_string());
                }
            }
        });
    }
    for (folder, manifest) in tree.manifests() {
        let name = manifest.get("package").and_then(|package| package.get("name")?.as_str()).unwrap_or_default();
        name.split(['-', '_']).for_each(|part| judge(folder, part));
    }
    complaints
}
