//! Stories of PING and of silence: BUMO spec, section 1.2, and rows 1, 10, 14, 16 and 26 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::make;
use crate::peers::envelope;
use crate::stage::*;
use polypeer_bumo::wire::{Kind, Message as _, Ping};
use polypeer_engine::Close;
use polypeer_engine::shell::bans::Severity;

#[test]
fn a_peer_is_pinged_every_fifteen_seconds_with_the_clock_for_a_nonce() {
    story(|stage| {
        let peer = stage.guest(PEER);
        let mut pings = Vec::new();
        for _ in 0..4 {
            stage.wait(seconds(15));
            pings.extend(stage.hears(peer).into_iter().filter(|said| said.kind == Kind::Ping));
            stage.says(peer, Kind::Ping, &[]);
            stage.hears(peer);
        }
        let nonces: Vec<_> = pings.iter().map(|said| Ping::decode(&said.data).expect("a ping").nonce).collect();
        let begin = make::CLOCK_MS as i64 * 1000 + 500_000;
        assert_eq!(nonces, [0, 15, 30, 45].map(|seconds| begin + seconds * 1_000_000));
        assert!(pings.iter().all(|said| said.is_request));
    });
}

#[test]
fn the_round_trip_is_that_of_the_ping_that_was_answered() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(millis(500));
        let ping = stage.hears_one(peer, Kind::Ping, true);
        stage.wait(millis(40));
        // Neither another nonce nor one that nobody sent says anything.
        stage.answers(peer, Kind::Ping, &Ping { nonce: 5 }.encode());
        stage.answers(peer, Kind::Ping, &[]);
        stage.answers(peer, Kind::Ping, &ping.data);
        stage.answers(peer, Kind::Ping, &ping.data);
        let known = stage.engine.state().peers[&peer].peer.as_ref().expect("no handler runs");
        assert_eq!(known.line().round_trip, Some(millis(40)));
        assert_eq!(stage.slips(peer), 0);
        stage.is_well(peer);
    });
}

#[test]
fn row_26_who_is_silent_for_sixty_seconds_is_closed() {
    story(|stage| {
        let peer = stage.guest(PEER);
        stage.wait(millis(59_999));
        assert!(stage.is_open(peer));
        stage.wait(millis(1));
        stage.is_cut(peer);
        assert_eq!(stage.severity(PEER), None);
    });
}

#[test]
fn any_message_is_a_sign_of_life() {
    let ping = envelope(Kind::Ping, true, 0, &[]);
    let pong = envelope(Kind::Ping, false, 0, &[]);
    let signs: [&[u8]; 6] = [&ping, &pong, &[0x08, 0x63], &[], &[0xff; 9], &[0x08, 0x04]];
    for sign in signs {
        story(|stage| {
            let peer = stage.guest(PEER);
            for _ in 0..3 {
                stage.wait(seconds(59));
                stage.says_raw(peer, sign);
                assert!(stage.is_open(peer), "{sign:?}");
            }
            stage.wait(millis(59_999));
            assert!(stage.is_open(peer));
            stage.wait(millis(1));
            assert!(!stage.is_open(peer));
        });
    }
}

#[test]
fn row_14_what_nobody_handles_is_passed_over() {
    story(|stage| {
        let peer = stage.settled(PEER);
        let unknown: [&[u8]; 5] =
            [&[0x08, 0x00], &[0x08, 0x08], &[0x08, 0x63, 0x10, 0x01], &[], &[0x08, 0xff, 0xff, 0x7f]];
        unknown.into_iter().for_each(|payload| stage.says_raw(peer, payload));
        // Pushes have no answers, and are none.
        for kind in [Kind::Peers, Kind::Transaction, Kind::Pbft, Kind::LedgerUpgradeNotify] {
            stage.answers(peer, kind, &[0xff]);
        }
        stage.hears_nothing(peer);
        assert_eq!(stage.slips(peer), 0);
        stage.is_well(peer);
    });
}

