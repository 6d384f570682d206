//! Holds a running node's API to its contract, on both networks.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail where they stand")]

mod support;

use polypeer_ledger_reference::{Payment, Wallet};
use serde_json::{Value as Json, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use support::{Daemon, ask, eventually, folder, text};

const NETWORKS: [&str; 2] = ["anya-devnet", "hello-devnet"];

/// A daemon that makes blocks quickly.
fn producer(network: &str, folder: &std::path::Path) -> Daemon {
    let name = format!("POLYPEER_{}__PRODUCE_INTERVAL", network.replace('-', "_").to_uppercase());
    let args = ["run", "--network", network, "--listen", "127.0.0.1:0", "--produce"];
    Daemon::start(&args, folder, &[(&name, "100ms")])
}

/// A payment of 5 from account 1 to account 2, in hex.
fn payment(network: &str, sequence: u64) -> String {
    let mut id = [0; 16];
    id[..network.len()].copy_from_slice(network.as_bytes());
    let recipient = Wallet::public_account(2).unwrap().public_key();
    let payment = Payment { recipient, amount: 5, fee: 1, sequence };
    const_hex::encode(Wallet::public_account(1).unwrap().sign(&id, &payment))
}

#[test]
fn blocks_transactions_and_accounts_are_shown() {
    for network in NETWORKS {
        let folder = folder();
        let node = producer(network, folder.path());
        let genesis = node.look("blocks/0");
        assert_eq!((&genesis["height"], &genesis["main"], &genesis["work"]), (&json!(0), &json!(true), &json!("256")));
        assert_eq!(genesis["hex"].as_str().unwrap().len(), 2 * 133);
        assert_eq!(node.look(&format!("blocks/{}", genesis["hash"].as_str().unwrap())), genesis);

        let posted = node.ask(
            "POST",
            &format!("/api/v1/networks/{network}/transactions"),
            Some(json!({ "hex": payment(network, 0) })),
        );
        let id = posted.1["id"].as_str().unwrap().to_owned();
        assert_eq!((posted.0, id.len()), (200, 64));
        let found = eventually("it is in a block", || {
            let found = node.look(&format!("transactions/{id}"));
            (!found["block"].is_null()).then_some(found)
        });
        assert_eq!(found["hex"], payment(network, 0));
        let block = node.look(&format!("blocks/{}", found["block"].as_str().unwrap()));
        assert_eq!((&block["transactions"], &block["height"]), (&json!([id]), &found["height"]));
        assert_eq!(block["parents"], json!([block["parent"]]));
        assert_eq!(node.look(&format!("blocks/{}", found["height"])), block);

        let account = |number: u8| {
            let key = const_hex::encode(Wallet::public_account(number).unwrap().public_key());
            node.look(&format!("accounts/{key}"))
        };
        assert_eq!((&account(1)["balance"], &account(1)["sequence"]), (&json!(999_999_994), &json!(1)));
        assert_eq!((&account(2)["balance"], &account(2)["sequence"]), (&json!(1_000_000_005), &json!(0)));
        let again = node.ask(
            "POST",
            &format!("/api/v1/networks/{network}/transactions"),
            Some(json!({ "hex": payment(network, 0) })),
        );
        assert_eq!((again.0, &again.1["id"]), (200, &json!(id)), "a known one is no fault");
        assert_eq!(node.look("mempool"), json!({ "count": 0, "transactions": [] }));
        for path in
            ["blocks/99999999", &format!("blocks/{}", "ab".repeat(32)), &format!("transactions/{}", "ab".repeat(32))]
        {
            assert_eq!(node.ask("GET", &format!("/api/v1/networks/{network}/{path}"), None).0, 404, "{path}");
        }
    }
}

#[test]
fn a_transaction_that_waits_is_shown_without_a_block() {
    let folder = folder();
    let node = Daemon::run("anya-devnet", folder.path(), &[]);
    let path = "/api/v1/networks/anya-devnet/transactions";
    let (status, posted) = node.ask("POST", path, Some(json!({ "hex": payment("anya-devnet", 0) })));
    assert_eq!(status, 200);
    let id = posted["id"].as_str().unwrap();
    assert_eq!(node.look("mempool"), json!({ "count": 1, "transactions": [id] }));
    assert_eq!(node.look("mempool?limit=0"), json!({ "count": 1, "transactions": [] }));
    assert_eq!(node.ask("GET", "/api/v1/networks/anya-devnet/mempool?limit=-1", None).0, 400);
    let found = node.look(&format!("transactions/{id}"));
    assert_eq!((&found["block"], &found["height"]), (&Json::Null, &Json::Null));
    let key = const_hex::encode(Wallet::public_account(1).unwrap().public_key());
    let account = node.look(&format!("accounts/{key}"));
    assert_eq!((&account["sequence"], &account["next"]), (&json!(0), &json!(1)));
    // Signed for another network; not hex; nothing at all.
    let (status, problem) = node.ask("POST", path, Some(json!({ "hex": payment("hello-devnet", 0) })));
    assert_eq!((status, &problem["reason"]), (422, &json!("signature")));
    assert_eq!(node.ask("POST", path, Some(json!({ "hex": "xyz" }))).0, 400);
    assert_eq!(node.ask("POST", path, Some(json!({ "hex": "" }))).0, 422);
    assert_eq!(ask(&node.api(), "POST", path, None, Some(json!({ "hex": "" }))).0, 401);
}

#[test]
fn peers_addresses_bans_and_reasons_are_shown_and_changed() {
    for network in NETWORKS {
        let (one, other) = (folder(), folder());
        let one = Daemon::run(network, one.path(), &[]);
        let other = Daemon::run(network, other.path(), &[]);
        other.json(&["peers", "add", &one.address()]);
        let peer = eventually("they are peers", || {
            let peers = one.look("peers");
            let peers = peers.as_array().unwrap();
            peers.iter().find(|peer| peer["ready"] == true).cloned()
        });
        for field in ["id", "conntime", "lastrecv", "lastsend", "bytessent", "bytesrecv"] {
            assert!(peer[field].as_u64().is_some(), "{field} in {peer}");
        }
        let addresses = eventually("the address is proven", || {
            let addresses = other.look("addresses");
            addresses.as_array().unwrap().iter().any(|known| known["proven"] == true).then_some(addresses)
        });
        assert!(addresses.as_array().unwrap().iter().any(|known| known["address"] == one.address()), "{addresses}");
        let why = other.json(&["why", &one.address()]);
        assert!(why.as_array().unwrap().iter().any(|why| why["what"] == "dialled"), "{why}");

        one.json(&["peers", "ban", "127.0.0.1", "--for", "1h"]);
        eventually("they are parted", || (one.peers() == 0).then_some(()));
        let bans = one.json(&["bans"]);
        assert_eq!((&bans[0]["address"], &bans[0]["reason"]), (&json!("127.0.0.1"), &json!("operator")));
        one.json(&["peers", "unban", "127.0.0.1"]);
        assert_eq!(one.json(&["bans"]), json!([]));
        assert_eq!(one.ask("DELETE", &format!("/api/v1/networks/{network}/bans/127.0.0.1"), None).0, 404);
        let path = format!("/api/v1/networks/{network}/bans");
        for ip in ["1.2.3.4", "1.2.3.5", "2001:db8::1"] {
            assert_eq!(one.ask("PUT", &format!("{path}/{ip}"), None).0, 204);
        }
        let ips = |path: &str| {
            let rows = one.get(path);
            rows.as_array().unwrap().iter().map(|ban| ban["address"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(ips(&format!("{path}?limit=2")), ["1.2.3.4", "1.2.3.5"]);
        assert_eq!(ips(&format!("{path}?limit=2&after=1.2.3.5")), ["2001:db8::1"]);
        assert_eq!(one.ask("PUT", &format!("{path}/nonsense"), None).0, 400);
        assert_eq!(one.ask("PUT", &format!("{path}/1.2.3.4"), Some(json!({ "duration": 0 }))).0, 400);
        eventually("they meet again", || (one.peers() > 0).then_some(()));
        let id = one.look("peers")[0]["id"].clone();
        one.json(&["peers", "drop", &id.to_string()]);
        eventually("that connection is gone", || {
            one.look("peers").as_array().unwrap().iter().all(|peer| peer["id"] != id).then_some(())
        });
        assert_eq!(one.ask("DELETE", &format!("/api/v1/networks/{network}/peers/424242"), None).0, 404);
    }
}

#[test]
fn events_are_numbered_and_can_be_resumed() {
    let folder = folder();
    let node = producer("anya-devnet", folder.path());
    eventually("there are blocks", || (node.height() > 3).then_some(()));
    let output = node.command(&["events", "--since", "0", "--count", "3", "--json"]);
    let events: Vec<Json> = text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(events.iter().any(|event| event["event"] == "tip"), "{events:?}");
    let last = node.get("/api/v1/status")["last_event"].as_u64().unwrap();
    assert!(last >= 3, "{last}");
    assert!(node.json(&["events", "--since", &(last - 1).to_string(), "--count", "1"])["sequence"] == last);
    let resumed = node.json(&["events", "--since", "2", "--count", "1"]);
    assert_eq!(resumed["sequence"], 3);
    // The stream itself: an id, a kind and data for each event.
    let mut stream = connect(&node);
    stream.write_all(b"GET /api/v1/events?since=0 HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let lines: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).take(12).collect();
    assert!(lines.iter().any(|line| line == "content-type: text/event-stream"), "{lines:?}");
    assert!(lines.iter().any(|line| line == "id: 1"), "{lines:?}");
}

#[test]
fn the_address_book_is_counted_by_group() {
    let folder = folder();
    // Without discovery it dials nobody who is in its book.
    let node = Daemon::run("hello-devnet", folder.path(), &["--no-discovery"]);
    let empty =
        json!({ "entries": 0, "proven": 0, "tried": 0, "counted": 0, "distinct": 0, "ungrouped": 0, "groups": [] });
    assert_eq!(node.look("addresses/groups"), empty);
    let known = |address: &str, tried: bool| {
        let reached = tried.then_some(1_767_225_600_000_u64);
        json!({
            "address": address, "proven": tried, "tried": tried, "source": null, "last_tried": reached,
            "last_success": reached, "last_seen": reached,
        })
    };
    let addresses = json!([
        known("9.1.0.1:9", false),
        known("9.1.0.2:9", true),
        known("9.2.0.1:9", false),
        known("127.0.0.9:9", false),
    ]);
    let path = "/api/v1/networks/hello-devnet/addresses";
    assert_eq!(node.ask("POST", path, Some(addresses)), (200, json!({ "taken": 4 })));
    let groups = node.look("addresses/groups");
    let counts = ["entries", "tried", "counted", "distinct", "ungrouped"].map(|field| groups[field].as_u64().unwrap());
    assert_eq!(counts, [4, 1, 4, 2, 1], "{groups}");
    let largest = json!([
        { "group": "9.1.0.0/16", "entries": 2, "tried": 1 },
        { "group": "9.2.0.0/16", "entries": 1, "tried": 0 },
    ]);
    assert_eq!(groups["groups"], largest);
    assert_eq!(node.ask("GET", "/api/v1/networks/nowhere/addresses/groups", None).0, 404);
}

fn connect(node: &Daemon) -> TcpStream {
    let stream = TcpStream::connect(node.api().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream
}

#[test]
fn health_and_metrics_are_on_their_own_listener() {
    let folder = folder();
    let node = producer("hello-devnet", folder.path());
    let metrics = node.started["metrics"].as_str().unwrap().to_owned();
    eventually("it is ready", || (ask(&metrics, "GET", "/readyz", None, None).0 == 200).then_some(()));
    for base in [&metrics, &node.api()] {
        assert_eq!(ask(base, "GET", "/healthz", None, None).0, 200);
    }
    assert_eq!(ask(&node.api(), "GET", "/metrics", None, None).0, 404);
    let text = eventually("blocks are counted", || {
        let (_, text) = ask(&metrics, "GET", "/metrics", None, None);
        let text = text.as_str().unwrap().to_owned();
        text.lines()
            .any(|line| line.starts_with("polypeer_height{network=\"hello-devnet\"} ") && !line.ends_with(" 0"))
            .then_some(text)
    });
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("127.0.0.1"), "a label names an address: {text}");
}

#[test]
fn slow_and_oversized_requests_hold_nothing_up() {
    let folder = folder();
    let node = Daemon::run("anya-devnet", folder.path(), &[]);
    // Heads that never end, bodies that are announced and too long.
    let idle: Vec<TcpStream> = (0..50).map(|_| connect(&node)).collect();
    idle.iter().for_each(|mut stream| stream.write_all(b"GET /api").unwrap());
    assert_eq!(node.get("/api/v1/status")["networks"][0]["name"], "anya-devnet");
    let token = std::fs::read_to_string(folder.path().join("api.token")).unwrap();
    let mut stream = connect(&node);
    let head = format!(
        "POST /api/v1/networks/anya-devnet/transactions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-length: 4294967295\r\n\r\n",
        token.trim()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    drop(idle);
    assert!(node.stop().code() == Some(143));
}

#[test]
fn wallets_send_and_generate() {
    for network in NETWORKS {
        let folder = folder();
        let node = producer(network, folder.path());
        let sent = node.json(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3", "--wait", "30s"]);
        assert_eq!((sent["id"].as_str().unwrap().len(), &sent["sequence"]), (64, &json!(0)));
        assert_eq!(node.look(&format!("transactions/{}", sent["id"].as_str().unwrap()))["block"], sent["block"]);
        // A number that is free, though the one before may still wait.
        let output = node.command(&["tx", "send", "--from", "1", "--to", "2", "--amount", "3"]);
        assert_eq!(text(&output.stdout).trim().len(), 64, "{}", text(&output.stderr));

        let output = node.command(&["tx", "generate", "--rate", "100", "--count", "60", "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let done: Json = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
        assert_eq!(
            (&done["event"], &done["sent"], &done["refused"]),
            (&json!("done"), &json!(60), &json!(0)),
            "{done}"
        );
        eventually("all are in blocks", || (node.status()["mempool"] == 0).then_some(()));
        let sequences: u64 = (1..=16)
            .map(|number| const_hex::encode(Wallet::public_account(number).unwrap().public_key()))
            .map(|key| node.look(&format!("accounts/{key}"))["sequence"].as_u64().unwrap())
            .sum();
        assert_eq!(sequences, 62);
    }
}
