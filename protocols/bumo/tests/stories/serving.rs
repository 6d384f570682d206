//! Stories of those who ask us for ledgers: BUMO spec, section 6.1, and rows 12, 13 and 18 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::stage::*;
use polypeer_bumo::wire::{GetLedgers, Kind, Message as _};

#[test]
fn row_12_and_13_one_to_five_ledgers_are_served_with_the_proof_of_the_last() {
    story(|stage| {
        let peer = stage.settled(PEER);
        for (begin, end) in [(2, 2), (2, 6), (3, 7), (10, 13), (17, 21), (21, 21)] {
            stage.asks_for_ledgers(peer, begin, end);
            stage.is_served(peer, begin, end);
        }
    });
}

#[test]
fn row_13_whatever_cannot_be_served_is_answered_with_silence() {
    let refused = [
        (2, 7),
        (1, 1),
        (1, 2),
        (3, 2),
        (20, 22),
        (22, 22),
        (0, 0),
        (-3, -2),
        (i64::MIN, i64::MAX),
        (i64::MAX, i64::MIN),
        (i64::MAX, i64::MAX),
    ];
    story(|stage| {
        let peer = stage.settled(PEER);
        for (begin, end) in refused {
            stage.asks_for_ledgers(peer, begin, end);
        }
        let other_chain = GetLedgers { begin: 2, end: 2, timestamp: 0, chain_id: 1 };
        stage.says(peer, Kind::Ledgers, &other_chain.encode());
        stage.hears_nothing(peer);
        assert_eq!((stage.slips(peer), stage.severity(PEER)), (0, None));
        stage.is_well(peer);
    });
}

#[test]
fn row_18_a_request_that_does_not_decode_is_borne() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.says(peer, Kind::Ledgers, &[0xff]);
        stage.hears_nothing(peer);
        assert_eq!(stage.slips(peer), 1);
        // An empty one asks for ledger 0.
        stage.says(peer, Kind::Ledgers, &[]);
        stage.hears_nothing(peer);
        assert_eq!(stage.slips(peer), 1);
        stage.is_well(peer);
    });
}

#[test]
fn nothing_is_served_before_the_ledger_has_spoken() {
    story_of(&Setting { is_asleep: true, ..holding(20) }, |stage| {
        let peer = stage.guest(PEER);
        stage.asks_for_ledgers(peer, 2, 2);
        stage.wait(seconds(9));
        assert_eq!(stage.hears_kinds(peer), [(Kind::Ping, true)]);
        stage.awakes();
        stage.wait(seconds(9));
        stage.hears(peer);
        stage.asks_for_ledgers(peer, 2, 2);
        stage.is_served(peer, 2, 2);
    });
}

#[test]
fn one_request_is_looked_for_at_a_time_and_eight_wait() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.is_asleep = true;
        for seq in 2..12 {
            stage.asks_for_ledgers(peer, seq, seq);
        }
        assert_eq!((stage.asked.len(), stage.slips(peer)), (1, 1), "the ninth that waits is not answered");
        stage.awakes();
        assert_eq!(stage.hears(peer).len(), 9);
    });
}

#[test]
fn answers_are_made_as_the_peer_reads() {
    story(|stage| {
        let peer = stage.settled(PEER);
        stage.reads = false;
        let mut answered = 0;
        for _ in 0..2_000 {
            stage.asks_for_ledgers(peer, 2, 6);
            answered += stage.hears(peer).len();
            if stage.slips(peer) > 0 {
                break;
            }
        }
        let bytes = stage.ledger.closed[..5].iter().map(|(value, _)| value.len()).sum::<usize>();
        assert!(answered * bytes < 300 << 10 && answered > 20, "{answered} answers of {bytes} bytes");
        stage.reads_all(peer);
        stage.awakes();
        assert!(!stage.hears(peer).is_empty());
        stage.reads = true;
    });
}

#[test]
fn requests_without_end_harm_nobody_else() {
    story(|stage| {
        let [honest, peer] = ["10.0.0.8:40000", PEER].map(|peer| stage.settled(peer));
        for _ in 0..5_000 {
            stage.asks_for_ledgers(peer, 2, 6);
            stage.sent.clear();
        }
        stage.asks_for_ledgers(honest, 2, 6);
        stage.is_served(honest, 2, 6);
    });
}
