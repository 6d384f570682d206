//! Finds what must not land: tests that are skipped or assert nothing, code left undone, paths of one machine.

use super::tokens::{each_run, group, is_mark, is_word, parse};
use super::tree::Tree;
use proc_macro2::{Delimiter, TokenTree};

/// Macros that stand for code that is missing.
const UNDONE: [&str; 2] = ["todo", "unimplemented"];

/// Where machines keep what is theirs. In pieces, so that this file does not name them.
const MACHINE: [(&str, &str); 5] =
    [("/ho", "me/"), ("/ro", "ot/"), ("/wo", "rk/"), ("/Use", "rs/"), (":\\Use", "rs\\")];

/// Nothing is ignored, undone, or asserted for show.
pub(crate) fn words(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.rust() {
        let Ok(tokens) = parse(path, text) else {
            complaints.push(format!("{path} is not Rust"));
            continue;
        };
        each_run(tokens, &mut |run| {
            for (at, token) in run.iter().enumerate() {
                if is_mark(Some(token), '#') && ignores(run.get(at + 1)) {
                    complaints.push(format!("{path} has a test marked ignore"));
                }
                let is_macro = is_mark(run.get(at + 1), '!');
                for word in UNDONE.iter().filter(|word| is_macro && is_word(Some(token), word)) {
                    complaints.push(format!("{path} has a {word}"));
                }
                let asserts = is_macro && is_word(Some(token), "assert");
                let about = group(run.get(at + 2), Delimiter::Parenthesis).filter(|_| asserts);
                if about.is_some_and(|about| is_word(about.stream().into_iter().next().as_ref(), "true")) {
                    complaints.push(format!("{path} asserts nothing"));
                }
            }
        });
    }
    complaints
}

fn ignores(token: Option<&TokenTree>) -> bool {
    let Some(attribute) = group(token, Delimiter::Bracket) else { return false };
    let mut found = is_word(attribute.stream().into_iter().next().as_ref(), "ignore");
    if is_word(attribute.stream().into_iter().next().as_ref(), "cfg_attr") {
        each_run(attribute.stream(), &mut |run| found |= run.iter().any(|token| is_word(Some(token), "ignore")));
    }
    found
}

/// No text names a place on the machine that it was written on.
pub(crate) fn machine_paths(tree: &Tree) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| *path != "node/tests/tidy.rs") {
        for (number, line) in text.lines().enumerate() {
            for (first, second) in MACHINE {
                let needle = [first, second].concat();
                let starts = line.match_indices(&needle).map(|(at, _)| line[..at].chars().next_back());
                if starts.into_iter().any(|before| before.is_none_or(|before| !is_within_path(before))) {
                    complaints.push(format!("{path}:{}: a path of a machine, {needle}", number + 1));
                }
            }
        }
    }
    complaints
}

// Whether a path goes on here: `https://a.org/home/` and `benches/work/` are no absolute paths.
fn is_within_path(before: char) -> bool {
    before.is_alphanumeric() && !before.is_uppercase() || matches!(before, '/' | '.' | '_' | '-' | '}' | ')')
}
