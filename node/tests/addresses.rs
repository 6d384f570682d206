//! Takes an address book out of one node and into another, and refuses what is damaged.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::{Value as Json, json};
use std::path::Path;
use support::{Daemon, folder, output};

const NETWORK: &str = "hello-devnet";

fn run(daemon: &Daemon, folder: &Path, args: &[&str]) -> (i32, String, String) {
    let reach = ["--data-dir", folder.to_str().unwrap(), "--network", NETWORK];
    let out = output(&[&["addresses"][..], args, &reach].concat());
    assert!(daemon.id() > 0);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (out.status.code().unwrap(), text(out.stdout), text(out.stderr))
}

fn book(daemon: &Daemon) -> Vec<Json> {
    daemon.look("addresses").as_array().unwrap().clone()
}

fn start(folder: &Path) -> Daemon {
    Daemon::run(NETWORK, folder, &["--no-discovery"])
}

fn entries(count: u16) -> Vec<Json> {
    let entry = |n: u16| {
        let last_success = n.is_multiple_of(2).then_some(1_767_225_600_000_u64);
        json!({
            "address": format!("127.0.{}.{}:9", n / 200, 1 + n % 200), "proven": n.is_multiple_of(2),
            "tried": n.is_multiple_of(2), "source": "10.0.0.1", "last_seen": 1_767_225_600_000_u64,
            "last_tried": 1_767_225_600_000_u64, "last_success": last_success, "failures": n % 3,
        })
    };
    (0..count).map(entry).collect()
}

#[test]
fn a_book_goes_from_one_node_to_another() {
    let (one, other) = (folder(), folder());
    let daemon = start(one.path());
    let file = one.path().join("made.json");
    std::fs::write(&file, json!({ "version": 1, "addresses": entries(600) }).to_string()).unwrap();
    let (code, said, _) = run(&daemon, one.path(), &["import", file.to_str().unwrap()]);
    assert_eq!(code, 0);
    let first = book(&daemon);
    assert!(first.len() > 580, "{} of 600 found a place", first.len());
    assert!(said.contains(&format!("600 addresses read, {} of them new", first.len())), "{said}");
    assert!(first.iter().filter(|entry| entry["tried"] == true).count() > 280);

    let written = one.path().join("book.json");
    let (code, said, _) = run(&daemon, one.path(), &["export", written.to_str().unwrap()]);
    assert_eq!((code, said.contains(&format!("{} addresses", first.len()))), (0, true), "{said}");
    let (_, printed, _) = run(&daemon, one.path(), &["export"]);
    assert_eq!(printed, std::fs::read_to_string(&written).unwrap());
    assert_eq!(printed.lines().count(), first.len() + 2, "one entry a line");

    let second = start(other.path());
    let (code, ..) = run(&second, other.path(), &["import", written.to_str().unwrap()]);
    assert_eq!(code, 0);
    // Another secret puts them elsewhere, where two may want one place.
    let known = book(&second);
    assert!(known.len() > first.len() - 20 && known.iter().filter(|entry| first.contains(entry)).count() > 540);
    let (code, said, _) = run(&second, other.path(), &["import", written.to_str().unwrap()]);
    assert_eq!((code, known), (0, book(&second)), "again changes nothing: {said}");
}

#[test]
fn a_damaged_book_is_refused_as_a_whole() {
    let folder = folder();
    let daemon = start(folder.path());
    let whole = format!(
        "{{\"version\":1,\"addresses\":[\n{}\n]}}\n",
        entries(30).iter().map(Json::to_string).collect::<Vec<_>>().join(",\n")
    );
    let file = folder.path().join("book.json");
    for (text, word) in [
        (whole[..whole.len() / 2].to_owned(), "EOF while parsing"),
        (whole.replace("127.0.0.21:9", "127.0.0.21"), "line 2"),
        (whole.replace("127.0.0.21:9", "0.0.0.0:9"), "no `IP:PORT`"),
        (whole.replacen("\"10.0.0.1\"", "\"somewhere\"", 1), "the source is no IP address"),
        (whole.replace("\"version\":1", "\"version\":2"), "version is 2"),
        (whole.replacen("\"failures\":0", "\"failures\":-1", 1), "line 2"),
        ("{}".to_owned(), "missing field"),
        ("\u{0}".repeat(1_000), "line 1 column"),
        (String::new(), "line 1 column"),
    ] {
        std::fs::write(&file, &text).unwrap();
        let (code, said, why) = run(&daemon, folder.path(), &["import", file.to_str().unwrap()]);
        assert_eq!((code, said.as_str()), (1, ""), "{word}: {why}");
        assert!(why.contains(word) && why.contains("nothing was imported"), "{word}: {why}");
        let has_place = why.contains(" at line ") && why.contains(" column ");
        assert!(has_place || word == "version is 2", "{word}: {why}");
        assert_eq!(why.lines().count(), 1, "{why}");
        assert_eq!(book(&daemon), [] as [Json; 0], "{word}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "the file is untouched");
    }
    let (code, _, why) = run(&daemon, folder.path(), &["import", "/nonexistent/book.json"]);
    assert_eq!((code, why.contains("/nonexistent/book.json")), (1, true), "{why}");
}
