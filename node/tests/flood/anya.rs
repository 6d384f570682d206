//! Floods AnYa.

use super::trial::{Citizen, FLAT, Signal, connections, is_gone_in_time, window, withstand};
use crate::judge::anya::{Heard, Manner, NETWORK, Peer, address, frame, header, peers};
use crate::judge::ledger::{self, Block, Payment};
use crate::judge::node::Node;
use ed25519_dalek::Signer;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

/// Orphans that are made beforehand, each with its proof of work: what one peer sends as fast as the node takes them.
const ORPHANS: usize = 2_000;

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

fn node(settings: &str, arguments: &[&str]) -> (Node, Honest) {
    let node = Node::start(NETWORK, settings, &[arguments, &["--no-discovery"]].concat());
    let honest = Honest::at(&node);
    (node, honest)
}

// Says `bytes` again and again, and reads what comes; dials again when it was sent away.
fn repeat(node: SocketAddr, signal: &Signal<'_>, mut bytes: impl FnMut() -> Vec<u8>) -> u64 {
    let mut dialled = 0;
    while signal.goes_on() {
        let mut peer = Peer::dial(node);
        dialled += 1;
        peer.say(&frame("connect", &address(SocketAddr::from(([127, 0, 0, 1], 9)))));
        while signal.goes_on() && peer.try_say(&bytes()) {
            loop {
                match peer.hear(Duration::from_millis(1)) {
                    Heard::Said(_) if signal.goes_on() => {}
                    Heard::Silence | Heard::Said(_) => break,
                    Heard::Closed | Heard::Broken => break,
                }
            }
        }
    }
    dialled
}

#[test]
fn pings_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let (address, pings) = (node.address, frame("ping", &[]).repeat(2000));
    let flood = |signal: &Signal<'_>| {
        repeat(address, signal, || pings.clone());
    };
    withstand("pings", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn empty_and_unknown_frames_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let empty = frame("pong", &[]).repeat(5000);
    let unknown: Vec<u8> = (0..500).flat_map(|number| frame(&format!("no_such_type_{number}"), &[])).collect();
    let flood = |signal: &Signal<'_>| {
        let mut turn = 0;
        repeat(address, signal, || {
            turn += 1;
            if turn % 2 == 0 { empty.clone() } else { unknown.clone() }
        });
    };
    withstand("empty frames", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn addresses_that_nobody_asked_for_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut next = 0u32;
        repeat(address, signal, || {
            let made = (0..1000).map(|number| {
                let [_, a, b, c] = (next.wrapping_add(number)).to_be_bytes();
                SocketAddr::from(([10, a, b, c], 7333))
            });
            let said = frame("peers", &peers(&made.collect::<Vec<_>>()));
            next = next.wrapping_add(1000);
            said.repeat(5)
        });
    };
    withstand("addresses", &mut node, &mut honest, FLAT, &flood);
    let known = node.get(&format!("/api/v1/networks/{NETWORK}/addresses")).expect("the API lists addresses");
    assert!(known.as_array().is_none_or(Vec::is_empty), "nobody asked for them: {known}");
}

#[test]
fn questions_for_random_blocks_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut next = 0u64;
        repeat(address, signal, || {
            next += 500;
            let questions =
                (next..next + 500).map(|number| frame("get_block", &ledger::hash(&[&number.to_be_bytes()])));
            questions.collect::<Vec<_>>().concat()
        });
    };
    withstand("random inventory", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn orphan_blocks_cost_others_nothing() {
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    let genesis = Block::genesis(NETWORK);
    let orphans: Vec<Vec<u8>> = (0..ORPHANS as u64)
        .map(|number| {
            let parent = ledger::hash(&[&number.to_be_bytes()]);
            frame("block", &Block { parent, height: 2 + number % 50, ..genesis.draft(vec![]) }.mined().bytes())
        })
        .collect();
    let flood = |signal: &Signal<'_>| {
        let mut at = 0;
        repeat(address, signal, || {
            at = (at + 100) % ORPHANS;
            orphans[at..at + 100].concat()
        });
    };
    withstand("orphan blocks", &mut node, &mut honest, FLAT, &flood);
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
    let (mut node, mut honest) = node("", &[]);
    let address = node.address;
    // Each may come again: the node does not remember what it could not take.
    let made: Vec<u8> = (0..500).flat_map(|number| frame("tx", &untakeable(number))).collect();
    let flood = |signal: &Signal<'_>| {
        repeat(address, signal, || made.clone());
    };
    // On a busy machine as many as may wait at the ledger do: thousands of questions, and as many answers.
    withstand("transactions for nothing", &mut node, &mut honest, 3 * FLAT, &flood);
    let metrics = node.metrics();
    let refused =
        metrics.lines().find(|line| line.contains("work_refused_total") && line.contains("transaction_check"));
    println!("{}", refused.expect("what is refused is counted"));
    assert!(metrics.lines().any(|line| line.contains("polypeer_imbalances{") && line.ends_with(" 0")), "{metrics}");
}

#[test]
fn who_sends_invalid_transactions_is_gone_in_time() {
    let (node, mut honest) = node("", &[]);
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
    let (mut node, mut honest) = node("", &[]);
    let (address, questions) = (node.address, frame("get_blockchain_info", &[]).repeat(200));
    let flood = |signal: &Signal<'_>| {
        while signal.goes_on() {
            let mut peer = Peer::open(address);
            while signal.goes_on() && peer.try_say(&questions) {}
        }
    };
    withstand("non-reading askers", &mut node, &mut honest, 2 * FLAT, &flood);
}

#[test]
fn hundreds_that_drip_are_gone_at_the_deadline() {
    let (mut node, mut honest) = node("handshake_timeout = \"2s\"", &["--max-in-peers", "1000"]);
    let before = node.memory();
    let mut dripping: Vec<Peer> = (0..300).map(|_| Peer::dial(node.address)).collect();
    let started = Instant::now();
    let greeting = header(b"connect", 32);
    dripping.iter_mut().for_each(|peer| assert!(peer.try_say(&greeting[..1])));
    while started.elapsed() < Duration::from_secs(3) {
        honest.work();
    }
    // Two seconds and the one in which whoever crossed the limit must be gone have passed.
    assert_eq!(connections(&node, NETWORK), 2, "only the honest ones are left");
    for peer in &mut dripping {
        peer.closed_silently();
    }
    let grown = node.memory().saturating_sub(before);
    println!("300 dripping connections, memory grew by {grown}");
    assert!(grown <= FLAT && node.is_alive(), "memory grew by {grown}");
}

#[test]
fn connections_that_come_and_go_cost_others_nothing() {
    let (mut node, mut honest) = node("", &["--max-in-peers", "1000"]);
    let address = node.address;
    let flood = |signal: &Signal<'_>| {
        let mut count = 0u64;
        while signal.goes_on() {
            let mut peer = Peer::dial(address);
            match count % 3 {
                0 => {}
                1 => drop(peer.try_say(b"garbage that is no frame of AnYa's at all")),
                _ => drop(Peer::open(address)),
            }
            count += 1;
            // Loopback has some 28,000 ports, each of which rests for a minute: so many connections and no more.
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    withstand("churn", &mut node, &mut honest, FLAT, &flood);
}

#[test]
fn ten_times_the_nominal_load_disconnects_nobody() {
    let (mut node, mut honest) = node("", &[]);
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
