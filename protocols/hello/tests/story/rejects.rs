//! What is rejected, and what it costs (Hello spec, section 1).

use crate::stage::*;
use crate::toy::{Kind, block, chain, genesis, hash_of, transaction};
use polypeer_engine::shell::bans::Severity;
use polypeer_engine::{Close, ConnectionId, P2pConfig};
use serde_json::json;
use std::time::Duration;

const GUEST: &str = "10.0.0.9:40000";

fn severity(stage: &Stage) -> Option<Severity> {
    let ip = "10.0.0.9".parse().expect("an address");
    stage.engine.state().bans.get(stage.now, ip).map(|ban| ban.severity)
}

#[test]
fn a_rejected_line_is_answered_and_borne() {
    let lines: [(&[u8], &str); 12] = [
        (b"\n", ""),
        (b"hello\n", ""),
        (b"[]\n", ""),
        (b"{}\n", ""),
        (b"\xef\xbb\xbf{\"HEY\":{\"block_count\":1}}\n", ""),
        (b"{\"HEY\":{\"block_count\":1}\n", ""),
        (b"{\"FOO\":1}\n", "FOO"),
        (b"{\"hey\":{\"block_count\":1}}\n", "hey"),
        (b"{\"HEY\":{}}\n", "HEY"),
        (b"{\"HEY\":{\"block_count\":1,\"block_count\":1}}\n", "HEY"),
        (b"{\"HEY\":{\"block_count\":1},\"HEY\":{\"block_count\":1}}\n", "HEY"),
        (b"{\"FOO\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}\n", "FOO"),
    ];
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        for (line, method) in lines {
            stage.types(guest, line);
            assert_reject(&stage.hears_one(guest), method);
            assert!(stage.is_open(guest));
        }
        assert_eq!(severity(stage), None);
        // The connection goes on.
        stage.says(guest, json!({"GETBLOCK": {"number": 0}}));
        assert_eq!(stage.hears_methods(guest), ["BLOCK"]);
    });
}

#[test]
fn the_twentieth_slip_at_one_time_ends_the_connection() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        for _ in 0..19 {
            stage.types(guest, b"x\n");
        }
        assert_eq!((stage.hears(guest).len(), stage.is_open(guest)), (19, true));
        // Slips fade after 10 s.
        stage.wait(seconds(10));
        for _ in 0..19 {
            stage.types(guest, b"x\n");
        }
        assert_eq!((stage.hears(guest).len(), stage.is_open(guest)), (19, true));
        stage.wait(Duration::from_millis(9999));
        stage.types(guest, b"x\n");
        assert_reject(&stage.hears_one(guest), "");
        assert_eq!(stage.end(guest), Some(Close::Lingering));
        assert_eq!(severity(stage), Some(Severity::Discouraged));
    });
}

#[test]
fn the_number_of_slips_is_a_setting() {
    let config = polypeer_hello::Config { slips_max: 2, ..config() };
    story_of(
        || Stage::new(config.clone(), p2p(), crate::toy::Toy::new(), 1),
        |stage| {
            let guest = stage.guest(GUEST, 1);
            stage.types(guest, b"x\n");
            assert!(stage.is_open(guest));
            stage.types(guest, b"x\n");
            assert!(!stage.is_open(guest));
        },
    );
}

#[test]
fn loopback_is_disconnected_and_nothing_more_unless_told_otherwise() {
    for (spare_loopback, expected) in [(true, false), (false, true)] {
        let p2p = P2pConfig { spare_loopback, ..p2p() };
        story_of(
            || Stage::new(config(), p2p.clone(), crate::toy::Toy::new(), 1),
            |stage| {
                let guest = stage.guest("127.0.0.1:40000", 1);
                for _ in 0..20 {
                    stage.types(guest, b"x\n");
                }
                assert_eq!(stage.end(guest), Some(Close::Lingering));
                assert_eq!(stage.engine.state().bans.all(stage.now).next().is_some(), expected);
            },
        );
    }
}

#[test]
fn a_reject_is_never_answered() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        // A well-formed one costs nothing, however many come.
        for _ in 0..100 {
            stage.says(guest, json!({"REJECT": {"method": "HELLO", "reason": "because"}}));
        }
        assert!(stage.is_open(guest) && stage.hears(guest).is_empty());
        for _ in 0..19 {
            stage.says(guest, json!({"REJECT": 7}));
        }
        assert!(stage.is_open(guest));
        stage.says(guest, json!({"REJECT": {"method": "HELLO"}}));
        assert!(stage.hears(guest).is_empty());
        assert_eq!(stage.end(guest), Some(Close::Lingering));
    });
}

#[test]
fn answers_that_nobody_asked_for_are_dropped_and_blocks_and_lists_are_slips() {
    let block = chain(hash_of(&genesis()), 0, 1, 1).remove(0);
    let list = json!({"LISTOFBLOCKS": {"from": 0, "latest": 0, "parent": hex(hash_of(&genesis())), "hashes": []}});
    let unasked = json!({"BLOCK": {"number": 1, "data": hex(&block)}});
    let nonsense = json!({"BLOCK": {"number": 1, "data": "00"}});
    for (message, is_slip) in [
        (list, true),
        (unasked, true),
        (nonsense, true),
        (json!({"NOTFOUND": {"number": 7}}), false),
        (json!({"HEY": {"block_count": 3}}), false),
    ] {
        story(|stage| {
            let guest = stage.guest(GUEST, 1);
            for _ in 0..19 {
                stage.says(guest, message.clone());
            }
            assert!(stage.is_open(guest));
            stage.says(guest, message.clone());
            assert_eq!(stage.is_open(guest), !is_slip, "{message}");
            assert!(stage.hears(guest).is_empty(), "without an answer");
            assert!(!stage.ledger.has(&hash_of(&block)));
        });
    }
}

