//! Floods AnYa.

use super::party::Party;
use super::trial::{Citizen, FLAT, connections, is_gone_in_time, window};
use crate::judge::anya::{Heard, Manner, NETWORK, Peer, address, frame, header, peers};
use crate::judge::ledger::{self, Payment};
use crate::judge::node::Node;
use ed25519_dalek::Signer;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Pings and, now and then, has a transaction relayed to a friend.
pub(super) struct Honest {
    peer: Peer,
    friend: Peer,
    transactions: Vec<Vec<u8>>,
    count: usize,
}

impl Honest {
    pub(super) fn at(node: &Node) -> Self {
        let transactions = (5..=16).flat_map(|from| (0..64).map(move |number| (number, from)));
        let mut transactions: Vec<(u64, u8)> = transactions.collect();
        transactions.sort_unstable_by(|a, b| b.cmp(a));
        // Signed when needed: the lowest sequences of all accounts first, from the end.
        let transactions = transactions.iter().map(|(number, from)| vec![*from, *number as u8]).collect();
        let ready = || Peer::ready(node.address, Manner::honest(&[]));
        Self { peer: ready(), friend: ready(), transactions, count: 0 }
    }
}

impl Citizen for Honest {
    fn work(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(5)
            && let Some(next) = self.transactions.pop()
        {
            let transaction = Payment::new(next[0], 1, u64::from(next[1])).sign(NETWORK);
            self.peer.say(&frame("tx", &transaction));
            assert_eq!(self.friend.message_of("tx").payload, transaction, "it is relayed");
            return;
        }
        self.peer.say(&frame("ping", &[]));
        self.peer.message_of("pong");
    }
}

const ANYA: Party<Peer, Honest> = Party {
    network: NETWORK,
    honest: Honest::at,
    dial: Peer::dial,
    open: Peer::open,
    intrude: |node| {
        let mut peer = Peer::dial(node);
        peer.say(&frame("connect", &address(SocketAddr::from(([127, 0, 0, 1], 9)))));
        peer
    },
    say: Peer::try_say,
    hears: |peer, within| matches!(peer.hear(within), Heard::Said(_)),
    closed: Peer::closed_silently,
};

#[test]
fn pings_cost_others_nothing() {
    let pings = frame("ping", &[]).repeat(2000);
    ANYA.floods("pings", FLAT, |_| pings.clone());
}

#[test]
fn empty_and_unknown_frames_cost_others_nothing() {
    let empty = frame("pong", &[]).repeat(5000);
    let unknown: Vec<u8> = (0..500).flat_map(|number| frame(&format!("no_such_type_{number}"), &[])).collect();
    let mut turn = 0;
    ANYA.floods("empty frames", FLAT, |_| {
        turn += 1;
        if turn % 2 == 0 { empty.clone() } else { unknown.clone() }
    });
}

#[test]
fn addresses_that_nobody_asked_for_cost_others_nothing() {
    let mut next = 0u32;
    let node = ANYA.floods("addresses", FLAT, |_| {
        let made = (0..1000).map(|number| {
            let [_, a, b, c] = (next.wrapping_add(number)).to_be_bytes();
            SocketAddr::from(([10, a, b, c], 7333))
        });
        let said = frame("peers", &peers(&made.collect::<Vec<_>>()));
        next = next.wrapping_add(1000);
        said.repeat(5)
    });
    let known = node.get(&format!("/api/v1/networks/{NETWORK}/addresses")).expect("the API lists addresses");
    assert!(known.as_array().is_none_or(Vec::is_empty), "nobody asked for them: {known}");
}

#[test]
fn questions_for_random_blocks_cost_others_nothing() {
    let mut next = 0u64;
    ANYA.floods("random inventory", FLAT, |_| {
        next += 500;
        let question = |number: u64| frame("get_block", &ledger::hash(&[&number.to_be_bytes()]));
        (next - 500..next).flat_map(question).collect()
    });
}

#[test]
fn orphan_blocks_cost_others_nothing() {
    ANYA.orphans(|_, blocks| blocks.iter().flat_map(|block| frame("block", &block.bytes())).collect());
}

