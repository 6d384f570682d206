//! Lets separate processes find each other and agree: from addresses alone, after a kill, after a split, late.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::json;
use std::path::Path;
use support::{Daemon, agree, eventually, folder, output, text};
use tempfile::TempDir;

const NETWORKS: [&str; 2] = ["anya-devnet", "hello-devnet"];

/// The tracker saves its list within one interval, a second here; nothing outside shows when.
const SAVED_WITHIN: std::time::Duration = std::time::Duration::from_millis(1500);

/// Blocks of the chain that a late node has to fetch. The full-sized run: `POLYPEER_TEST_BLOCKS=10000`.
fn blocks() -> u64 {
    std::env::var("POLYPEER_TEST_BLOCKS").ok().and_then(|count| count.parse().ok()).unwrap_or(500)
}

/// A daemon whose blocks, if it makes any, come this often.
fn node(network: &str, folder: &Path, interval: &str, more: &[&str]) -> Daemon {
    let name = format!("POLYPEER_{}__PRODUCE_INTERVAL", network.replace('-', "_").to_uppercase());
    let mut args = vec!["run", "--network", network];
    if !more.contains(&"--listen") {
        args.extend(["--listen", "127.0.0.1:0"]);
    }
    args.extend(more);
    Daemon::start(&args, folder, &[(&name, interval)])
}

/// Makes a chain of so many blocks in this folder, and stops.
fn make_chain(network: &str, folder: &Path, blocks: u64) {
    let maker = node(network, folder, "1ms", &["--produce"]);
    let end = std::time::Instant::now() + support::PATIENCE + std::time::Duration::from_millis(20 * blocks);
    while maker.height() < blocks {
        assert!(std::time::Instant::now() < end, "too slow: {}", maker.height());
        std::thread::sleep(support::LOOK_AGAIN);
    }
    maker.stop();
}

