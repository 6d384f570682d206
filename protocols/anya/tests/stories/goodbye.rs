//! Ends connections: in order, or because nobody is there (AnYa spec, section 4).

use crate::story::{Story, story};
use polypeer_anya::wire::{self, Kind};
use polypeer_engine::{Close, Command, ConnectionId, P2pAction};
use std::time::Duration;

const PEER: &str = "10.0.0.9:5000";
const SECOND: Duration = Duration::from_secs(1);

fn parting(story: &mut Story) -> ConnectionId {
    let peer = story.friend(PEER);
    story.act(P2pAction::Disconnect { connection: peer });
    story.hears(peer, Kind::Disconnect);
    peer
}

#[test]
fn a_disconnect_is_answered_and_nothing_follows() {
    story(|story| {
        let peer = story.friend(PEER);
        story.says(peer, Kind::Disconnect, &[]);
        story.hears(peer, Kind::DisconnectAck);
        assert_eq!(story.lines[&peer].closed, Some(Close::Lingering));
    });
}

#[test]
fn who_asked_closes_on_the_answer_or_after_three_seconds() {
    story(|story| {
        let peer = parting(story);
        story.says(peer, Kind::DisconnectAck, &[]);
        assert!(!story.is_open(peer));
    });
    story(|story| {
        let peer = parting(story);
        story.wait(Duration::from_millis(2_999));
        assert!(story.is_open(peer));
        story.wait(Duration::from_millis(1));
        story.is_cut(peer);
    });
}

#[test]
fn nothing_is_sent_after_a_disconnect() {
    story(|story| {
        let peer = story.friend(PEER);
        story.is_prompt = false;
        for _ in 0..10 {
            story.says(peer, Kind::GetBlock, &[7; 32]);
            story.says(peer, Kind::GetBlockchainInfo, &[]);
            story.says(peer, Kind::GetMempool, &[]);
        }
        story.act(P2pAction::Disconnect { connection: peer });
        story.hears(peer, Kind::Disconnect);
        story.says(peer, Kind::Ping, &[]);
        story.says(peer, Kind::Tx, b"x");
        story.bytes(peer, &[wire::name("weather").as_slice(), &[0; 4]].concat());
        story.is_prompt = true;
        story.answer();
        let tip = story.ledger.mine(1);
        story.ledger_says(tip);
        story.act(P2pAction::BroadcastMessage { kind: 0, payload: bytes::Bytes::from_static(b"v") });
        story.wait(2 * SECOND);
        story.hears_nothing(peer);
    });
}

#[test]
fn draining_parts_from_everyone() {
    story(|story| {
        let (peer, early) = (story.friend(PEER), story.accept("10.0.0.8:1"));
        story.act(P2pAction::Command(Command::Drain));
        story.hears(peer, Kind::Disconnect);
        story.is_cut(early);
        story.says(peer, Kind::DisconnectAck, &[]);
        assert!(!story.is_open(peer));
    });
}

#[test]
fn a_silent_peer_is_pinged_then_closed() {
    story(|story| {
        let peer = story.friend(PEER);
        story.wait(Duration::from_millis(29_999));
        story.hears_nothing(peer);
        story.wait(Duration::from_millis(1));
        story.hears(peer, Kind::Ping);
        story.wait(Duration::from_millis(19_999));
        assert!(story.is_open(peer));
        story.wait(Duration::from_millis(1));
        story.is_cut(peer);
    });
}

#[test]
fn any_whole_frame_is_a_sign_of_life() {
    story(|story| {
        let peer = story.friend(PEER);
        for _ in 0..10 {
            story.wait(29 * SECOND);
            story.says(peer, Kind::Error, &[]);
        }
        story.hears_nothing(peer);
        story.wait(45 * SECOND);
        story.hears(peer, Kind::Ping);
        story.says(peer, Kind::Tx, b"v");
        story.wait(29 * SECOND);
        story.hears_nothing(peer);
        story.wait(SECOND);
        story.hears(peer, Kind::Ping);
        story.says(peer, Kind::Pong, &[]);
        assert!(story.is_open(peer));
        let about = story.about(peer);
        assert_eq!(about.ping_micros, Some(0));
    });
}

#[test]
fn a_frame_that_drips_in_slowly_ends_too() {
    story(|story| {
        let peer = story.friend(PEER);
        story.bytes(peer, &wire::frame(Kind::Tx, &[b'v'; 100])[..40]);
        for _ in 0..49 {
            story.wait(SECOND);
            story.bytes(peer, b"v");
        }
        assert!(story.is_open(peer));
        story.wait(SECOND);
        story.hears(peer, Kind::Ping);
        story.is_cut(peer);
    });
}
