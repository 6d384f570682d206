//! Judges the tracker: members, their proof, its greetings, what it refuses.

use super::hello::{Heard, Manner, NETWORK, Peer, fresh_nonce, hello, hex, line};
use super::node::{Node, free_address, free_listener};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

fn tracker() -> Node {
    Node::start_as("tracker", NETWORK, "", &["--interval", "1s"])
}

// A member that the tracker has proven: its open connection and its address.
fn member(tracker: &Node) -> (Peer, SocketAddr, TcpListener) {
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket");
    let mut member = Peer::open_as(tracker.address, hello(1, there.port(), fresh_nonce()));
    member.manner = Manner::honest(&[]);
    let mut proof = Peer::accept(&listener);
    proof.welcome(hello(1, there.port(), fresh_nonce()));
    proof.closed_silently();
    (member, there, listener)
}

fn members(asker: &mut Peer) -> Vec<String> {
    asker.say(&line("GETADDR", json!(null)));
    let addresses = asker.message_of("ADDR");
    let mut members: Vec<String> = serde_json::from_value(addresses).expect("a list of addresses");
    members.sort_unstable();
    members
}

// Asks until the tracker hands out just these.
fn wait_for_members(asker: &mut Peer, expected: &[SocketAddr], mut alive: Vec<&mut Peer>) {
    let mut expected: Vec<String> = expected.iter().map(SocketAddr::to_string).collect();
    expected.sort_unstable();
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let now = members(asker);
        if now == expected {
            return;
        }
        assert!(Instant::now() < deadline, "the tracker hands out {now:?}, not {expected:?}");
        asker.hear(Duration::from_millis(1100));
        for peer in &mut alive {
            peer.hear(Duration::from_millis(10));
        }
    }
}

#[test]
fn it_hands_out_members_that_it_has_dialled() {
    let tracker = tracker();
    let (mut first, one, _listener) = member(&tracker);
    assert_eq!(first.greeting["block_count"], 0, "it holds no blocks");
    assert_eq!(first.greeting.get("genesis"), None, "and is of no network");
    let (mut second, two, _other) = member(&tracker);
    let mut asker = Peer::open(tracker.address);
    asker.manner = Manner::honest(&[]);
    wait_for_members(&mut asker, &[one, two], vec![&mut first, &mut second]);
    assert_eq!(members(&mut first), [two.to_string()], "without the asker");
    let unproven = free_address();
    asker.say(&line("GETADDR", json!(unproven.port())));
    assert_eq!(asker.message_of("ADDR").as_array().map(Vec::len), Some(2));
    assert!(!members(&mut second).contains(&unproven.to_string()), "a claim is no proof");
}

#[test]
fn who_does_not_listen_is_no_member() {
    let tracker = tracker();
    let (mut first, one, _listener) = member(&tracker);
    let mut silent = Peer::open_as(tracker.address, hello(1, 0, fresh_nonce()));
    silent.manner = Manner::honest(&[]);
    let mut liar = Peer::open_as(tracker.address, hello(1, free_address().port(), fresh_nonce()));
    liar.manner = Manner::honest(&[]);
    liar.hear(Duration::from_secs(3));
    let mut asker = Peer::open(tracker.address);
    asker.manner = Manner::honest(&[]);
    wait_for_members(&mut asker, &[one], vec![&mut first, &mut silent, &mut liar]);
}

#[test]
fn it_greets_its_members_and_drops_who_does_not_answer() {
    let tracker = tracker();
    let (mut alive, one, _listener) = member(&tracker);
    let (mut silent, two, _other) = member(&tracker);
    let mut asker = Peer::open(tracker.address);
    asker.manner = Manner::honest(&[]);
    wait_for_members(&mut asker, &[one, two], vec![&mut alive, &mut silent]);
    silent.manner.hey = false;
    let mut greetings = 0;
    let started = Instant::now();
    loop {
        alive.hear(Duration::from_millis(5));
        asker.hear(Duration::from_millis(5));
        match silent.hear(Duration::from_millis(50)) {
            Heard::Said(method, _) if method == "HELLO" => greetings += 1,
            Heard::Closed | Heard::Broken => break,
            _ => {}
        }
        assert!(started.elapsed() < Duration::from_secs(10), "greeted {greetings} times and still a member");
    }
    assert!((3..=4).contains(&greetings), "dropped after 3 unanswered, but after {greetings}");
    wait_for_members(&mut asker, &[one], vec![&mut alive]);
}

#[test]
fn it_refuses_what_is_about_blocks_without_a_slip() {
    let tracker = tracker();
    let mut peer = Peer::open(tracker.address);
    peer.manner = Manner::honest(&[]);
    let hash = hex(&[7; 32]);
    let asked: [(&str, Value); 5] = [
        ("GETBLOCK", json!({ "hash": hash })),
        ("GETLISTOFBLOCKS", json!({"from": 0, "latest": 0})),
        ("BROADCASTBLOCK", json!({"number": 1, "hash": hash})),
        ("BROADCASTTRANSACTION", json!({ "id": hash })),
        ("PUSHTRANSACTION", json!(["00"])),
    ];
    for _ in 0..10 {
        for (method, payload) in &asked {
            peer.say(&line(method, payload.clone()));
            peer.rejected(method);
        }
    }
    assert!(members(&mut peer).is_empty(), "still there after 50 refusals");
}

#[test]
fn members_of_another_network_are_left_out() {
    let tracker = tracker();
    let (mut ours, one, _listener) = member(&tracker);
    let listener = free_listener();
    let there = listener.local_addr().expect("a socket");
    let mut elsewhere = hello(1, there.port(), fresh_nonce());
    elsewhere["genesis"] = json!(hex(&[7; 32]));
    let mut theirs = Peer::open_as(tracker.address, elsewhere.clone());
    theirs.manner = Manner::honest(&[]);
    let mut proof = Peer::accept(&listener);
    proof.welcome(elsewhere);
    proof.closed_silently();
    let mut asker = Peer::open(tracker.address);
    asker.manner = Manner::honest(&[]);
    wait_for_members(&mut asker, &[one], vec![&mut ours, &mut theirs]);
    assert!(members(&mut theirs).is_empty(), "nor are ours handed to them");
}

#[test]
fn a_node_asks_its_tracker_and_finds_a_peer() {
    let tracker = tracker();
    let there = tracker.address.to_string();
    let first = Node::start(NETWORK, "", &["--add-peer", &there]);
    let second = Node::start(NETWORK, "", &["--add-peer", &there]);
    let deadline = Instant::now() + Duration::from_secs(40);
    let peers = |node: &Node| {
        let status = node.get("/api/v1/status").expect("a status");
        let peers = &status["networks"][0]["peers"];
        peers["inbound"].as_u64().unwrap_or(0) + peers["outbound"].as_u64().unwrap_or(0)
    };
    // Each holds its connection with the tracker, and one with the other.
    while peers(&first) < 1 || peers(&second) < 1 || !knows(&first, second.address) && !knows(&second, first.address) {
        assert!(Instant::now() < deadline, "the tracker brought nobody together");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn knows(node: &Node, other: SocketAddr) -> bool {
    let peers = node.get(&format!("/api/v1/networks/{NETWORK}/peers")).expect("a list of peers");
    peers.to_string().contains(&other.to_string())
}
