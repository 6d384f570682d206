//! Looks whether what is delivered beside the program is true: its metrics, its keys, its files, its command lines.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer::config::{Config, Section};
use polypeer::networks::ENTRIES;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use support::{Daemon, ask, folder, output, text};

/// Labels that a scrape gives, not the node.
const OF_SCRAPE: [&str; 2] = ["instance", "job"];
/// Networks have whatever names operators give them.
const NAMES: &str = "network";

/// The values of each label of each metric.
type Shown = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(name: &str) -> Json {
    serde_json::from_str(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn dashboards() -> Vec<Json> {
    ["dist/grafana/networks.json", "dist/grafana/limits.json"].map(json).to_vec()
}

/// What a node of every built-in protocol shows.
fn shown() -> Shown {
    let folder = folder();
    let mut args = vec!["run".to_owned()];
    for entry in ENTRIES {
        args.extend(["--network".to_owned(), entry.devnet.to_owned()]);
        args.extend(["--listen".to_owned(), format!("{}=127.0.0.1:0", entry.devnet)]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let node = Daemon::start(&args, folder.path(), &[]);
    let (status, text) = ask(node.started["metrics"].as_str().unwrap(), "GET", "/metrics", None, None);
    assert_eq!(status, 200, "{text}");
    let mut shown = Shown::new();
    for line in text.as_str().unwrap().lines().filter(|line| !line.starts_with('#')) {
        for (name, labels) in uses(line) {
            let known = shown.entry(name).or_default();
            for (label, value) in labels {
                known.entry(label).or_default().insert(value);
            }
        }
    }
    assert!(shown.len() > 15, "{shown:?}");
    shown
}

/// Every metric that a text names, with the labels and values of the braces behind it.
fn uses(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("polypeer_") {
        if text[..at].ends_with(is_name) {
            continue;
        }
        let end = text[at..].find(|letter| !is_name(letter)).map_or(text.len(), |length| at + length);
        let braces = text[end..].strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let label = |matcher: &str| {
            let (label, value) = matcher.split_once('=')?;
            let value = value.trim_start_matches('~').trim().trim_matches('"');
            Some((label.trim_end_matches('!').trim().to_owned(), value.to_owned()))
        };
        found.push((text[at..end].to_owned(), braces.split(',').filter_map(label).collect()));
    }
    found
}

/// What a text gets wrong about metrics.
fn complaints(shown: &Shown, place: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, labels) in uses(text) {
        let Some(known) = shown.get(&name) else {
            complaints.push(format!("{place}: no node shows {name}"));
            continue;
        };
        for (label, values) in labels.iter().filter(|(label, _)| !OF_SCRAPE.contains(&label.as_str())) {
            match known.get(label) {
                None => complaints.push(format!("{place}: {name} has no label {label}")),
                Some(_) if label == NAMES || values.starts_with('$') => {}
                Some(known) => {
                    let unknown = values.split('|').filter(|value| !known.contains(*value));
                    complaints.extend(unknown.map(|value| format!("{place}: {name} has no {label} {value}")));
                }
            }
        }
    }
    complaints
}

/// Labels by which a text groups and that no metric has.
fn unknown_groups(shown: &Shown, place: &str, text: &str) -> Vec<String> {
    let known: BTreeSet<&str> = shown.values().flat_map(BTreeMap::keys).map(String::as_str).chain(OF_SCRAPE).collect();
    let mut complaints = Vec::new();
    for words in ["by (", "on (", "without ("] {
        for rest in text.split(words).skip(1) {
            let labels = rest.split(')').next().unwrap_or_default().split(',').map(str::trim);
            complaints
                .extend(labels.filter(|label| !known.contains(label)).map(|label| format!("{place}: by {label}")));
        }
    }
    complaints
}

/// Every text below a value that stands under one of these names.
fn texts<'a>(value: &'a Json, names: &[&str], found: &mut Vec<&'a str>) {
    match value {
        Json::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if names.contains(&name.as_str()) => found.push(text),
                    _ => texts(value, names, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| texts(item, names, found)),
        _ => {}
    }
}

#[test]
fn every_metric_that_is_named_is_shown_by_a_node() {
    let shown = shown();
    let mut wrong = Vec::new();
    let mut queries = 0;
    wrong.extend(complaints(&shown, "metrics.md", &read("docs/book/src/metrics.md")));
    for name in ["dist/prometheus/alerts.yml", "dist/prometheus/alerts.test.yml"] {
        wrong.extend(complaints(&shown, name, &read(name)));
        wrong.extend(unknown_groups(&shown, name, &read(name)));
    }
    for dashboard in dashboards() {
        let mut found = Vec::new();
        texts(&dashboard, &["expr", "query", "legendFormat"], &mut found);
        queries += found.len();
        for text in found {
            wrong.extend(complaints(&shown, &dashboard["title"].to_string(), text));
            wrong.extend(unknown_groups(&shown, &dashboard["title"].to_string(), text));
            let fields = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
            let as_group: String = fields.map(|field| format!("by ({field})")).collect();
            wrong.extend(unknown_groups(&shown, &dashboard["title"].to_string(), &as_group));
        }
    }
    assert!(queries > 40, "only {queries} queries");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_metric_or_label_that_no_node_shows_is_found() {
    let mut shown = Shown::new();
    shown.entry("polypeer_a_total".into()).or_default().entry("reason".into()).or_default().insert("late".into());
    for (text, word) in [
        ("rate(polypeer_b_total[5m])", "polypeer_b_total"),
        ("polypeer_a_total{cause=\"late\"}", "no label cause"),
        ("polypeer_a_total{job=~\"$job\", reason=~\"late|lost\"}", "no reason lost"),
        ("polypeer_a", "polypeer_a"),
    ] {
        let wrong = complaints(&shown, "here", text);
        assert!(wrong.len() == 1 && wrong[0].ends_with(word), "{text}: {wrong:?}");
    }
    let good = "x_polypeer_b polypeer_a_total{instance=\"a\", reason=\"late\"} / polypeer_a_total{reason=~\"$reason\"}";
    assert_eq!(complaints(&shown, "here", good), [""; 0]);
    assert_eq!(unknown_groups(&shown, "here", "sum by (job, cause) (x) + on (reason) x"), ["here: by cause"]);
}

#[test]
fn panels_have_places_titles_and_words_of_their_own() {
    let all = dashboards();
    let uids: BTreeSet<_> = all.iter().map(|dashboard| dashboard["uid"].as_str().unwrap().to_owned()).collect();
    assert_eq!(uids.len(), all.len(), "two dashboards have one uid");
    for dashboard in &all {
        let panels = dashboard["panels"].as_array().unwrap();
        assert!(panels.len() > 5, "{}", dashboard["title"]);
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "two panels of {} have one id", dashboard["title"]);
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            assert!(!title.is_empty() && !panel["description"].as_str().unwrap().is_empty(), "{panel}");
            let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
            assert!(at("x") + at("w") <= 24, "{title} is wider than the page");
            for (x, y) in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
                assert!(taken.insert((x, y)), "{title} lies upon another");
            }
        }
        for link in dashboard["links"].as_array().unwrap() {
            let uid = link["url"].as_str().unwrap().strip_prefix("/d/").unwrap();
            assert!(uids.contains(uid), "{uid} is linked to and not there");
        }
    }
}

