//! Transactions that are announced, fetched and told on (Kaspa spec, section 4.5).

use crate::make::{self, transaction, transaction_with};
use crate::pings::is_banned;
use crate::stage::*;
use crate::toy::id_of;
use bytes::Bytes;
use polypeer_engine::{ConnectionId, P2pConfig};
use polypeer_kaspa::ledger::{Hash, TransactionOutcome};
use polypeer_kaspa::wire::{Kind, OneHash, TRANSACTION_IDS_MAX, TransactionView};
use polypeer_kaspa::{Bans, Config};
use std::time::Duration;

pub(crate) const PEERS: [&str; 3] = ["127.0.0.1:40000", "10.0.0.8:40000", "10.0.0.7:40000"];
pub(crate) const HALF: Duration = Duration::from_millis(500);

pub(crate) fn three(stage: &mut Stage) -> [ConnectionId; 3] {
    PEERS.map(|remote| stage.guest(remote))
}

pub(crate) fn some(count: u64) -> (Vec<Bytes>, Vec<Hash>) {
    let transactions: Vec<Bytes> = (1..=count).map(transaction).collect();
    let ids = transactions.iter().map(|transaction| id_of(transaction)).collect();
    (transactions, ids)
}

pub(crate) fn brings(stage: &mut Stage, peer: ConnectionId, transactions: &[Bytes]) {
    transactions.iter().for_each(|transaction| stage.says(peer, Kind::Transaction, transaction));
}

/// The same with the source document's ban, for loopback too.
fn strict(bans: Bans) -> Setting {
    let setting = holding(make::dag().len());
    Setting {
        config: Config { bans, ..setting.config },
        p2p: P2pConfig { spare_loopback: false, ..setting.p2p },
        ..setting
    }
}

#[test]
fn what_is_announced_is_asked_for_and_told_to_everyone() {
    story(|stage| {
        let peers = three(stage);
        let (transactions, ids) = some(3);
        stage.offers(peers[0], ids.clone());
        stage.is_asked_for_transactions(peers[0], &ids);
        brings(stage, peers[0], &transactions);
        // After a quiet time all that is judged together goes at once.
        for peer in peers {
            stage.hears_of_transactions(peer, &ids);
        }
        stage.wait(HALF);
        peers.into_iter().for_each(|peer| stage.hears_nothing(peer));
        assert_eq!(stage.ledger.waiting.len(), 3);
    });
}

#[test]
fn announcements_are_half_a_second_apart() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let ids: Vec<Hash> = (1..=4).map(|salt| stage.is_given(&transaction(salt))).collect();
        stage.hears_of_transactions(peer, &ids[..1]);
        stage.wait(Duration::from_millis(499));
        stage.hears_nothing(peer);
        stage.wait(Duration::from_millis(1));
        stage.hears_of_transactions(peer, &ids[1..]);
        stage.wait(Duration::from_millis(499));
        let fifth = stage.is_given(&transaction(5));
        stage.hears_nothing(peer);
        stage.wait(Duration::from_millis(1));
        stage.hears_of_transactions(peer, &[fifth]);
        stage.wait(HALF);
        let sixth = stage.is_given(&transaction(6));
        stage.hears_of_transactions(peer, &[sixth]);
    });
}

#[test]
fn what_is_known_waits_or_is_on_its_way_is_not_asked_for() {
    story(|stage| {
        let [a, b, _] = three(stage);
        let (transactions, ids) = some(4);
        stage.ledger.waiting.insert(ids[0], transactions[0].clone());
        stage.offers(a, ids[..3].to_vec());
        stage.is_asked_for_transactions(a, &ids[1..3]);
        stage.offers(b, ids.clone());
        stage.is_asked_for_transactions(b, &ids[3..]);
        brings(stage, a, &transactions[1..3]);
        brings(stage, b, &transactions[3..]);
        stage.wait(HALF);
        stage.hears(a);
        stage.offers(a, ids);
        stage.offers(a, []);
        stage.hears_nothing(a);
        stage.is_well(a);
    });
}

#[test]
fn a_node_that_is_behind_asks_for_none() {
    let (_, ids) = some(3);
    let behind = Setting { later: seconds(700), ..holding(make::dag().len()) };
    story_of(&behind, |stage| {
        let peer = stage.guest(PEERS[0]);
        stage.offers(peer, ids.clone());
        stage.hears_nothing(peer);
    });
    story_of(&holding(1), |stage| {
        let peer = stage.guest(PEERS[0]);
        stage.offers(peer, ids.clone());
        stage.hears_nothing(peer);
        stage.is_well(peer);
    });
}

