//! Stories of TRANSACTION: BUMO spec, sections 5.3 and 9.1, and rows 17, 22 and 23 of the checklist in 10.3.

use crate::greeting::PEER;
use crate::make::{self, data_of, transaction, transaction_with};
use crate::stage::*;
use crate::toy::REFUSED;
use bytes::Bytes;
use polypeer_bumo::hash::Hash;
use polypeer_bumo::ledger::Answer;
use polypeer_bumo::wire::{Kind, TRANSACTION_DATA_BYTES_MAX};
use polypeer_engine::ConnectionId;
use polypeer_engine::shell::bans::Severity;

const OTHERS: [&str; 2] = ["10.0.0.7:40000", "10.0.0.8:40000"];

/// Who brings it, and two others.
fn three(stage: &mut Stage) -> [ConnectionId; 3] {
    let three = [PEER, OTHERS[0], OTHERS[1]].map(|peer| stage.guest(peer));
    stage.wait(seconds(9));
    three.into_iter().for_each(|peer| drop(stage.hears(peer)));
    three
}

#[test]
fn row_22_a_valid_one_goes_to_the_others_byte_for_byte_and_not_back() {
    let captured = data_of("transaction_pay_coin.hex");
    story(|stage| {
        let [from, b, c] = three(stage);
        stage.says(from, Kind::Transaction, &captured);
        stage.hears_nothing(from);
        for other in [b, c] {
            assert_eq!(stage.hears_broadcast(other, Kind::Transaction), captured);
        }
        // A second copy is swallowed, whoever sends it.
        for peer in [from, b, c] {
            stage.says(peer, Kind::Transaction, &captured);
        }
        [from, b, c].into_iter().for_each(|peer| stage.hears_nothing(peer));
        assert_eq!(stage.ledger.pool.len(), 1);
    });
}

#[test]
fn each_copy_has_its_connections_own_number() {
    story(|stage| {
        let [from, b, c] = three(stage);
        stage.says(from, Kind::Transaction, &transaction(1));
        stage.says(b, Kind::Transaction, &transaction(2));
        let numbers = |stage: &mut Stage, peer| stage.hears(peer).iter().map(|said| said.sequence).collect::<Vec<_>>();
        // HELLO, PEERS, PING and the question whether it is ahead came before.
        assert_eq!(numbers(stage, from), [4]);
        assert_eq!(numbers(stage, b), [4]);
        assert_eq!(numbers(stage, c), [4, 5]);
    });
}

#[test]
fn whoever_sent_it_while_it_was_looked_at_is_not_sent_it_back() {
    story(|stage| {
        let [a, b, c] = three(stage);
        stage.is_asleep = true;
        stage.says(a, Kind::Transaction, &transaction(1));
        stage.says(b, Kind::Transaction, &transaction(1));
        assert_eq!(stage.asked.len(), 1, "it is looked at once");
        stage.awakes();
        assert_eq!(stage.hears_broadcast(c, Kind::Transaction), transaction(1));
        [a, b].into_iter().for_each(|peer| stage.hears_nothing(peer));
    });
}

#[test]
fn row_23_what_the_ledger_refuses_is_neither_relayed_nor_remembered_nor_punished() {
    story(|stage| {
        let [from, b, _] = three(stage);
        for _ in 0..3 {
            stage.says(from, Kind::Transaction, &transaction(REFUSED));
        }
        stage.hears_nothing(b);
        assert_eq!((stage.slips(from), stage.severity(PEER)), (0, None));
        stage.is_well(from);
    });
}

#[test]
fn what_waits_already_is_not_relayed_in_other_bytes() {
    story(|stage| {
        let [from, b, _] = three(stage);
        stage.says(from, Kind::Transaction, &transaction(1));
        stage.hears(b);
        // The same transaction with a signature that changes nothing.
        let mut again = transaction(1).to_vec();
        again.extend_from_slice(&[0x12, 4, 0x0a, 2, b'b', b'0']);
        stage.says(from, Kind::Transaction, &again);
        stage.hears_nothing(b);
        assert_eq!(stage.slips(from), 0);
    });
}

#[test]
fn row_17_what_does_not_decode_ends_the_connection() {
    for data in [&[0xff][..], &[0x0a, 9], &[0x0a, 3, 0x0a, 1, 0xff]] {
        story(|stage| {
            let [honest, peer] = [OTHERS[0], PEER].map(|peer| stage.guest(peer));
            stage.says(peer, Kind::Transaction, data);
            stage.is_cut(peer);
            assert_eq!(stage.severity(PEER), Some(Severity::Discouraged));
            stage.is_well(honest);
        });
    }
}