// A valid transaction that cannot be taken in this state: each costs a signature and comes to nothing.
fn untakeable(number: u64) -> Vec<u8> {
    let mut bytes = vec![1];
    let key = ed25519_dalek::SigningKey::from_bytes(&ledger::hash(&[b"poor", &number.to_be_bytes()]));
    bytes.extend(key.verifying_key().to_bytes());
    bytes.extend(ledger::public(2));
    for figure in [1u64, 1, 0] {
        bytes.extend(figure.to_be_bytes());
    }
    let mut signed = b"polypeer/tx/v1\0\0".to_vec();
    signed.extend(ledger::network_id(NETWORK));
    signed.extend(&bytes);
    bytes.extend(key.sign(&signed).to_bytes());
    bytes
}

#[test]
fn transactions_that_come_to_nothing_cost_others_nothing() {
    // Each may come again: the node does not remember what it could not take.
    let made: Vec<u8> = (0..500).flat_map(|number| frame("tx", &untakeable(number))).collect();
    // On a busy machine as many as may wait at the ledger do: thousands of questions, and as many answers.
    let node = ANYA.floods("transactions for nothing", 3 * FLAT, |_| made.clone());
    let metrics = node.metrics();
    let refused =
        metrics.lines().find(|line| line.contains("work_refused_total") && line.contains("transaction_check"));
    println!("{}", refused.expect("what is refused is counted"));
    assert!(metrics.lines().any(|line| line.contains("polypeer_imbalances{") && line.ends_with(" 0")), "{metrics}");
}

#[test]
fn who_sends_invalid_transactions_is_gone_in_time() {
    let (node, mut honest) = ANYA.node("", &[]);
    let mut flooder = Peer::open(node.address);
    let local = flooder.local().to_string();
    let mut wrong = Payment::new(1, 2, 0).sign(NETWORK);
    let mut seen_gone = None;
    for number in 0..100u8 {
        wrong[100] = number;
        if !flooder.try_say(&frame("tx", &wrong)) {
            break;
        }
        if let Heard::Closed | Heard::Broken = until_word(&mut flooder) {
            seen_gone = Some(SystemTime::now());
            break;
        }
    }
    let seen_gone = seen_gone.unwrap_or_else(SystemTime::now);
    is_gone_in_time(&node, NETWORK, &local, "transaction_invalid", seen_gone);
    honest.work();
    assert_eq!(connections(&node, NETWORK), 2, "the honest ones are left");
}

// Skips what the node says of its own accord.
fn until_word(peer: &mut Peer) -> Heard {
    loop {
        match peer.hear(Duration::from_secs(10)) {
            Heard::Said(message) if message.kind != "error" => {}
            heard => return heard,
        }
    }
}

#[test]
fn who_asks_and_does_not_read_is_gone_and_costs_others_nothing() {
    ANYA.asks_in_vain(&frame("get_blockchain_info", &[]).repeat(200));
}

#[test]
fn hundreds_that_drip_are_gone_at_the_deadline() {
    ANYA.drips(&header(b"connect", 32)[..1]);
}

#[test]
fn connections_that_come_and_go_cost_others_nothing() {
    ANYA.comes_and_goes(b"garbage that is no frame of AnYa's at all");
}

#[test]
fn ten_times_the_nominal_load_disconnects_nobody() {
    let (mut node, mut honest) = ANYA.node("", &[]);
    let mut busy = Peer::ready(node.address, Manner::honest(&[]));
    let mut other = Peer::ready(node.address, Manner::honest(&[]));
    // Nominal are a thousand frames a second; most of these are what a peer relays that the mempool cannot take.
    let made: Vec<u8> = (0..50).flat_map(|number| frame("tx", &untakeable(1_000 + number))).collect();
    let pings = frame("ping", &[]).repeat(50);
    for times in [10u32, 1] {
        let started = Instant::now();
        let mut rounds = 0;
        while started.elapsed() < window() {
            for _ in 0..times {
                busy.say(&made);
                other.say(&pings);
            }
            rounds += 1;
            honest.work();
            for _ in 0..50 * times {
                other.message_of("pong");
            }
            std::thread::sleep((Duration::from_millis(50) * rounds).saturating_sub(started.elapsed()));
        }
        println!("{} frames a second", rounds * times * 100 * 1000 / started.elapsed().as_millis().max(1) as u32);
    }
    busy.fine();
    other.fine();
    assert_eq!(connections(&node, NETWORK), 4);
    assert!(node.is_alive());
}