#[test]
fn answers_come_in_the_order_of_the_request() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let (transactions, ids) = some(3);
        stage.offers(peer, ids.clone());
        stage.is_asked_for_transactions(peer, &ids);
        stage.says(peer, Kind::TransactionNotFound, &OneHash(ids[0]).encode());
        brings(stage, peer, &transactions[1..]);
        assert_eq!(stage.ledger.waiting.len(), 2);
        stage.hears(peer);
        stage.is_well(peer);
    });
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let (transactions, ids) = some(2);
        stage.offers(peer, ids.clone());
        brings(stage, peer, &transactions[1..]);
        stage.is_rejected(peer, &format!("requested transaction id {} but got transaction {}", ids[0], ids[1]));
    });
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let (_, ids) = some(2);
        stage.offers(peer, ids.clone());
        stage.says(peer, Kind::TransactionNotFound, &OneHash(ids[1]).encode());
        stage.is_rejected(peer, &format!("requested transaction id {} but got transaction {}", ids[0], ids[1]));
    });
}

#[test]
fn a_malformed_transaction_is_refused() {
    let (transactions, ids) = some(1);
    let cases: [(Vec<u8>, &str); 3] = [
        (Vec::new(), "Optional field is None while expected to be Some"),
        (
            [&transactions[0][..], &[0x08, 0x80, 0x80, 0x04]].concat(),
            "Integer parsing error: out of range integral type conversion attempted",
        ),
        (transaction_with(1, 1 << 20).to_vec(), "p2p conversion size too large error"),
    ];
    for (bytes, text) in cases {
        story(|stage| {
            let peer = stage.guest("10.0.0.9:40000");
            stage.offers(peer, ids.clone());
            stage.says(peer, Kind::Transaction, &bytes);
            stage.is_rejected(peer, text);
        });
    }
}

#[test]
fn what_nobody_asked_for_is_borne() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let (transactions, ids) = some(1);
        brings(stage, peer, &transactions);
        stage.says(peer, Kind::TransactionNotFound, &OneHash(ids[0]).encode());
        assert_eq!((stage.slips(peer), stage.ledger.waiting.len()), (2, 0));
        stage.is_well(peer);
    });
}

#[test]
fn what_the_ledger_does_not_take_is_nobodys_fault() {
    use TransactionOutcome::{Known, Malformed, NoRoom, TooLarge};
    story(|stage| {
        let [a, b, _] = three(stage);
        let (transactions, ids) = some(4);
        for (id, outcome) in ids.iter().zip([Known, Malformed, NoRoom, TooLarge]) {
            stage.ledger.verdicts.insert(*id, outcome);
        }
        stage.offers(a, ids.clone());
        brings(stage, a, &transactions);
        stage.wait(HALF);
        stage.hears_nothing(b);
        stage.is_well(a);
    });
}

#[test]
fn an_invalid_transaction_is_banned_for_where_the_operator_wants_it() {
    let bans = Bans { invalid_transaction: true, ..Bans::default() };
    story_of(&strict(bans), |stage| {
        let peer = stage.guest(PEERS[0]);
        let (transactions, ids) = some(2);
        stage.ledger.verdicts.insert(ids[0], TransactionOutcome::Malformed);
        stage.offers(peer, ids.clone());
        brings(stage, peer, &transactions);
        stage.is_rejected(peer, &format!("rejected invalid transaction {}", ids[0]));
        is_banned(stage, "invalid_transaction");
    });
}

#[test]
fn requests_are_answered_in_order_with_what_waits() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let ids: Vec<Hash> = (1..=300).map(|salt| stage.is_given(&transaction(salt))).collect();
        stage.wait(HALF);
        stage.hears(peer);
        let mut wanted = ids.clone();
        wanted.insert(1, make::hash(1));
        stage.asks(peer, Kind::RequestTransactions, &make::hashes(wanted.clone()), 5);
        let answers = stage.hears(peer);
        assert_eq!(answers.len(), 301);
        for (answer, id) in answers.iter().zip(wanted) {
            assert_eq!(answer.response_id, 0, "these never carry an id");
            match answer.kind {
                Kind::Transaction => assert_eq!(TransactionView::decode(&answer.body).map(|view| view.id()), Ok(id)),
                Kind::TransactionNotFound => {
                    assert_eq!((OneHash::decode(&answer.body), id), (Ok(OneHash(id)), make::hash(1)))
                }
                other => panic!("{other:?}"),
            }
        }
        stage.says(peer, Kind::RequestTransactions, &make::hashes((0..=TRANSACTION_IDS_MAX as u64).map(make::hash)));
        stage.is_rejected(peer, "Number of tx ids in request transactions message is over the limit");
    });
}

#[test]
fn asking_for_an_unknown_transaction_is_banned_for_where_the_operator_wants_it() {
    let bans = Bans { unknown_transaction: true, ..Bans::default() };
    story_of(&strict(bans), |stage| {
        let peer = stage.guest(PEERS[0]);
        stage.says(peer, Kind::RequestTransactions, &make::hashes([make::hash(1)]));
        stage.is_rejected(peer, &format!("cannot find transaction {}", make::hash(1)));
        is_banned(stage, "unknown_transaction");
    });
}