#[test]
fn garbage_is_borne_and_only_a_flood_of_it_is_not() {
    story(|stage| {
        let peer = stage.settled(PEER);
        for count in 1..20 {
            stage.says_raw(peer, &[0xff; 7]);
            assert_eq!(stage.slips(peer), count);
        }
        stage.is_well(peer);
        stage.wait(seconds(50));
        stage.says_raw(peer, &[0xff; 7]);
        assert!(!stage.is_open(peer), "the twentieth within a minute");
        assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
    });
    story(|stage| {
        let peer = stage.settled(PEER);
        for _ in 0..30 {
            stage.says_raw(peer, &[0xff; 7]);
            stage.wait(seconds(4));
        }
        assert!(stage.is_open(peer), "one in four seconds is borne for ever");
    });
}

#[test]
fn row_16_a_ping_that_does_not_decode_ends_the_connection() {
    for is_request in [true, false] {
        story(|stage| {
            let [honest, peer] = ["10.0.0.8:40000", PEER].map(|peer| stage.guest(peer));
            match is_request {
                true => stage.says(peer, Kind::Ping, &[0xff]),
                false => stage.answers(peer, Kind::Ping, &[0xff]),
            }
            stage.is_cut(peer);
            assert_eq!(stage.closed.get(&peer), Some(&Close::Now));
            assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
            stage.is_well(honest);
        });
    }
}

#[test]
fn fields_of_a_newer_node_are_passed_over() {
    story(|stage| {
        let peer = stage.settled(PEER);
        // Field 9 of the envelope, fields in another order, and a field 3 of Ping.
        stage.says_raw(peer, &[0x4a, 1, 7, 0x22, 4, 0x18, 1, 0x08, 5, 0x18, 9, 0x10, 1, 0x08, 1]);
        let pong = stage.hears_one(peer, Kind::Ping, false);
        assert_eq!((pong.sequence, Ping::decode(&pong.data)), (9, Ok(Ping { nonce: 5 })));
    });
}

/// Who reads is answered however much it asks at once.
#[test]
fn who_asks_on_and_reads_no_answer_is_sent_away_before_it_fills_a_queue() {
    story(|stage| {
        let [honest, peer] = ["10.0.0.8:40000", PEER].map(|peer| stage.settled(peer));
        for _ in 0..1_000 {
            stage.says(peer, Kind::Hello, &[]);
            stage.hears_one(peer, Kind::Hello, false);
        }
        stage.is_well(peer);
        stage.reads = false;
        let unread = stage.asks_until_cut(peer);
        stage.is_cut(peer);
        assert_eq!(stage.severity(PEER), None, "it may come back");
        // What its channel takes, as far as that was not filled before, and as much again.
        assert!((257 << 10..513 << 10).contains(&unread), "{unread} bytes were left for it to read");
        stage.reads = true;
        stage.is_well(honest);
    });
}

/// Only what a connection left unread beyond what its channel takes counts, and only until it reads.
#[test]
fn who_reads_slowly_may_ask_meanwhile() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.reads = false;
        for _ in 0..6 {
            for _ in 0..6_000 {
                stage.says(peer, Kind::Ping, &Ping { nonce: 1 }.encode());
            }
            assert!(stage.is_open(peer));
            stage.reads_all(peer);
        }
        stage.reads = true;
        stage.is_well(peer);
    });
}

#[test]
fn long_messages_are_read_as_long_as_they_are_paid_for() {
    const BYTES: usize = 16 << 20;
    // A nonce, and a field that nobody knows.
    let long = [&[0x08, 1, 0x4a][..], &[0x80, 0x80, 0x80, 0x08], &vec![0; BYTES]].concat();
    story(|stage| {
        let [honest, peer] = ["10.0.0.8:40000", PEER].map(|peer| stage.settled(peer));
        let heard = |stage: &mut Stage, times: usize| {
            (0..times).for_each(|_| stage.says(peer, Kind::Ping, &long));
            stage.hears(peer).len()
        };
        // Two seconds of work, at five microseconds a KiB.
        assert_eq!(heard(stage, 30), 25, "more are passed over");
        stage.is_well(peer);
        stage.wait(seconds(1));
        stage.hears(peer);
        assert!((3..5).contains(&heard(stage, 6)), "a quarter of each second comes back");
        assert_eq!(stage.slips(peer), 0);
        stage.is_well(peer);
        stage.is_well(honest);
    });
}
