//! Stories of pings and silence: Mina spec, sections 2.1 and 9.

use crate::stage::*;
use polypeer_engine::{ChannelEnd, ConnectionId};
use polypeer_mina::streams::{IDENTIFY, MESH, PING, RPC};

const PEER: &str = "10.0.0.9:40000";

// A peer that speaks ping and echoes nothing of its own accord.
fn silent(stage: &mut Stage) -> ConnectionId {
    let peer = stage.accepts(PEER, 7, &[IDENTIFY, PING]);
    let (_, channel, _) = *stage.opened.last().expect("identify");
    stage.says(peer, channel, &crate::make::identify(7, &crate::make::names(&[IDENTIFY, PING]), &[]));
    stage.wait(seconds(0));
    peer
}

#[test]
fn a_peer_is_pinged_at_once_and_every_fifteen_seconds_on_one_stream() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        stage.wait(seconds(61));
        assert!(stage.is_open(peer));
        assert_eq!(stage.opened.iter().filter(|(_, _, kind)| *kind == PING).count(), 1);
        assert!(stage.peer(peer).is_some_and(|peer| peer.line.round_trip.is_some()));
        assert!(stage.faults(peer).is_empty());
    });
}

#[test]
fn who_does_not_echo_is_let_go() {
    story(|stage| {
        let peer = silent(stage);
        assert_eq!(stage.hears(peer, PING).len(), 1);
        stage.wait(seconds(29));
        assert!(stage.is_open(peer));
        stage.wait(seconds(2));
        assert_eq!((stage.is_open(peer), stage.faults(peer)), (false, vec!["no_pong".to_owned()]));
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn another_echo_is_borne_a_few_times() {
    story(|stage| {
        let peer = silent(stage);
        let [ping] = stage.hears(peer, PING).try_into().expect("one ping");
        let (_, channel, _) = *stage.opened.last().expect("ping");
        stage.says(peer, channel, &[0; 32]);
        stage.says(peer, channel, &ping);
        assert_eq!(stage.faults(peer), ["wrong_pong", "wrong_pong"], "the second answers nothing that is asked");
        assert!(stage.is_open(peer));
    });
}

#[test]
fn pings_are_echoed_on_their_own_stream_and_not_without_end() {
    story(|stage| {
        let peer = stage.guest(PEER, 7);
        let channel = stage.opens(peer, PING);
        for number in 0..16_u8 {
            stage.says(peer, channel, &[number; 32]);
            assert_eq!(stage.hears_on(peer, channel), [vec![number; 32]]);
        }
        for _ in 0..19 {
            stage.says(peer, channel, &[9; 32]);
            assert!(stage.hears_on(peer, channel).is_empty());
        }
        assert!(stage.is_open(peer), "nineteen slips are borne");
        stage.says(peer, channel, &[9; 32]);
        assert_eq!((stage.is_open(peer), stage.faults(peer)), (false, vec!["too_many_pings".to_owned(); 20]));
    });
}

#[test]
fn who_refuses_ping_is_not_pinged_again() {
    story(|stage| {
        let peer = stage.accepts(PEER, 7, &[IDENTIFY, MESH]);
        let (_, channel, _) = *stage.opened.last().expect("identify");
        stage.says(peer, channel, &crate::make::identify(7, &crate::make::names(&[IDENTIFY, PING]), &[]));
        stage.wait(seconds(300));
        assert!(stage.is_open(peer), "nothing says that it is gone");
        assert_eq!(stage.opened.iter().filter(|(_, _, kind)| *kind == PING).count(), 1);
    });
}

#[test]
fn who_kept_a_stream_for_questions_and_says_nothing_on_it_is_gone() {
    story(|stage| {
        let peer = stage.guest_that(PEER, 7, &[IDENTIFY, MESH]);
        let channel = stage.opens(peer, RPC);
        let handshake = [7, 0, 0, 0, 0, 0, 0, 0, 2, 0xfd, 0x52, 0x50, 0x43, 0, 1];
        stage.says(peer, channel, &handshake);
        let heartbeat = [1, 0, 0, 0, 0, 0, 0, 0, 0];
        for _ in 0..20 {
            stage.wait(seconds(10));
            stage.says(peer, channel, &heartbeat);
        }
        assert!(stage.is_open(peer), "row 22: heartbeats keep it");
        stage.wait(seconds(121));
        assert_eq!((stage.is_open(peer), stage.faults(peer)), (false, vec!["silent".to_owned()]));
    });
}

#[test]
fn a_ping_is_forgotten_with_its_stream() {
    story(|stage| {
        let peer = silent(stage);
        let (_, channel, _) = *stage.opened.last().expect("ping");
        stage.stream_ends(peer, channel, ChannelEnd::Reset);
        stage.wait(seconds(16));
        assert!(stage.is_open(peer));
        assert_eq!(stage.opened.iter().filter(|(_, _, kind)| *kind == PING).count(), 2);
    });
}
