//! Bounds what a flood may cost the machine: the log's length, the process's memory, and bans where loopback has none.

use super::anya::Honest;
use super::trial::{Citizen, FLAT, Signal, window, withstand};
use crate::judge::anya::{Manner, NETWORK, Peer, frame, header};
use crate::judge::ledger::Payment;
use crate::judge::node::Node;
use std::time::{Duration, Instant};

/// What one source may have logged in an hour (T-LOG).
const LOG_BYTES_AN_HOUR: u64 = 1 << 20;
/// Of that, what may come at once.
const LOG_BURST_BYTES: u64 = 48 << 10;
/// The memory that a process under flood must get by with (T-RES).
const MEMORY_BYTES: u64 = 256 << 20;

// Slips as many as are borne, then comes back.
fn loud(node: &Node) -> impl FnOnce(&Signal<'_>) + Send + use<> {
    let address = node.address;
    let mut wrong = Payment::new(1, 2, 0).sign(NETWORK);
    wrong[100] ^= 1;
    move |signal: &Signal<'_>| {
        let mut count = 0u64;
        while signal.goes_on() {
            let mut peer = Peer::open(address);
            for _ in 0..19 {
                count += 1;
                let mut said = wrong.clone();
                said[70..78].copy_from_slice(&count.to_be_bytes());
                peer.try_say(&frame("tx", &said));
            }
            peer.hear(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let mut node = Node::start(NETWORK, "", &["--no-discovery"]);
    let mut honest = Honest::at(&node);
    let before = node.log_bytes();
    let started = Instant::now();
    let flood = loud(&node);
    // What is still growing are the rings of the last events: 8,192 for the API, 4,096 for whoever watches, and 4,096
    // reasons, with their texts half a KiB each.
    withstand("slips for the log", &mut node, &mut honest, 3 * FLAT, flood);
    let logged = node.log_bytes() - before;
    let seconds = started.elapsed().as_secs() + 1;
    let allowed = LOG_BURST_BYTES + LOG_BYTES_AN_HOUR * seconds / 3600;
    println!("{logged} bytes were logged in {seconds} s; {allowed} may be");
    assert!(logged <= allowed, "{logged} bytes were logged in {seconds} s");
    assert!(logged > 0, "how it began is in the log");
}

#[test]
fn everything_at_once_fits_into_a_small_machine() {
    let node = Node::start(NETWORK, "", &["--no-discovery", "--max-in-peers", "500"]);
    let mut honest = Honest::at(&node);
    let address = node.address;
    // Peers that begin the longest frames and do not end them, within the default budget of half a gibibyte each
    // costs what it sent: eight of 16 MiB.
    let mut held: Vec<Peer> = Vec::new();
    for _ in 0..8 {
        let mut peer = Peer::open(address);
        peer.try_say(&header(b"block", 4 << 20));
        for _ in 0..63 {
            peer.try_say(&[7; 64 << 10]);
        }
        held.push(peer);
    }
    let started = Instant::now();
    let questions = frame("get_blockchain_info", &[]).repeat(1_000);
    let mut peak = 0;
    while started.elapsed() < window() {
        let mut greedy = Peer::open(address);
        while greedy.try_say(&questions) && started.elapsed() < window() {
            peak = peak.max(node.memory());
        }
        held.push(Peer::dial(address));
        honest.work();
    }
    println!("at most {peak} bytes resident");
    assert!(peak < MEMORY_BYTES, "{peak} bytes resident");
}

#[test]
fn where_loopback_is_not_spared_offenders_stay_out() {
    // As everywhere but on loopback: a breach discourages for a day, and is in the list of bans.
    let mut node = Node::start(
        NETWORK,
        "[limits]\nspare_loopback = false\nin_peers_per_ip_max = 100",
        &["--no-discovery", "--max-in-peers", "2"],
    );
    let mut honest = Peer::ready(node.address, Manner::honest(&[]));
    let mut rude = Peer::open(node.address);
    rude.say(&header(b"Not a type", 0));
    rude.closed_somehow();
    let bans = node.get(&format!("/api/v1/networks/{NETWORK}/bans")).expect("the API lists bans");
    assert_eq!(bans[0]["address"], "127.0.0.1", "{bans}");
    assert_eq!(bans[0]["severity"], "discouraged", "{bans}");
    // Half of the slots are taken, so whoever is discouraged finds none.
    Peer::dial(node.address).closed_silently();
    honest.fine();
    assert!(node.is_alive());
}
