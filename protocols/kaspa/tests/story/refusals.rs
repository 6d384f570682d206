//! Whom a handshake refuses, in which order of checks, and in which words (Kaspa spec, section 3.2).

use crate::greeting::{PEER, both_ways};
use crate::stage::*;
use polypeer_engine::{Close, Command, ConnectionId, Direction, P2pAction, Target};
use polypeer_kaspa::wire::{self, Kind, Version};

/// A Version with something wrong in it is refused with this word, after a Verack.
fn refused(change: impl Fn(&mut Version), text: &str) {
    both_ways(|stage, peer| {
        let mut version = stage.new_version();
        change(&mut version);
        stage.says(peer, Kind::Verack, &[]);
        assert_eq!(stage.hears_kinds(peer), [Kind::Version]);
        stage.says(peer, Kind::Version, &version.encode());
        assert_eq!(stage.sent[&peer].first(), Some(&wire::pack(Kind::Verack, &[], 0, 0)));
        stage.is_rejected(peer, text);
    });
}

#[test]
fn another_network_is_told_its_name() {
    for network in ["simnet", "Kaspa-simnet", "kaspa-devnet", ""] {
        let text = format!("Network mismatch - local: kaspa-simnet, remote: {network}");
        refused(|version| version.network = network.into(), &text);
    }
}

#[test]
fn what_does_not_decode_is_refused_in_todays_words() {
    type Wrong<'a> = &'a dyn Fn(&Version) -> Vec<u8>;
    let cases: [(&str, Wrong<'_>); 4] = [
        ("IP has illegal length 5", &|version| [&version.encode()[..], &[0x22, 7, 0x1a, 5, 1, 2, 3, 4, 5]].concat()),
        ("Integer parsing error: out of range integral type conversion attempted", &|version| {
            [&version.encode()[..], &[0x22, 10, 0x1a, 4, 1, 2, 3, 4, 0x20, 0x80, 0x80, 0x04]].concat()
        }),
        ("invalid length: expected 16 bytes, found 15", &|version| {
            [&version.encode()[..], &[0x2a, 15], &[7; 15]].concat()
        }),
        ("could not convert slice to array", &|version| [&version.encode()[..], &[0x4a, 4, 0x0a, 2, 1, 2]].concat()),
    ];
    for (text, wrong) in cases {
        both_ways(|stage, peer| {
            let version = stage.new_version();
            stage.says(peer, Kind::Version, &wrong(&version));
            assert_eq!(stage.sent[&peer][1], wire::pack(Kind::Verack, &[], 0, 0));
            stage.is_rejected(peer, text);
        });
    }
}

#[test]
fn the_checks_have_their_order() {
    // A duplicate is reported before a wrong network, that before an old version, and all three after what does not decode.
    story(|stage| {
        let version = stage.new_version();
        let first = stage.guest_as(PEER, &version);
        let second = stage.accept("10.0.0.9:40001");
        let wrong = Version { network: "kaspa-devnet".into(), protocol_version: 9, ..version.clone() };
        stage.greets(second, &wrong);
        stage.is_rejected(second, "DUPLICATE_CONNECTION");
        stage.is_well(first);
        let third = stage.accept("10.0.0.9:40002");
        let broken = [&wrong.encode()[..], &[0x4a, 4, 0x0a, 2, 1, 2]].concat();
        stage.says(third, Kind::Version, &broken);
        stage.is_rejected(third, "could not convert slice to array");
    });
    let text = "Network mismatch - local: kaspa-simnet, remote: kaspa-devnet";
    refused(|version| (version.network, version.protocol_version) = ("kaspa-devnet".into(), 9), text);
}

#[test]
fn the_same_id_from_another_ip_is_another_peer() {
    story(|stage| {
        let version = stage.new_version();
        let first = stage.guest_as(PEER, &version);
        let second = stage.guest_as("10.0.0.8:40000", &version);
        stage.is_well(first);
        stage.is_well(second);
    });
}

#[test]
fn of_two_handshakes_that_race_the_later_one_stays() {
    story(|stage| {
        let version = stage.new_version();
        let [first, second] = ["10.0.0.9:40000", "10.0.0.9:40001"].map(|remote| stage.accept(remote));
        for peer in [first, second] {
            stage.says(peer, Kind::Version, &version.encode());
            stage.says(peer, Kind::Verack, &[]);
        }
        stage.says(first, Kind::Ready, &[]);
        assert!(stage.is_open(first));
        stage.says(second, Kind::Ready, &[]);
        stage.is_rejected(first, "DUPLICATE_CONNECTION");
        stage.is_well(second);
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn whoever_has_our_id_is_this_node_itself() {
    story(|stage| {
        let us = stage.dial("10.0.0.5:16511");
        let ours = Version::decode(&stage.hears_one(us, Kind::Version).body).expect("our Version");
        let wrong = Version { network: "kaspa-devnet".into(), ..ours };
        stage.greets(us, &wrong);
        stage.is_rejected(us, "LOOPBACK_CONNECTION");
        assert_eq!(stage.severity("10.0.0.5:1"), None);
        let dials = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address("10.0.0.5:16511") });
        assert_eq!(stage.dialled.len(), dials, "an address that leads here is not dialled again");
    });
}

/// Our dial comes in at our own door: both ends end, and the dialled address is known as ours.
#[test]
fn a_dial_that_comes_back_to_us_ends_at_both_ends() {
    story(|stage| {
        let dialled = stage.dial("10.0.0.5:16511");
        let local = stage.engine.state().peers[&dialled].ends.local;
        let accepted = ConnectionId::nth(Direction::Inbound, 90);
        stage.connected(accepted, address("10.0.0.1:16511"), local, None);
        let ours = stage.hears_one(dialled, Kind::Version);
        stage.says(accepted, Kind::Version, &ours.body);
        stage.says(accepted, Kind::Verack, &[]);
        stage.is_rejected(accepted, "LOOPBACK_CONNECTION");
        assert_eq!(stage.closed.get(&dialled), Some(&Close::Now));
        let dials = stage.dialled.len();
        stage.act(P2pAction::Connect { address: address("10.0.0.5:16511") });
        assert_eq!(stage.dialled.len(), dials);
    });
}

#[test]
fn a_stranger_that_was_dialled_is_left_alone_for_an_hour() {
    let changes: [fn(&mut Version); 2] =
        [|version| version.network = "kaspa-mainnet".into(), |version| version.protocol_version = 9];
    for change in changes {
        story(|stage| {
            stage.act(P2pAction::Command(Command::AddPeer(Target::Address(address(PEER)))));
            stage.wait(seconds(1));
            assert_eq!(stage.dialled.len(), 1);
            let peer = stage.arrives();
            let mut version = stage.new_version();
            change(&mut version);
            stage.greets(peer, &version);
            assert!(!stage.is_open(peer));
            assert_eq!(stage.severity(PEER), None, "a stranger is not to blame");
            stage.wait(seconds(3_590));
            assert_eq!(stage.dialled.len(), 1);
            stage.wait(seconds(60));
            assert_eq!(stage.dialled.len(), 2);
        });
    }
}

#[test]
fn an_old_version_is_told_ours() {
    for old in [0, 5, 9] {
        let text = format!("P2P protocol version mismatch - local: 11, remote: {old}");
        refused(|version| version.protocol_version = old, &text);
    }
}
