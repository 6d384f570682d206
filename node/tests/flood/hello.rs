//! Floods Hello, and its tracker.

use super::party::Party;
use super::trial::{Citizen, FLAT, connections, is_gone_in_time, withstand};
use crate::judge::hello::{Heard, Manner, NETWORK, Peer, fresh_nonce, hello, hex, line, raw};
use crate::judge::ledger::{self, Block};
use crate::judge::node::Node;
use serde_json::{Value, json};
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

const HELLO: Party<Peer, Honest> = Party {
    network: NETWORK,
    honest: Honest::at,
    dial: Peer::dial,
    open: Peer::open,
    intrude: |node| {
        let mut peer = Peer::dial(node);
        peer.say(&line("HELLO", hello(1, 0, fresh_nonce())));
        // The node's two words of the handshake come first; the third is ours.
        for _ in 0..2 {
            peer.hear(Duration::from_secs(10));
        }
        peer.try_say(&line("HEY", json!({ "block_count": 1 })));
        peer
    },
    say: Peer::try_say,
    hears: |peer, within| {
        let asked = peer.asked.len();
        // What it answered by itself was said too.
        matches!(peer.hear(within), Heard::Said(..)) || peer.asked.len() > asked
    },
    closed: Peer::closed_silently,
};

fn named(number: u64) -> Value {
    json!(hex(&ledger::hash(&[&number.to_be_bytes()])))
}

#[test]
fn announcements_of_random_things_cost_others_nothing() {
    let mut next = 0;
    HELLO.floods("random inventory", FLAT, |_| {
        next += 200;
        let of = |number| match number % 2 {
            0 => line("BROADCASTTRANSACTION", json!({ "id": named(number) })),
            _ => line("BROADCASTBLOCK", json!({ "number": number, "hash": named(number) })),
        };
        (next - 200..next).flat_map(of).collect()
    });
}

#[test]
fn addresses_cost_others_nothing() {
    let mut next = 0u32;
    HELLO.floods("addresses", FLAT, |_| {
        let made = (0..500u32).map(|number| {
            let [_, a, b, c] = next.wrapping_add(number).to_be_bytes();
            format!("10.{a}.{b}.{c}:7444")
        });
        let said = line("ADDR", json!(made.collect::<Vec<_>>()));
        next = next.wrapping_add(500);
        said
    });
}

#[test]
fn questions_without_end_cost_others_nothing() {
    let mut next = 0;
    HELLO.floods("questions", FLAT, |_| {
        next += 100;
        (next - 100..next).flat_map(|number| line("GETBLOCK", json!({ "hash": named(number) }))).collect()
    });
}

#[test]
fn orphan_blocks_cost_others_nothing() {
    HELLO.orphans(|peer, blocks| {
        let announced =
            |block: &Block| line("BROADCASTBLOCK", json!({ "number": block.height, "hash": hex(&block.hash()) }));
        let said = blocks.iter().flat_map(announced).collect();
        // The node asks for each, and is given it.
        peer.asked.clear();
        peer.manner = Manner { blocks, gives: true, ..Manner::mute() };
        said
    });
}

#[test]
fn who_asks_and_does_not_read_is_gone_and_costs_others_nothing() {
    HELLO.asks_in_vain(&line("GETBLOCK", json!({ "number": 0 })).repeat(100));
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
    let (node, mut honest) = HELLO.node("", &[]);
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
    HELLO.floods("empty lines", FLAT, |_| b"\n".repeat(20));
}

#[test]
fn hundreds_that_drip_are_gone_at_the_deadline() {
    HELLO.drips(b"{");
}

#[test]
fn connections_that_come_and_go_cost_others_nothing() {
    HELLO.comes_and_goes(b"garbage\n");
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
    withstand("greetings at the tracker", &mut tracker, &mut member, FLAT, |signal| {
        HELLO.repeat(address, signal, |_| storm.repeat(20));
    });
}
