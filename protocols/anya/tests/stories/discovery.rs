//! Exchanges and proves addresses (AnYa spec, section 3).

use crate::story::{Story, address, config, info, p2p, story, story_with};
use polypeer_anya::wire::{self, Kind};
use polypeer_engine::{Address, ConnectionId, DialFailure, P2pAction, P2pConfig};
use std::time::Duration;

const CLAIMED: &str = "10.0.0.9:7333";

fn claims(story: &mut Story, remote: &str, claimed: &str) -> ConnectionId {
    let peer = story.accept(remote);
    story.says(peer, Kind::Connect, &wire::address(address(claimed)));
    story.bytes(peer, &info(&[]));
    story.skip(peer);
    peer
}

fn named(story: &mut Story, asker: ConnectionId) -> Vec<Address> {
    story.says(asker, Kind::GetPeers, &[]);
    let payload = story.hears(asker, Kind::Peers);
    wire::decode_peers(&payload).expect("our own encoding")
}

#[test]
fn a_claimed_address_is_handed_out_once_it_was_dialled() {
    story(|story| {
        let asker = claims(story, "10.0.0.8:5000", "10.0.0.7:1");
        let peer = claims(story, "10.0.0.9:5000", CLAIMED);
        assert_eq!(story.dialled.last().map(|(_, to)| *to), Some(address(CLAIMED)));
        assert_eq!(named(story, asker), []);
        let proof = story.dial_stands();
        story.hears(proof, Kind::Connect);
        assert_eq!(named(story, asker), [], "the TCP connection alone proves nothing");
        story.says(proof, Kind::ConnectionAccepted, &wire::address(address(CLAIMED)));
        assert_eq!(named(story, asker), [address(CLAIMED)]);
        assert_eq!(named(story, peer), [], "never the asker's own");
        story.skip(proof);
        assert_eq!(named(story, proof), [], "nor the one that it was dialled at");
        assert!(story.is_open(peer) && story.is_open(proof));
    });
}

#[test]
fn nobody_has_a_third_party_dialled() {
    story(|story| {
        claims(story, "10.0.0.8:5000", CLAIMED);
        claims(story, "[::ffff:10.0.0.6]:5000", "10.0.0.7:1");
        story.wait(Duration::from_secs(60));
        assert_eq!(story.dialled, []);
        claims(story, "[::ffff:10.0.0.9]:5000", CLAIMED);
        assert_eq!(story.dialled.len(), 1, "a mapped address is the same address");
    });
}

#[test]
fn a_claim_waits_for_a_free_slot() {
    let one_slot = P2pConfig { outbound_target: 1, ..p2p() };
    story_with(config(), one_slot, |story| {
        let out = story.dial("10.0.0.5:1");
        story.says(out, Kind::ConnectionAccepted, &wire::address(address("10.0.0.5:1")));
        claims(story, "10.0.0.9:5000", CLAIMED);
        story.wait(Duration::from_secs(20));
        assert_eq!(story.dialled.len(), 1);
        story.gone(out);
        story.wait(Duration::from_secs(10));
        assert!(story.dialled.iter().any(|(_, to)| *to == address(CLAIMED)), "within 10 s");
    });
}

#[test]
fn a_claim_that_fails_is_not_handed_out_and_may_be_made_again() {
    story(|story| {
        let peer = claims(story, "10.0.0.9:5000", CLAIMED);
        let (connection, _) = *story.dialled.last().expect("dialled");
        story.act(P2pAction::ConnectionFailed { connection, cause: DialFailure::Refused });
        let asker = claims(story, "10.0.0.8:5000", "10.0.0.7:1");
        assert_eq!(named(story, asker), []);
        story.gone(peer);
        story.wait(Duration::from_secs(10));
        let before = story.dialled.len();
        claims(story, "10.0.0.9:5001", CLAIMED);
        story.wait(Duration::from_secs(10));
        assert!(story.dialled.len() > before || story.engine.state().is_dialled(address(CLAIMED)));
    });
}

#[test]
fn addresses_of_peers_are_learned_when_asked_for_and_dialled() {
    story(|story| {
        let unasked = claims(story, "10.0.0.8:5000", "10.0.0.7:1");
        story.bytes(unasked, &wire::peers(&[address("10.0.0.66:1")]));
        let peer = story.dial("10.0.0.5:1");
        story.says(peer, Kind::ConnectionAccepted, &wire::address(address("10.0.0.5:1")));
        story.bytes(peer, &info(&[]));
        let own = address("10.0.0.1:7333");
        story.bytes(peer, &wire::peers(&[address("10.0.0.50:1"), own]));
        story.bytes(peer, &wire::peers(&[address("10.0.0.67:1")]));
        story.wait(Duration::from_secs(5));
        let dialled: Vec<_> = story.dialled.iter().map(|(_, to)| *to).collect();
        assert_eq!(dialled, [address("10.0.0.5:1"), address("10.0.0.50:1")]);
    });
}

#[test]
fn without_discovery_nobody_is_asked_and_no_claim_is_dialled() {
    story_with(config(), P2pConfig { discovery: false, ..p2p() }, |story| {
        let peer = story.dial("10.0.0.5:1");
        story.says(peer, Kind::ConnectionAccepted, &wire::address(address("10.0.0.5:1")));
        story.bytes(peer, &info(&[]));
        let asked: Vec<_> = story.lines[&peer].sent.iter().map(|frame| Kind::of(&wire::name_in(frame))).collect();
        assert!(!asked.contains(&Some(Kind::GetPeers)));
        claims(story, "10.0.0.9:5000", CLAIMED);
        assert_eq!(story.dialled.len(), 1);
    });
}

#[test]
fn at_most_a_thousand_addresses_are_named() {
    story_with(config(), P2pConfig { outbound_target: 64, ..p2p() }, |story| {
        let all: Vec<_> = (0..1_500).map(|port| Address::new(address("10.0.1.1:1").ip(), 1_000 + port)).collect();
        for chunk in all.chunks(500) {
            let peer = story.dial(&format!("10.0.0.5:{}", chunk[0].port()));
            story.says(peer, Kind::ConnectionAccepted, &wire::address(address("10.0.0.5:1")));
            story.bytes(peer, &info(&[]));
            story.bytes(peer, &wire::peers(chunk));
            story.skip(peer);
        }
        // Prove them all, a few at a time, as the dialer gets to them.
        let mut proven = 0;
        for _ in 0..200 {
            story.wait(Duration::from_millis(500));
            while proven + 3 < story.dialled.len() {
                let (connection, to) = story.dialled[proven + 3];
                proven += 1;
                let peer = story.stands(connection, to);
                story.says(peer, Kind::ConnectionAccepted, &wire::address(to));
                story.gone(peer);
            }
        }
        assert!(proven > 1_100, "{proven}");
        let asker = claims(story, "10.0.0.8:5000", "10.0.0.7:1");
        let named = named(story, asker);
        assert_eq!(named.len(), 1_000);
    });
}
