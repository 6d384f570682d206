//! How many transactions may be on their way, how long they may take, and who else is asked (Kaspa spec, section 4.5).

use crate::make::{self, transaction, transaction_with};
use crate::stage::*;
use crate::toy::id_of;
use crate::transactions::{HALF, PEERS, brings, some, three};
use bytes::Bytes;
use polypeer_engine::P2pAction;
use polypeer_kaspa::ledger::{Answer, Hash, TransactionOutcome};
use polypeer_kaspa::wire::{Hashes, Kind, OneHash, TRANSACTION_IDS_MAX};
use std::time::Duration;

#[test]
fn a_hundred_thousand_go_in_one_announcement() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let first = stage.is_given(&transaction(0));
        stage.hears_of_transactions(peer, &[first]);
        let count = TRANSACTION_IDS_MAX as u64;
        let before = stage.now;
        for number in 0..count {
            let answer = Answer::NewTransaction { id: make::hash(number) };
            stage.act(P2pAction::LedgerAnswered { ticket: None, answer });
        }
        assert_eq!(stage.now, before);
        let inv = stage.hears_one(peer, Kind::InvTransactions);
        assert_eq!(Hashes::decode(&inv.body, TRANSACTION_IDS_MAX).map(|ids| ids.len()), Ok(TRANSACTION_IDS_MAX));
    });
}

#[test]
fn one_announcement_has_at_most_131_072() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        stage.offers(peer, (0..TRANSACTION_IDS_MAX as u64).map(make::hash));
        assert!(stage.hears_kinds(peer).contains(&Kind::RequestTransactions));
        stage.is_well(peer);
        stage.offers(peer, (0..=TRANSACTION_IDS_MAX as u64).map(make::hash));
        stage.is_rejected(peer, "Number of invs in tx inv message is over the limit");
    });
}

#[test]
fn each_answer_is_due_within_two_minutes_of_the_one_before() {
    story(|stage| {
        let peer = stage.guest("10.0.0.9:40000");
        let (transactions, ids) = some(3);
        stage.offers(peer, ids);
        stage.wait(seconds(119));
        brings(stage, peer, &transactions[..1]);
        stage.wait(Duration::from_millis(119_999));
        assert!(stage.is_open(peer));
        stage.wait(Duration::from_millis(1));
        stage.is_rejected(peer, "timeout expired after 120s");
        assert_eq!(stage.severity("10.0.0.9:1"), None);
    });
}

/// An identifier says nothing of signatures: malformed bytes under it do not hide the right ones.
#[test]
fn malformed_bytes_do_not_hide_the_right_ones() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let (transactions, ids) = some(1);
        stage.offers(a, ids.clone());
        stage.offers(b, ids.clone());
        stage.ledger.verdicts.insert(ids[0], TransactionOutcome::Malformed);
        brings(stage, a, &transactions);
        stage.is_asked_for_transactions(b, &ids);
        brings(stage, b, &transactions);
        stage.ledger.verdicts.clear();
        stage.offers(c, ids.clone());
        stage.is_asked_for_transactions(c, &ids);
        brings(stage, c, &transactions);
        assert_eq!(stage.ledger.waiting.len(), 1);
    });
}

#[test]
fn who_also_has_it_is_asked_when_the_first_has_it_no_more_or_is_gone() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let (transactions, ids) = some(4);
        stage.offers(a, ids.clone());
        stage.offers(b, ids.clone());
        stage.offers(c, ids.clone());
        stage.is_asked_for_transactions(a, &ids);
        stage.says(a, Kind::TransactionNotFound, &OneHash(ids[0]).encode());
        stage.is_asked_for_transactions(b, &ids[..1]);
        stage.hang_up(a);
        // The rest in one request.
        let request = stage.hears_one(b, Kind::RequestTransactions);
        let asked: Vec<Hash> = Hashes::decode(&request.body, 9).expect("hashes").iter().collect();
        assert_eq!(asked.len(), 3);
        brings(stage, b, &transactions[..1]);
        for id in asked {
            let at = ids.iter().position(|known| *known == id).expect("it was offered");
            brings(stage, b, &transactions[at..=at]);
        }
        assert_eq!(stage.ledger.waiting.len(), 4);
    });
}

/// Today's nodes ask whoever announces it after a while; so do we.
#[test]
fn who_announces_it_later_is_asked_when_the_first_takes_its_time() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let (transactions, ids) = some(1);
        stage.offers(a, ids.clone());
        stage.wait(Duration::from_millis(1_999));
        stage.offers(b, ids.clone());
        stage.hears_nothing(b);
        stage.wait(Duration::from_millis(1));
        stage.offers(c, ids.clone());
        stage.is_asked_for_transactions(c, &ids);
        brings(stage, c, &transactions);
        stage.hears(a);
        // What the first brings at last is known.
        brings(stage, a, &transactions);
        stage.wait(HALF);
        stage.hears_nothing(a);
        stage.is_well(a);
    });
}

#[test]
fn what_is_asked_for_is_bounded_and_what_is_late_makes_room() {
    story(|stage| {
        let offered = |peer: u64| (0..20_000).map(move |at| make::hash(peer * 100_000 + at));
        let asked = |stage: &mut Stage, peer| {
            let heard = stage.hears(peer);
            heard.iter().map(|it| Hashes::decode(&it.body, TRANSACTION_IDS_MAX).expect("hashes").len()).sum::<usize>()
        };
        for number in 0..4 {
            let peer = stage.guest(&format!("10.0.2.{}:40000", number + 1));
            stage.offers(peer, offered(number));
            assert_eq!(asked(stage, peer), 16_384);
        }
        let honest = stage.guest("10.0.3.1:40000");
        stage.offers(honest, offered(9));
        assert_eq!(asked(stage, honest), 0);
        stage.wait(seconds(2));
        stage.offers(honest, offered(10));
        assert_eq!(asked(stage, honest), 16_384);
    });
}

#[test]
fn bytes_that_the_ledger_has_not_judged_are_bounded() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let transactions: Vec<Bytes> = (1..=12).map(|salt| transaction_with(salt, 900_000)).collect();
        stage.offers(peer, transactions.iter().map(|transaction| id_of(transaction)).collect::<Vec<_>>());
        stage.is_asleep = true;
        brings(stage, peer, &transactions);
        stage.awakes();
        assert_eq!(stage.ledger.waiting.len(), 4, "what is above 4 MiB is dropped");
        stage.hears(peer);
        stage.is_well(peer);
    });
}
