//! Looks whether the book is true: its chapters, the keys that it lists, the commands, files and paths that it shows.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer::config::{Config, Key, LIMITS, NETWORK, NODE, TRACKER};
use polypeer::networks::ENTRIES;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use support::{output, text};

/// The chapter that is made here.
const KEYS: &str = "keys.md";
/// Set, the chapter is written instead of compared.
const WRITE: &str = "POLYPEER_TEST_WRITE";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn source() -> PathBuf {
    root().join("docs/book/src")
}

/// The book's chapters and what else shows commands, by name.
fn pages() -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut folders = vec![source()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let name = path.strip_prefix(source()).unwrap().to_str().unwrap().to_owned();
                pages.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(pages.len() > 10, "the book was not found");
    pages
}

/// The blocks of code in this language.
fn blocks<'a>(page: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    // Behind every second fence stands a language, and then the block.
    let inside = page.split("```").skip(1).step_by(2);
    inside.filter_map(move |block| block.strip_prefix(language)?.strip_prefix('\n'))
}

#[test]
fn every_chapter_is_listed_and_every_listed_one_is_there() {
    let summary = fs::read_to_string(source().join("SUMMARY.md")).unwrap();
    let listed: Vec<_> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let listed_once: BTreeSet<_> = listed.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed.len(), listed_once.len(), "a chapter is listed twice");
    let there = pages().into_iter().map(|(name, _)| name).filter(|name| name != "SUMMARY.md");
    assert_eq!(listed_once, there.collect::<BTreeSet<_>>());
}

#[test]
fn what_chapters_include_is_there() {
    let mut count = 0;
    for (name, page) in pages() {
        for include in page.split("{{#include ").skip(1).filter_map(|rest| rest.split("}}").next()) {
            count += 1;
            let (file, anchor) = include.split_once(':').unwrap_or((include, ""));
            let file = source().join(&name).parent().unwrap().join(file);
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name} includes {include}: {error}"));
            for end in ["ANCHOR", "ANCHOR_END"].iter().filter(|_| !anchor.is_empty()) {
                let comment = format!("<!-- {end}: {anchor} -->");
                let lines = text.lines().filter(|line| *line == comment).count();
                assert_eq!(lines, 1, "{name} includes {include}, which wants one line {comment}");
            }
        }
    }
    assert!(count > 5, "only {count} includes");
}