/// The configuration's lines with a `#` and no space behind it are settings.
fn with_examples(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_default_configuration_is_good_and_names_the_defaults() {
    let text = read("dist/polypeer.toml");
    let load = |text: &str| Config::parse(Path::new("polypeer.toml"), text).unwrap_or_else(|error| panic!("{error}"));
    let (plain, full, default) = (load(&text), load(&with_examples(&text)), Config::defaults());
    assert_eq!(plain.node.list("network"), ["anya-devnet"]);
    assert!(full.networks.contains_key("mine"), "an own network is shown");
    let compare = |name: &str, plain: &Section, full: &Section, default: &Section| {
        let values = |key: &str| [plain, full, default].map(|section| section.get(key).map(|setting| &setting.value));
        for key in &default.keys {
            if let [plain, Some(full), Some(default)] = values(key.name)
                && plain == Some(default)
            {
                assert_eq!(full, default, "[{name}] {}: the example is not the default", key.name);
            }
        }
    };
    compare("node", &plain.node, &full.node, &default.node);
    compare("limits", &plain.limits, &full.limits, &default.limits);
}

#[test]
fn the_package_holds_what_the_service_starts() {
    let unit = read("dist/systemd/polypeer.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let words: Vec<&str> = start.split_whitespace().collect();
    assert_eq!(words[0], "/usr/bin/polypeer");
    let help = output(&[&words[1..], &["--help"]].concat());
    assert!(help.status.success(), "{start}: {}", text(&help.stderr));
    let config = *words.iter().skip_while(|word| **word != "--config").nth(1).unwrap();

    let manifest: toml::Table = read("node/Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let installed: Vec<String> = package["assets"].as_array().unwrap().iter().flat_map(asset).collect();
    for wanted in [words[0], config] {
        assert!(installed.iter().any(|file| file == wanted), "{wanted} is not in {installed:?}");
    }
    assert_eq!(package["conf-files"].as_array().unwrap(), &[toml::Value::from(config)]);
    for script in ["postinst", "postrm"] {
        let script = read(&format!("node/{}/{script}", package["maintainer-scripts"].as_str().unwrap()));
        assert!(script.starts_with("#!/bin/sh\n") && script.contains("\n#DEBHELPER#\n"), "{script}");
    }
    let units = package["systemd-units"]["unit-scripts"].as_str().unwrap();
    assert_eq!(read(&format!("node/{units}/polypeer.service")), unit);
    let changelog = read("dist/debian/changelog");
    assert!(changelog.starts_with(&format!("polypeer ({}-", env!("CARGO_PKG_VERSION"))), "{changelog}");
}

/// Where the files of an asset of the package are installed.
fn asset(asset: &toml::Value) -> Vec<String> {
    let part = |index: usize| asset[index].as_str().unwrap();
    let (source, to) = (Path::new(part(0)), part(1));
    let (within, name) = (source.parent().unwrap(), source.file_name().unwrap().to_str().unwrap());
    let names = match name.strip_prefix('*') {
        // What the release build and dist/debian/build leave there.
        _ if within == Path::new("target/release") => vec![name.to_owned()],
        None => vec![name.to_owned()],
        Some(ending) => {
            let files = fs::read_dir(path("node").join(within)).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.ends_with(ending)).collect()
        }
    };
    assert!(!names.is_empty(), "{} is nothing", source.display());
    for name in names.iter().filter(|_| within != Path::new("target/release")) {
        assert!(path("node").join(within).join(name).is_file(), "there is no {}", source.display());
    }
    let whole = |name: &String| if to.ends_with('/') { format!("/{to}{name}") } else { format!("/{to}") };
    names.iter().map(whole).collect()
}

#[test]
fn everything_agrees_about_the_data_folder() {
    const DATA: &str = "/var/lib/polypeer";
    let config = Config::parse(Path::new("polypeer.toml"), &read("dist/polypeer.toml")).unwrap();
    assert_eq!(config.node.text("data_dir"), Some(DATA));
    let unit = read("dist/systemd/polypeer.service");
    assert!(unit.lines().any(|line| line == "StateDirectory=polypeer"), "{unit}");
    for name in ["dist/systemd/sysusers.d/polypeer.conf", "dist/systemd/tmpfiles.d/polypeer.conf", "Dockerfile"] {
        assert!(read(name).split_whitespace().any(|word| word == DATA), "{name} names another folder");
    }
}
