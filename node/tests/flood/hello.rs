//! Floods Hello, and its tracker.

use super::trial::{Citizen, FLAT, Signal, connections, is_gone_in_time, withstand};
use crate::judge::hello::{Heard, Manner, NETWORK, Peer, fresh_nonce, hello, hex, line, raw};
use crate::judge::ledger;
use crate::judge::node::Node;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Asks for blocks that there are not.
pub(super) struct Honest(Peer);

impl Honest {
    pub(super) fn at(node: &Node) -> Self {
        Self(Peer::ready(node.address, Manner::honest(&[])))
    }
}

impl Citizen for Honest {
    fn work(&mut self) {
        self.0.is_served();
    }
}

fn node(settings: &str, arguments: &[&str]) -> (Node, Honest) {
    let node = Node::start(NETWORK, settings, &[arguments, &["--no-discovery"]].concat());
    let honest = Honest::at(&node);
    (node, honest)
}

fn named(number: u64) -> Value {
    json!(hex(&ledger::hash(&[&number.to_be_bytes()])))
}

// Says what `bytes` gives again and again, and reads what comes; dials again when it was sent away.
fn repeat(node: SocketAddr, signal: &Signal<'_>, mut bytes: impl FnMut() -> Vec<u8>) {
    while signal.goes_on() {
        let mut peer = Peer::dial(node);
        peer.say(&line("HELLO", hello(1, 0, fresh_nonce())));
        // The node's two words of the handshake come first; the third is ours.
        for _ in 0..2 {
            peer.hear(Duration::from_secs(10));
        }
        peer.try_say(&line("HEY", json!({ "block_count": 1 })));
        while signal.goes_on() && peer.try_say(&bytes()) {
            while signal.goes_on() && matches!(peer.hear(Duration::from_millis(1)), Heard::Said(..)) {}
        }
    }
}

#[test]
fn announcements_of_random_things_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut next = 0;
        repeat(address, signal, || {
            next += 200;
            let of = |number| match number % 2 {
                0 => line("BROADCASTTRANSACTION", json!({ "id": named(number) })),
                _ => line("BROADCASTBLOCK", json!({ "number": number, "hash": named(number) })),
            };
            (next - 200..next).flat_map(of).collect()
        });
    };
    withstand("random inventory", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn addresses_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut next = 0u32;
        repeat(address, signal, || {
            let made = (0..500u32).map(|number| {
                let [_, a, b, c] = next.wrapping_add(number).to_be_bytes();
                format!("10.{a}.{b}.{c}:7444")
            });
            let said = line("ADDR", json!(made.collect::<Vec<_>>()));
            next = next.wrapping_add(500);
            said
        });
    };
    withstand("addresses", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn questions_without_end_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut next = 0;
        repeat(address, signal, || {
            next += 100;
            (next - 100..next).flat_map(|number| line("GETBLOCK", json!({ "hash": named(number) }))).collect()
        });
    };
    withstand("questions", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn who_asks_and_does_not_read_is_gone_and_costs_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let questions = line("GETBLOCK", json!({ "number": 0 })).repeat(100);
    let flood = |signal: &Signal<'_>| {
        while signal.goes_on() {
            let mut peer = Peer::open(address);
            while signal.goes_on() && peer.try_say(&questions) {}
        }
    };
    withstand("non-reading askers", &mut node, &mut honest, 2 * FLAT, &flood);
}

// Repeats a line until the node lets go; it must be convicted of `fault`, in time.
fn is_sent_away(node: &Node, network: &str, mut flooder: Peer, said: &[u8], fault: &str) {
    let local = flooder.local().to_string();
    let started = Instant::now();
    loop {
        let is_gone = !flooder.try_say(said)
            || loop {
                match flooder.hear(Duration::from_millis(2)) {
                    Heard::Said(..) => {}
                    Heard::Silence => break false,
                    Heard::Closed | Heard::Broken => break true,
                }
            };
        if is_gone {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{fault}: it is borne for ever");
    }
    is_gone_in_time(node, network, &local, fault, SystemTime::now());
}

#[test]
fn greetings_and_empty_lines_without_end_are_sent_away_in_time() {
    let (node, mut honest) = node("", &[]);
    for (said, fault) in [
        (line("HELLO", hello(1, 0, fresh_nonce())), "hello_too_often"),
        (line("GETADDR", json!(null)), "getaddr_too_often"),
        (raw(""), "not_an_object"),
        (raw("{}"), "not_one_entry"),
    ] {
        is_sent_away(&node, NETWORK, Peer::open(node.address), &said, fault);
        honest.work();
    }
    assert_eq!(connections(&node, NETWORK), 1, "the honest one is left");
}

#[test]
fn floods_of_garbage_lines_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| repeat(address, signal, || b"\n".repeat(20));
    withstand("empty lines", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn hundreds_that_drip_are_gone_at_the_deadline() {
    let (mut node, mut honest) = node("handshake_timeout = \"2s\"", &["--max-in-peers", "1000"]);
    let before = node.memory();
    let mut dripping: Vec<Peer> = (0..300).map(|_| Peer::dial(node.address)).collect();
    let started = Instant::now();
    dripping.iter_mut().for_each(|peer| assert!(peer.try_say(b"{")));
    while started.elapsed() < Duration::from_secs(3) {
        honest.work();
    }
    assert_eq!(connections(&node, NETWORK), 1, "only the honest one is left");
    dripping.iter_mut().for_each(Peer::closed_silently);
    let grown = node.memory().saturating_sub(before);
    println!("300 dripping connections, memory grew by {grown}");
    assert!(grown <= FLAT && node.is_alive(), "memory grew by {grown}");
}

#[test]
fn connections_that_come_and_go_cost_others_nothing() {
    let (mut node, mut honest) = node("", &["--max-in-peers", "1000"]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        for count in 0u64.. {
            if !signal.goes_on() {
                return;
            }
            let mut peer = Peer::dial(address);
            match count % 3 {
                0 => {}
                1 => drop(peer.try_say(b"garbage\n")),
                _ => drop(Peer::open(address)),
            }
            // Loopback has some 28,000 ports, each of which rests for a minute.
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    withstand("churn", &mut node, &mut honest, FLAT, &flood);
}

/// A member that asks a tracker whether it is there, as often as it may.
struct Member {
    peer: Peer,
    asked: Option<Instant>,
}

impl Citizen for Member {
    fn work(&mut self) {
        // One greeting a second is allowed over time.
        if self.asked.is_none_or(|asked| asked.elapsed() > Duration::from_millis(1_100)) {
            self.asked = Some(Instant::now());
            self.peer.say(&line("HELLO", hello(1, 0, fresh_nonce())));
            self.peer.message_of("HEY");
        } else {
            // A question that a tracker refuses, without blame.
            self.peer.say(&line("GETBLOCK", json!({ "number": 0 })));
            self.peer.message_of("REJECT");
        }
    }
}

#[test]
fn a_storm_of_greetings_at_the_tracker_is_sent_away_and_costs_members_nothing() {
    let mut tracker = Node::start_as("tracker", NETWORK, "", &[]);
    let peer = Peer::open_as(tracker.address, hello(1, 0, fresh_nonce()));
    let mut member = Member { peer, asked: None };
    let storm = line("HELLO", hello(1, 0, fresh_nonce()));
    is_sent_away(&tracker, NETWORK, Peer::open(tracker.address), &storm, "hello_too_often");
    let address = tracker.address;
    let flood = |signal: &Signal<'_>| repeat(address, signal, || storm.repeat(20));
    withstand("greetings at the tracker", &mut tracker, &mut member, FLAT, &flood);
}