#[test]
fn the_chapter_of_keys_is_what_the_program_says() {
    let (path, made) = (source().join(KEYS), keys());
    if std::env::var_os(WRITE).is_some() {
        fs::write(&path, &made).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let differs = there.lines().zip(made.lines()).find(|(there, made)| there != made);
    assert!(there == made, "{KEYS} is old: make it anew with {WRITE}=1; the first difference: {differs:?}");
}

fn keys() -> String {
    let mut page = "# Every key\n\
        This chapter is the program's own table of keys, as `polypeer config schema` has it for machines. A key without a \
        default is unset. In the environment `[SECTION] key` is `POLYPEER_SECTION__KEY`, in upper case and with `_` for \
        `-`.\n"
        .to_owned();
    put(&mut page, "`[node]`: what the process has once", &[NODE]);
    put(&mut page, "`[limits]`: what all networks share or hold to", &[LIMITS]);
    put(&mut page, "`[tracker]`: what the Hello tracker needs besides its network's section", &[TRACKER]);
    put(&mut page, "Every network's section", &[NETWORK]);
    for entry in ENTRIES {
        let presets: Vec<_> = entry.presets.iter().map(|preset| format!("`[{}]`", preset.name)).collect();
        put(&mut page, &format!("Sections of `{}`: {}", entry.protocol, presets.join(", ")), entry.keys);
        put(&mut page, &format!("Networks of your own that speak `{}`", entry.protocol), &[entry.own_keys]);
    }
    page
}

fn put(page: &mut String, title: &str, keys: &[&[Key]]) {
    // Writing to a string never fails.
    let _ = write!(page, "\n## {title}\n| key | takes | default | |\n|---|---|---|---|\n");
    for key in keys.iter().copied().flatten() {
        let default =
            key.default.map_or_else(String::new, |text| format!("`{}`", key.kind.parse(text).unwrap().to_toml()));
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", key.name, key.kind, key.doc.replace('|', "\\|"));
    }
}

#[test]
fn configurations_that_are_shown_are_good() {
    let mut count = 0;
    for (name, page) in pages() {
        for block in blocks(&page, "toml") {
            count += 1;
            let loaded = Config::parse(Path::new(&name), block);
            assert!(loaded.is_ok(), "{name}: {}\n{block}", loaded.unwrap_err());
        }
    }
    assert!(count > 3, "only {count} configurations");
}

#[test]
fn commands_that_are_shown_are_taken() {
    let mut pages = pages();
    pages.push(("README.md".into(), fs::read_to_string(root().join("README.md")).unwrap()));
    let mut seen = BTreeSet::new();
    for (name, page) in pages {
        for command in blocks(&page, "sh").flat_map(commands) {
            if !seen.insert(command.clone()) {
                continue;
            }
            let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
            let help = output(&args);
            assert!(help.status.success(), "{name}: {command:?}: {}", text(&help.stderr));
        }
    }
    assert!(seen.len() > 30, "only {} commands", seen.len());
}

/// What follows `polypeer` in each command of a shell's block.
fn commands(block: &str) -> Vec<Vec<String>> {
    let block = block.replace("\\\n", " ");
    let ends = |word: &String| ["|", "&&", ";", "&"].contains(&word.as_str());
    let of_line = |line: &str| words(line).split(ends).map(<[_]>::to_vec).collect::<Vec<_>>();
    let ours = |command: Vec<String>| {
        let own = command.iter().skip_while(|word| is_before(word)).cloned().collect::<Vec<_>>();
        Some(own.strip_prefix(&["polypeer".to_owned()])?.to_vec())
    };
    block.lines().flat_map(of_line).filter_map(ours).collect()
}

/// Whether a word may stand before the command itself: a variable, or what runs it as another user or elsewhere.
fn is_before(word: &str) -> bool {
    word.contains('=') || ["sudo", "docker", "exec", "node"].contains(&word)
}

/// The words of a line, as a shell would have them, up to a comment or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut is_open, mut quote) = (false, None);
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => (quote, is_open) = (Some(letter), push_if(!is_open, &mut words)),
            (letter, Some(end)) if letter == end => quote = None,
            ('#' | '>', None) if !is_open => break,
            (letter, None) if letter.is_whitespace() => is_open = false,
            (letter, _) => {
                is_open = push_if(!is_open, &mut words);
                words.last_mut().unwrap().push(letter);
            }
        }
    }
    words
}

/// Begins a word where none was begun. Now one is.
fn push_if(is_new: bool, words: &mut Vec<String>) -> bool {
    if is_new {
        words.push(String::new());
    }
    true
}

#[test]
fn a_shell_s_words_are_found() {
    let block = "polypeer run --network x \\\n    --produce   # makes blocks\n\
                 A=1 sudo polypeer why 1 | polypeer-not && polypeer 'a b' > out\ncargo run polypeer\n";
    let expected: [&[&str]; 3] = [&["run", "--network", "x", "--produce"], &["why", "1"], &["a b"]];
    assert_eq!(commands(block), expected);
}

#[test]
fn paths_of_the_api_that_are_shown_are_there() {
    let document = serde_json::to_value(polypeer::api::document()).unwrap();
    let known: BTreeSet<String> = document["paths"].as_object().unwrap().keys().map(|path| shape(path)).collect();
    let mut count = 0;
    for (name, page) in pages() {
        for code in page.split('`').skip(1).step_by(2) {
            let path = code.trim_start_matches(|letter: char| letter.is_ascii_uppercase() || letter == ' ');
            if !path.starts_with("/api/") {
                continue;
            }
            count += 1;
            let path = path.split('?').next().unwrap();
            assert!(known.contains(&shape(path)), "{name}: the API has no {path}, but {known:?}");
        }
    }
    assert!(count > 10, "only {count} paths");
}

/// A path whose parameters have no names.
fn shape(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn the_book_says_what_to_do_about_every_alert() {
    let alerts = fs::read_to_string(root().join("dist/prometheus/alerts.yml")).unwrap();
    let page = fs::read_to_string(source().join("metrics.md")).unwrap();
    let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("| `{name}` |")), "metrics.md says nothing of {name}");
    }
}
