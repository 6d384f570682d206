//! Charges one account at every door, says what happens when it is overdrawn, and lets nothing visit twice.

use crate::stage::*;
use crate::toy::{Kind, Toy, block, chain, genesis, hash_of, id_of, transaction};
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::kit::cost::Class;
use polypeer_engine::{ConnectionId, P2pConfig};
use serde_json::{Value, json};

const GUEST: &str = "10.0.0.9:40000";

fn left(stage: &Stage, guest: ConnectionId) -> i64 {
    stage.engine.state().peers[&guest].account.left()
}

fn refused(stage: &Stage, class: Class) -> u64 {
    stage.engine.state().costs.refused[class as usize]
}

fn push(kind: u8, salts: std::ops::Range<u64>) -> Value {
    json!({"PUSHTRANSACTION": salts.map(|salt| hex(transaction(kind, salt))).collect::<Vec<_>>()})
}

#[test]
fn every_door_charges_the_same_account() {
    story(|stage| {
        let unknown = hex([7; 32]);
        let asked = block(Hash([3; 32]), 9, Kind::Good, 1, b"");
        let doors = [
            ("a pushed transaction", push(2, 0..1)),
            ("an announced transaction", json!({"BROADCASTTRANSACTION": {"id": hex([8; 32])}})),
            ("an announced block", json!({"BROADCASTBLOCK": {"number": 0, "hash": hex([9; 32])}})),
            ("a block of which only the number is known", json!({"BROADCASTBLOCK": {"number": 77}})),
            ("a question", json!({"GETBLOCK": {"hash": unknown}})),
            ("a question for the newest block", json!({"GETBLOCK": {"number": 0}})),
            ("a question for a transaction", json!({"GETBLOCK": {"transaction": unknown}})),
            ("a list", json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}})),
            ("reconciliation", json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0, "transactions": [hex([6; 32])]}})),
            ("a question for addresses", json!({"GETADDR": null})),
            ("addresses", json!({"ADDR": ["10.1.1.1:7444"]})),
        ];
        for (number, (name, said)) in doors.into_iter().enumerate() {
            let guest = stage.guest(&format!("10.0.1.{number}:40000"), 1);
            let before = left(stage, guest);
            stage.says(guest, said);
            assert!(left(stage, guest) < before, "{name} is free");
        }
        // Announced, fetched, and come to nothing: a transaction and a block.
        let guest = stage.guest(GUEST, 1);
        stage.says(guest, json!({"BROADCASTTRANSACTION": {"id": hex(id_of(&transaction(2, 77)))}}));
        let before = left(stage, guest);
        stage.says(guest, push(2, 77..78));
        assert!(before - left(stage, guest) >= Class::TransactionCheck.price(0).time().as_nanos() as i64);
        stage.announces(guest, 9, hash_of(&asked));
        let before = left(stage, guest);
        stage.delivers(guest, &asked);
        assert!(left(stage, guest) < before, "an orphan is not free");
    });
}

#[test]
fn what_is_useful_is_free_in_the_end_at_any_speed() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        let full = left(stage, guest);
        for salt in 0..50 {
            stage.says(guest, push(0, salt * 100..(salt + 1) * 100));
        }
        assert_eq!((left(stage, guest), stage.ledger.waiting.len()), (full, 5_000));
    });
}

// Sends what cannot be taken until it is not looked at any more.
fn overdraw(stage: &mut Stage, guest: ConnectionId) {
    for pack in 0..200 {
        stage.says(guest, push(2, pack * 1_000..(pack + 1) * 1_000));
        if refused(stage, Class::TransactionCheck) > 0 {
            return;
        }
    }
    panic!("two hundred thousand signatures were checked for nothing");
}

/// Goes on when nothing more is done for it, until that is a fault.
pub(crate) fn exceed(stage: &mut Stage, guest: ConnectionId) {
    overdraw(stage, guest);
    for pack in 1_000..2_000 {
        if !stage.engine.state().peers[&guest].slips.is_empty() {
            return;
        }
        stage.says(guest, push(2, pack * 1_000..(pack + 1) * 1_000));
    }
    panic!("a million signatures beyond what it may have are no fault");
}

