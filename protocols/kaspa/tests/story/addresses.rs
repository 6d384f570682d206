//! Addresses (Kaspa spec, section 4.1).

use crate::make::net_address;
use crate::stage::*;
use polypeer_engine::{ConnectionId, P2pConfig};
use polypeer_kaspa::wire::{ADDRESSES_MAX, Addresses, Kind, NetAddress, Version};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const PEER: &str = "10.0.0.9:40000";

fn greeted(stage: &mut Stage) -> ConnectionId {
    let peer = stage.accept(PEER);
    let version = stage.new_version();
    stage.greets(peer, &version);
    let asked = stage.hears_kinds(peer).into_iter().filter(|kind| *kind == Kind::RequestAddresses).count();
    assert_eq!(asked, 1, "addresses are asked for once");
    peer
}

// Each in a network group of its own, as the book likes it.
fn many(count: usize) -> Vec<NetAddress> {
    let ip = |at: usize| IpAddr::V4(Ipv4Addr::new(20 + (at >> 8) as u8, at as u8, 1, 1));
    (0..count).map(|at| NetAddress::new(ip(at), 16_511)).collect()
}

fn known(stage: &Stage) -> usize {
    stage.engine.state().discovery.book.len()
}

/// A node that does not dial what it learns.
fn still() -> Setting {
    let setting = holding(2);
    Setting { p2p: P2pConfig { outbound_target: 0, ..setting.p2p }, ..setting }
}

#[test]
fn what_a_peer_tells_goes_into_the_book() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        let told = Addresses(
            ["10.7.0.1:16511", "127.0.0.1:16511", "0.0.0.0:1", "[::1]:5", "10.8.0.1:0"].map(net_address).into(),
        );
        stage.says(peer, Kind::Addresses, &told.encode());
        assert_eq!(known(stage), 1, "loopback, nowhere and port 0 cannot be dialled");
        stage.wait(seconds(200));
        assert!(!stage.hears_kinds(peer).contains(&Kind::RequestAddresses), "they are asked for once");
    });
}

#[test]
fn where_a_peer_says_it_is_goes_into_the_book() {
    story_of(&still(), |stage| {
        let version = Version { address: Some(net_address("10.7.0.1:16511")), ..stage.new_version() };
        stage.guest_as(PEER, &version);
        assert_eq!(known(stage), 1);
        let nowhere = Version { address: Some(net_address("127.0.0.1:16511")), ..stage.new_version() };
        stage.guest_as(PEER, &nowhere);
        assert_eq!(known(stage), 1);
    });
}

/// Without discovery it still asks, since a peer may wait to be asked, and takes up nothing of what it hears.
#[test]
fn without_discovery_nothing_is_learnt() {
    let setting = still();
    let p2p = P2pConfig { discovery: false, ..setting.p2p };
    story_of(&Setting { p2p, ..setting }, |stage| {
        let version = Version { address: Some(net_address("10.7.0.1:16511")), ..stage.new_version() };
        let peer = stage.accept(PEER);
        stage.greets(peer, &version);
        assert!(stage.hears_kinds(peer).contains(&Kind::RequestAddresses));
        stage.says(peer, Kind::Addresses, &Addresses(many(3)).encode());
        assert_eq!(known(stage), 0);
        stage.is_well(peer);
    });
}

#[test]
fn two_thousand_five_hundred_are_taken_and_one_more_is_not() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.says(peer, Kind::Addresses, &Addresses(many(ADDRESSES_MAX)).encode());
        assert!(known(stage) > 0);
        stage.is_well(peer);
    });
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.says(peer, Kind::Addresses, &Addresses(many(ADDRESSES_MAX + 1)).encode());
        stage.is_rejected(peer, "address count 2501 exceeded 2500");
        assert_eq!(known(stage), 0);
    });
}

#[test]
fn one_malformed_entry_fails_all() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        let bad = [0x0a, 7, 0x1a, 5, 1, 2, 3, 4, 5];
        let told = [&Addresses(many(3)).encode()[..], &bad].concat();
        stage.says(peer, Kind::Addresses, &told);
        stage.is_rejected(peer, "IP has illegal length 5");
        assert_eq!(known(stage), 0);
    });
}

#[test]
fn a_second_answer_ends_the_connection_in_silence() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.says(peer, Kind::Addresses, &[]);
        assert!(stage.is_open(peer));
        stage.says(peer, Kind::Addresses, &[]);
        stage.is_cut(peer);
    });
}

#[test]
fn addresses_are_due_within_two_minutes() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.wait(Duration::from_millis(119_999));
        assert!(stage.is_open(peer));
        stage.wait(Duration::from_millis(1));
        stage.is_rejected(peer, "timeout expired after 120s");
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn every_question_is_answered_with_at_most_a_thousand_and_never_loopback() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.says(peer, Kind::Addresses, &[]);
        for host in ["10.1.0.1:16511", "10.2.0.1:16511", "127.0.0.1:16511"] {
            let host = stage.host(host);
            stage.hang_up(host);
        }
        for _ in 0..3 {
            stage.asks(peer, Kind::RequestAddresses, &[], 5);
            let answer = stage.hears_one(peer, Kind::Addresses);
            assert_eq!(answer.response_id, 0, "Addresses never carries an id");
            let told = Addresses::decode(&answer.body, 1_000).expect("at most a thousand").0;
            assert_eq!(told.len(), 2);
            assert!(told.iter().all(|told| !told.ip.is_loopback() && told.timestamp == 0));
        }
    });
}

#[test]
fn a_peer_is_not_told_of_itself() {
    story_of(&still(), |stage| {
        let host = stage.host("10.1.0.1:16511");
        stage.says(host, Kind::RequestAddresses, &[]);
        assert_eq!(Addresses::decode(&stage.hears_one(host, Kind::Addresses).body, 1_000), Ok(Addresses::default()));
    });
}

/// Who asks and asks is answered as it reads, and not beyond what it may have of our time.
#[test]
fn questions_without_end_wait_and_then_end_the_connection() {
    story_of(&still(), |stage| {
        let peer = greeted(stage);
        stage.says(peer, Kind::Addresses, &[]);
        stage.reads = false;
        for _ in 0..200_000 {
            if !stage.is_open(peer) {
                break;
            }
            stage.says(peer, Kind::RequestAddresses, &[]);
        }
        assert!(!stage.is_open(peer), "more than 256 wait: the connection ends");
        let bytes: usize = stage.sent[&peer].iter().map(|frame| frame.len()).sum();
        assert!(bytes < 1 << 20, "{bytes}");
        stage.is_cut(peer);
    });
}
