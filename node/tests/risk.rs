//! Asks a running node how near it is to an eclipse, and why it refused a peer.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use serde_json::json;
use support::{Daemon, eventually, folder, text};

#[test]
fn a_node_without_peers_is_at_risk_and_says_why() {
    for network in ["anya-devnet", "hello-devnet"] {
        let (one, other) = (folder(), folder());
        // It dials nobody back, so that of two connections with one node the named one stays.
        let one = Daemon::run(network, one.path(), &["--no-discovery"]);
        let risk = one.look("risk");
        assert_eq!((&risk["level"], &risk["reserved"]), (&json!("high"), &json!(0)), "{risk}");
        assert_eq!(risk["findings"][0]["name"], "outbound_missing", "{risk}");
        assert_eq!(one.json(&["risk"]), risk);
        let shown = text(&one.command(&["risk", "--explain"]).stdout);
        assert!(shown.contains("0 outbound peers stand where 8 are wanted"), "{shown}");
        assert!(!text(&one.command(&["risk"]).stdout).contains("outbound"), "only when it is asked for");
        let status = text(&one.command(&["status"]).stdout);
        assert!(status.contains("eclipse risk"), "{status}");
        assert_eq!(one.ask("GET", "/api/v1/networks/nowhere/risk", None).0, 404);

        // Everyone on one machine: groups say nothing, and there is nothing to point to.
        let other = Daemon::run(network, other.path(), &["--add-peer", &one.address()]);
        let risk = eventually("a named peer is connected", || {
            let risk = other.look("risk");
            (risk["reserved"] == 1).then_some(risk)
        });
        assert_eq!((&risk["score"], &risk["level"]), (&json!(0), &json!("low")), "{risk}");
        let status = text(&other.command(&["status"]).stdout);
        assert!(!status.contains("eclipse"), "{status}");
        assert_eq!(other.status()["eclipse_risk"], 0);
        let peers = other.look("peers");
        assert!(peers.as_array().unwrap().iter().any(|peer| peer["connection_type"] == "manual"), "{peers}");
    }
}

#[test]
fn why_counts_a_refusal_that_repeats() {
    let folder = folder();
    let node = Daemon::run("anya-devnet", folder.path(), &["--max-in-peers", "1"]);
    let held = std::net::TcpStream::connect(node.address()).unwrap();
    for _ in 0..5 {
        let refused = std::net::TcpStream::connect(node.address()).unwrap();
        refused.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        let end = std::io::Read::read(&mut &refused, &mut [0; 1]);
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
    let why = node.look("why/127.0.0.1");
    let refusals: Vec<_> = why.as_array().unwrap().iter().filter(|why| why["what"] == "refused").collect();
    assert_eq!((refusals.len(), &refusals[0]["times"]), (1, &json!(5)), "{why}");
    let shown = text(&node.command(&["why", "127.0.0.1"]).stdout);
    assert!(shown.contains("5 times within a minute"), "{shown}");
    drop(held);
}