#[test]
fn who_is_overdrawn_at_one_door_is_so_at_all_and_nobody_else_is() {
    story(|stage| {
        let (guest, other) = (stage.guest(GUEST, 1), stage.guest("10.0.0.8:40000", 1));
        overdraw(stage, guest);
        stage.hears(guest);
        stage.says(guest, push(0, 5..6));
        stage.says(guest, json!({"BROADCASTTRANSACTION": {"id": hex([8; 32])}}));
        stage.says(guest, json!({"ADDR": ["10.1.1.1:7444"]}));
        let known = stage.engine.state().discovery.book.all().count();
        assert_eq!((stage.ledger.waiting.len(), known), (0, 0));
        assert!(refused(stage, Class::Announcement) == 1 && refused(stage, Class::AddressLearn) == 1);
        // Questions wait; a greeting does not.
        stage.says(guest, json!({"GETBLOCK": {"number": 0}}));
        stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
        stage.says(guest, hello(1));
        assert_eq!(stage.hears_methods(guest), ["HEY"]);
        // Another peer's transaction is taken, and even announced to this one.
        stage.says(other, push(0, 1..2));
        assert_eq!(stage.hears_methods(guest), ["BROADCASTTRANSACTION"]);
        assert!(stage.is_open(guest) && stage.engine.state().peers[&guest].slips.is_empty(), "overdrawn is no fault");
        stage.wait(seconds(1));
        let mut answered = stage.hears_methods(guest);
        answered.sort_unstable();
        assert_eq!(answered, ["BLOCK", "LISTOFBLOCKS"]);
        stage.wait(seconds(10));
        stage.says(guest, push(0, 9..10));
        assert_eq!(stage.ledger.waiting.len(), 2);
    });
}

#[test]
fn history_waits_for_the_upload_cap_and_news_overtakes_it() {
    let blocks = chain(hash_of(&genesis()), 0, 3, 1);
    let large: Vec<_> =
        (0..20).map(|salt| block(hash_of(&genesis()), 1, Kind::Good, 100 + salt, &[1; 30_000])).collect();
    let all = [blocks.clone(), large.clone()].concat();
    let p2p = P2pConfig { upload_rate: 100_000, ..p2p() };
    story_of(
        || Stage::new(config(), p2p.clone(), Toy::with(&all), 1),
        |stage| {
            let guest = stage.guest(GUEST, 4);
            let news = transaction(0, 1);
            stage.is_given(&news);
            stage.hears(guest);
            for block in &large {
                stage.says(guest, ask_hash(hash_of(block)));
            }
            let at_once = stage.hears_methods(guest).len();
            assert!((1..large.len()).contains(&at_once), "{at_once} blocks at once");
            stage.says(guest, json!({"GETBLOCK": {"transaction": hex(id_of(&news))}}));
            assert_eq!(stage.hears_one(guest), json!({"PUSHTRANSACTION": [hex(&news)]}));
            stage.wait(seconds(30));
            let later = stage.hears_methods(guest).iter().filter(|method| *method == "BLOCK").count();
            assert_eq!(at_once + later, large.len(), "all of it in the end");
        },
    );
}

#[test]
fn nothing_is_announced_twice_however_often_it_comes() {
    story(|stage| {
        let (guest, other) = (stage.guest(GUEST, 1), stage.guest("10.0.0.8:40000", 1));
        // Ten times as many as are remembered of a peer.
        for pack in 0..82 {
            stage.says(guest, push(0, pack * 1_000..(pack + 1) * 1_000));
        }
        assert_eq!(stage.hears(other).len(), 82_000);
        for pack in [0, 1, 40, 81] {
            stage.says(guest, push(0, pack * 1_000..(pack + 1) * 1_000));
            stage.says(other, push(0, pack * 1_000..(pack + 1) * 1_000));
        }
        let announced =
            |heard: Vec<Value>| heard.iter().filter(|one| one.get("BROADCASTTRANSACTION").is_some()).count();
        assert_eq!((announced(stage.hears(guest)), announced(stage.hears(other))), (0, 0));
    });
}
