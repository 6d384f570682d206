//! Runs the private networks that a newcomer sees first.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::Value as Json;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use support::{finish, output, polypeer, text};

#[test]
fn both_networks_end_on_one_chain_with_every_transaction() {
    let args = ["devnet", "--networks", "anya,hello", "--nodes", "4", "--for", "6s", "--tx-rate", "20", "--json"];
    let output = output(&[&args[..], &["--produce-interval", "300ms"]].concat());
    let lines: Vec<Json> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(output.status.success(), "{}\n{:?}", text(&output.stderr), lines.last());
    assert_eq!(lines[0]["event"], "started");
    assert!(lines.iter().any(|line| line["event"] == "progress"));
    let summary = lines.last().unwrap();
    assert_eq!((&summary["event"], &summary["ok"]), (&Json::from("summary"), &Json::from(true)));
    for network in summary["networks"].as_array().unwrap() {
        let number = |key: &str| network[key].as_u64().unwrap();
        assert!(network["tips_equal"] == true && network["nodes"] == 4, "{network}");
        assert!(number("height") >= 10 && number("messages") > 100, "{network}");
        assert!(number("sent") >= 20, "{network}");
        assert_eq!((number("confirmed"), number("everywhere")), (number("sent"), number("sent")), "{network}");
        for kind in ["blocks", "transactions"] {
            let (p50, p99) = (network[kind]["p50_ms"].as_f64().unwrap(), network[kind]["p99_ms"].as_f64().unwrap());
            assert!(0.0 < p50 && p50 <= p99 && p99 < 10_000.0, "{network}");
        }
    }
}

#[test]
fn mina_nodes_follow_one_chain_of_slots_and_every_transaction_is_everywhere() {
    // Slots are three seconds long at least, as a block that comes when its slot is over is not relayed.
    let args = ["devnet", "--networks", "mina", "--nodes", "3", "--for", "24s", "--tx-rate", "5", "--json"];
    let output = output(&args);
    let lines: Vec<Json> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(output.status.success(), "{}\n{:?}", text(&output.stderr), lines.last());
    let network = &lines.last().unwrap()["networks"][0];
    let number = |key: &str| network[key].as_u64().unwrap();
    assert!(network["tips_equal"] == true && network["nodes"] == 3, "{network}");
    assert!(number("height") >= 3 && number("messages") > 100, "{network}");
    assert!(number("sent") >= 20 && number("confirmed") > 0, "{network}");
    assert_eq!(number("everywhere"), number("sent"), "{network}");
}

#[test]
fn an_interrupt_ends_it_with_a_summary() {
    let mut command =
        polypeer(&["devnet", "--networks", "hello", "--nodes", "2", "--produce-interval", "200ms", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let started: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let api = started["api"].as_str().unwrap().trim_end_matches('/').to_owned();
    support::eventually("blocks are made", || {
        let (_, status) = support::ask(&api, "GET", "/api/v1/status", None, None);
        (status["networks"][1]["height"].as_u64()? > 2).then_some(())
    });
    assert!(std::path::Path::new(started["token_file"].as_str().unwrap()).exists());
    let id = rustix::process::Pid::from_raw(child.id() as i32).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let last = lines.map(Result::unwrap).last().unwrap();
    child.stdout = Some(empty());
    let output = finish(child);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary: Json = serde_json::from_str(&last).unwrap();
    assert_eq!((&summary["event"], &summary["ok"]), (&Json::from("summary"), &Json::from(true)));
    assert!(!std::path::Path::new(started["token_file"].as_str().unwrap()).exists(), "its folder is left behind");
}

// A stream that has ended, for a child whose own one was read already.
fn empty() -> std::process::ChildStdout {
    let mut child = polypeer(&["config", "check"]).stdout(Stdio::piped()).spawn().unwrap();
    child.wait().unwrap();
    child.stdout.take().unwrap()
}