#[test]
fn the_longest_is_looked_at_and_one_byte_more_ends_the_connection() {
    let around = transaction_with(1, &[7; 3 << 20]).len() - (3 << 20);
    let longest = transaction_with(1, &vec![7; TRANSACTION_DATA_BYTES_MAX - around]);
    let longer = transaction_with(1, &vec![7; TRANSACTION_DATA_BYTES_MAX - around + 1]);
    assert_eq!(longest.len(), TRANSACTION_DATA_BYTES_MAX);
    story(|stage| {
        let [from, b, _] = three(stage);
        stage.says(from, Kind::Transaction, &longest);
        assert_eq!(stage.hears_broadcast(b, Kind::Transaction), longest);
        stage.says(from, Kind::Transaction, &longer);
        stage.is_cut(from);
        stage.hears_nothing(b);
    });
}

#[test]
fn other_bytes_than_the_networks_are_borne_and_not_relayed() {
    // An unknown field, and a number that is longer than it must be.
    let mut unknown = transaction(1).to_vec();
    unknown.extend_from_slice(&[0x78, 1]);
    let long = [&[0x0a, 0x84, 0x00][..], &[0x10, 1, 0x18, 2]].concat();
    story(|stage| {
        let [from, b, _] = three(stage);
        stage.says(from, Kind::Transaction, &unknown);
        stage.says(from, Kind::Transaction, &long);
        stage.hears_nothing(b);
        assert_eq!((stage.slips(from), stage.ledger.pool.len()), (2, 0));
        stage.is_well(from);
    });
}

#[test]
fn the_operators_goes_to_everyone() {
    story(|stage| {
        let three = three(stage);
        let envelope = transaction(5);
        stage.ledger_says(Answer::NewTransaction { hash: Hash::default(), envelope: envelope.clone() });
        for peer in three {
            assert_eq!(stage.hears_broadcast(peer, Kind::Transaction), envelope);
        }
        stage.says(three[0], Kind::Transaction, &envelope);
        three.into_iter().for_each(|peer| stage.hears_nothing(peer));
    });
}

#[test]
fn whoever_is_not_active_is_sent_none() {
    story(|stage| {
        let [from, ..] = three(stage);
        let silent = stage.accept("10.0.0.6:40000");
        stage.says(from, Kind::Transaction, &transaction(1));
        stage.hears_nothing(silent);
    });
}

#[test]
fn a_flood_that_the_ledger_is_too_slow_for_is_dropped_and_bounded() {
    story(|stage| {
        let [from, b, c] = three(stage);
        stage.is_asleep = true;
        for nonce in 100..1_100 {
            stage.says(from, Kind::Transaction, &transaction(nonce));
        }
        assert_eq!(stage.asked.len(), 512, "of one peer");
        stage.says(b, Kind::Transaction, &transaction(50));
        assert_eq!(stage.asked.len(), 513, "another has its own share");
        stage.awakes();
        assert_eq!(stage.hears(c).len(), 513);
        stage.says(from, Kind::Transaction, &transaction(1_099));
        assert_eq!(stage.hears_broadcast(c, Kind::Transaction), transaction(1_099), "what was dropped can come again");
    });
}

#[test]
fn the_bytes_that_are_looked_at_are_bounded_too() {
    let large: Vec<Bytes> = (1..=20).map(|nonce| transaction_with(nonce, &[7; 2 << 20])).collect();
    story(|stage| {
        let [from, ..] = three(stage);
        stage.is_asleep = true;
        large.iter().for_each(|one| stage.says(from, Kind::Transaction, one));
        assert_eq!(stage.asked.len(), 15);
    });
}

#[test]
fn whoever_sends_what_comes_to_nothing_pays_for_it_and_who_sends_what_is_new_does_not() {
    story(|stage| {
        let [from, ..] = three(stage);
        // Two seconds of 90 us each, and the rest is refused.
        for nonce in 0..30_000 {
            let refused = transaction_with(REFUSED, &i32::to_be_bytes(nonce));
            stage.says(from, Kind::Transaction, &refused);
        }
        let refused = stage.engine.state().costs.refused.iter().sum::<u64>();
        assert!((7_000..8_500).contains(&refused), "{refused}");
        assert!(stage.is_open(from));
    });
    let useful: Vec<Bytes> = (100..600).map(transaction).collect();
    story(|stage| {
        let [from, ..] = three(stage);
        useful.iter().for_each(|one| stage.says(from, Kind::Transaction, one));
        assert_eq!(stage.ledger.pool.len(), useful.len());
        assert_eq!(stage.engine.state().costs.refused.iter().sum::<u64>(), 0);
    });
}

#[test]
fn what_was_broadcast_is_forgotten_after_an_hour() {
    story(|stage| {
        let [from, b, c] = three(stage);
        stage.lively = vec![from, b, c];
        let captured = make::data_of("transaction_pay_coin.hex");
        stage.says(from, Kind::Transaction, &captured);
        stage.hears(b);
        stage.ledger.pool.clear();
        stage.wait(seconds(3_598));
        stage.hears(b);
        stage.says(from, Kind::Transaction, &captured);
        stage.hears_nothing(b);
        stage.wait(seconds(10));
        stage.hears(b);
        stage.says(from, Kind::Transaction, &captured);
        assert_eq!(stage.hears_broadcast(b, Kind::Transaction), captured);
    });
}