#[test]
fn four_nodes_that_know_one_other_each_converge() {
    for network in NETWORKS {
        let folders: Vec<TempDir> = (0..4).map(|_| folder()).collect();
        let mut nodes: Vec<Daemon> = Vec::new();
        for folder in &folders {
            let before = nodes.last().map(Daemon::address);
            let more: Vec<&str> =
                before.iter().flat_map(|address| ["--add-peer", address]).chain(["--produce"]).collect();
            nodes.push(node(network, folder.path(), "400ms", &more));
        }
        let id = nodes[0].json(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3"])["id"]
            .as_str()
            .unwrap()
            .to_owned();
        for other in &nodes {
            eventually("everyone has the transaction in a block", || {
                let (status, found) = other.ask("GET", &format!("/api/v1/networks/{network}/transactions/{id}"), None);
                (status == 200 && !found["block"].is_null()).then_some(())
            });
            eventually("discovery has found more than one peer", || (other.peers() > 1).then_some(()));
        }
        agree(&nodes.iter().collect::<Vec<_>>(), 5);
    }
}

#[test]
fn nodes_that_know_a_tracker_only_converge() {
    let place = folder();
    let start = |listen: &str| Daemon::start(&["tracker", "--listen", listen, "--interval", "1s"], place.path(), &[]);
    let tracker = start("127.0.0.1:0");
    let address = tracker.address();
    let folders: Vec<TempDir> = (0..4).map(|_| folder()).collect();
    let more = ["--add-peer", &address, "--produce"];
    let nodes: Vec<Daemon> = folders.iter().map(|own| node("hello-devnet", own.path(), "400ms", &more)).collect();
    agree(&nodes.iter().collect::<Vec<_>>(), 5);
    let members = |tracker: &Daemon| tracker.status()["members"].as_u64().unwrap();
    eventually("all are members", || (members(&tracker) == 4).then_some(()));
    assert_eq!((&tracker.status()["height"], &tracker.status()["tip"]), (&json!(0), &json!(null)));
    assert_eq!(tracker.ask("GET", "/api/v1/networks/hello-devnet/blocks/tip", None).0, 404);
    // The list outlives the tracker: it is there before any member could have come back.
    std::thread::sleep(SAVED_WITHIN);
    tracker.kill();
    drop(nodes);
    assert_eq!(members(&start(&address)), 4);
}

#[test]
fn a_late_node_syncs() {
    for network in NETWORKS {
        let (old, late) = (folder(), folder());
        make_chain(network, old.path(), blocks());
        let old = node(network, old.path(), "1s", &[]);
        let late = node(network, late.path(), "1s", &["--add-peer", &old.address()]);
        assert_eq!(agree(&[&old, &late], blocks()), old.tip());
        assert_eq!(late.look("blocks/7"), old.look("blocks/7"));
    }
}

#[test]
fn a_node_killed_while_it_syncs_catches_up() {
    for network in NETWORKS {
        let (old, killed) = (folder(), folder());
        make_chain(network, old.path(), blocks());
        let old = node(network, old.path(), "1s", &[]);
        let goal = old.height();
        let mut reached = 0;
        let mut was_between = false;
        while !was_between && reached < goal {
            let started = node(network, killed.path(), "1s", &["--add-peer", &old.address()]);
            assert!(started.height() >= reached, "blocks that were shown are gone");
            let before = started.height();
            eventually("it has begun", || (before == goal || started.height() > before).then_some(()));
            reached = started.height();
            was_between = reached < goal;
            started.kill();
        }
        let again = node(network, killed.path(), "1s", &["--add-peer", &old.address()]);
        agree(&[&old, &again], goal);
    }
}

#[test]
fn two_halves_reorganise_to_one_chain_when_joined() {
    for network in NETWORKS {
        let folders: Vec<TempDir> = (0..4).map(|_| folder()).collect();
        let pair = |folders: &[TempDir]| {
            let one = node(network, folders[0].path(), "100ms", &["--produce"]);
            let other = node(network, folders[1].path(), "100ms", &["--add-peer", &one.address()]);
            (one, other)
        };
        let (left, right) = (pair(&folders[..2]), pair(&folders[2..]));
        let sent = left.0.json(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3"]);
        let id = sent["id"].as_str().unwrap();
        eventually("the left half has it in a block", || {
            let path = format!("/api/v1/networks/{}/transactions/{id}", left.1.network());
            let (status, seen) = left.1.ask("GET", &path, None);
            (status == 200 && !seen["block"].is_null()).then_some(())
        });
        let left_height = left.1.height();
        eventually("the right half is ahead", || (right.1.height() > left_height + 3).then_some(()));
        let folder_of_left = folders[0].path();
        // The left half stops making blocks, so that the right one's chain wins.
        let left_address = left.0.address();
        left.0.stop();
        let left_one = node(network, folder_of_left, "1s", &["--listen", &left_address]);
        let abandoned = left_one.look("blocks/tip");
        eventually("the right half is ahead", || (right.1.height() > left_one.height() + 3).then_some(()));
        left_one.json(&["peers", "add", &right.0.address()]);
        eventually("the left half has gone over", || {
            let found = left.1.look(&format!("blocks/{}", abandoned["hash"].as_str().unwrap()));
            (found["main"] == json!(false)).then_some(())
        });
        eventually("the transaction is in the new chain, on both sides", || {
            [&left.1, &right.1]
                .iter()
                .all(|node| {
                    let (status, found) =
                        node.ask("GET", &format!("/api/v1/networks/{network}/transactions/{id}"), None);
                    status == 200 && !found["block"].is_null()
                })
                .then_some(())
        });
        agree(&[&left_one, &left.1, &right.0, &right.1], left_height);
    }
}

#[test]
fn a_recording_replays_with_the_same_effects() {
    for network in NETWORKS {
        let (one, other) = (folder(), folder());
        let recording = one.path().join("recording");
        let path = recording.to_str().unwrap();
        let recorded = node(network, one.path(), "100ms", &["--produce", "--record", path]);
        let other = node(network, other.path(), "150ms", &["--produce", "--add-peer", &recorded.address()]);
        recorded.json(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3"]);
        agree(&[&recorded, &other], 8);
        recorded.stop();
        let replayed = output(&["replay", path, "--json"]);
        assert!(replayed.status.success(), "{}", text(&replayed.stderr));
        let replayed: serde_json::Value = serde_json::from_slice(&replayed.stdout).unwrap();
        assert_eq!((&replayed["same"], &replayed["network"]), (&json!(true), &json!(network)));
        assert!(replayed["steps"].as_u64().unwrap() > 30, "{replayed}");

        // A recording that was cut off is good as far as it goes; one that was changed is not.
        let bytes = std::fs::read(&recording).unwrap();
        std::fs::write(&recording, &bytes[..bytes.len() - 3]).unwrap();
        assert!(output(&["replay", path]).status.success());
        let mut changed = bytes;
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        std::fs::write(&recording, changed).unwrap();
        assert_eq!(output(&["replay", path]).status.code(), Some(1));
    }
}