/// A stage on which a peer was just asked for a block.
fn asked_for(stage: &mut Stage, block: &[u8]) -> ConnectionId {
    let guest = stage.guest(GUEST, 1);
    stage.announces(guest, 1, hash_of(block));
    assert_eq!(stage.hears_one(guest), ask_hash(hash_of(block)));
    guest
}

#[test]
fn a_wrong_block_is_a_breach_of_its_sender() {
    let zero = hash_of(&genesis());
    let good = block(zero, 1, Kind::Good, 1, b"");
    let other = block(zero, 1, Kind::Good, 2, b"");
    let header = block(zero, 1, Kind::BadHeader, 1, b"");
    let state = block(zero, 1, Kind::BadState, 1, b"");
    let body = block(zero, 1, Kind::Good, 1, b"\xff");
    let cases = [
        ("other", &good, json!({"BLOCK": {"number": 1, "data": hex(&other)}})),
        ("no shape", &good, json!({"BLOCK": {"number": 1, "data": "00"}})),
        ("empty", &good, json!({"BLOCK": {"number": 1, "data": ""}})),
        ("number", &good, json!({"BLOCK": {"number": 2, "data": hex(&good)}})),
        ("header", &header, json!({"BLOCK": {"number": 1, "data": hex(&header)}})),
        ("state", &state, json!({"BLOCK": {"number": 1, "data": hex(&state)}})),
        ("body", &good, json!({"BLOCK": {"number": 1, "data": hex(&body)}})),
    ];
    for (case, asked, answer) in cases {
        story(|stage| {
            let guest = asked_for(stage, asked);
            stage.says(guest, answer.clone());
            assert_reject(&stage.hears_one(guest), "BLOCK");
            assert_eq!(stage.end(guest), Some(Close::Lingering), "{case}");
            assert_eq!(severity(stage), Some(Severity::Discouraged), "{case}");
        });
    }
}

#[test]
fn blocks_that_cannot_be_judged_now_are_nobodys_fault() {
    for kind in [Kind::Future, Kind::NoRoom] {
        let block = block(hash_of(&genesis()), 1, kind, 1, b"");
        story(|stage| {
            let guest = asked_for(stage, &block);
            let friend = stage.guest("10.0.0.8:40000", 1);
            stage.delivers(guest, &block);
            assert!(stage.is_open(guest) && stage.hears(guest).is_empty());
            assert!(stage.hears(friend).is_empty(), "neither announced nor blamed");
        });
    }
}

#[test]
fn transactions_that_are_never_valid_are_rejected_one_slip_each() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        let friend = stage.guest("10.0.0.8:40000", 1);
        let good = transaction(0, 1);
        let pack = [transaction(1, 1), good.clone(), transaction(2, 1), transaction(1, 2), b"".to_vec().into()];
        stage.says(guest, json!({"PUSHTRANSACTION": pack.iter().map(hex).collect::<Vec<_>>()}));
        let heard = stage.hears(guest);
        assert_eq!(heard.len(), 3, "two wrong signatures and an empty one: {heard:?}");
        heard.iter().for_each(|reject| assert_reject(reject, "PUSHTRANSACTION"));
        // Each of a pack is judged on its own.
        assert_eq!(stage.hears_one(friend), json!({"BROADCASTTRANSACTION": {"id": hex(crate::toy::id_of(&good))}}));
        assert!(stage.is_open(guest));
        let wrong: Vec<_> = (10..27).map(|salt| hex(transaction(1, salt))).collect();
        stage.says(guest, json!({"PUSHTRANSACTION": wrong}));
        assert_eq!(stage.hears(guest).len(), 17);
        assert_eq!(stage.end(guest), Some(Close::Lingering), "that made twenty");
    });
}

#[test]
fn questions_above_the_limit_are_rejected() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        stage.is_asleep = true;
        for number in 0..128 {
            stage.says(guest, json!({"GETBLOCK": {"number": number}}));
        }
        assert!(stage.hears(guest).is_empty());
        stage.says(guest, json!({"GETBLOCK": {"number": 128}}));
        assert_reject(&stage.hears_one(guest), "GETBLOCK");
        stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
        assert!(stage.hears(guest).is_empty());
        stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
        assert_reject(&stage.hears_one(guest), "GETLISTOFBLOCKS");
        stage.is_asleep = false;
        while !stage.asked.is_empty() {
            stage.answer();
        }
        let mut heard = stage.hears_methods(guest);
        heard.sort();
        let expected = [vec!["BLOCK"], vec!["LISTOFBLOCKS"], vec!["NOTFOUND"; 127]].concat();
        assert_eq!(heard, expected, "each of the others is answered once");
        // Answered ones make room.
        stage.says(guest, json!({"GETBLOCK": {"number": 0}}));
        assert_eq!(stage.hears_methods(guest), ["BLOCK"]);
    });
}
