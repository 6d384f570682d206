//! Answers to questions (Hello spec, section 2).

use crate::stage::*;
use crate::toy::{Kind, Toy, block, chain, genesis, hash_of, id_of, transaction};
use polypeer_engine::P2pAction;
use polypeer_engine::kit::chain::Request;
use serde_json::{Value, json};

const GUEST: &str = "10.0.0.9:40000";

fn holding(count: usize) -> Stage {
    Stage::holding(&chain(hash_of(&genesis()), 0, count, 1))
}

#[test]
fn blocks_are_given_by_number_and_hash_genesis_too_and_abandoned_ones_by_hash() {
    let main = chain(hash_of(&genesis()), 0, 3, 1);
    let side = chain(hash_of(&genesis()), 0, 2, 2);
    let all = [main.clone(), side.clone()].concat();
    story_of(
        || Stage::holding(&all),
        |stage| {
            let guest = stage.guest(GUEST, 4);
            let blocks = [vec![genesis()], main.clone()].concat();
            for (number, block) in blocks.iter().enumerate() {
                let answer = json!({"BLOCK": {"number": number, "data": hex(block)}});
                stage.says(guest, json!({"GETBLOCK": {"number": number}}));
                assert_eq!(stage.hears_one(guest), answer);
                stage.says(guest, ask_hash(hash_of(block)));
                assert_eq!(stage.hears_one(guest), answer);
            }
            stage.says(guest, ask_hash(hash_of(&side[1])));
            assert_eq!(stage.hears_one(guest), json!({"BLOCK": {"number": 2, "data": hex(&side[1])}}));
        },
    );
}

#[test]
fn what_is_unknown_is_not_found_and_named_as_asked() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        for question in [
            json!({"number": 1}),
            json!({"number": 9_007_199_254_740_991_u64}),
            json!({"hash": hex([5; 32])}),
            json!({"transaction": hex([5; 32])}),
        ] {
            stage.says(guest, json!({"GETBLOCK": question}));
            assert_eq!(stage.hears_one(guest), json!({"NOTFOUND": question}));
        }
    });
}

#[test]
fn waiting_transactions_are_pushed_when_asked_for() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        let transaction = transaction(0, 1);
        stage.is_given(&transaction);
        assert_eq!(stage.hears_one(guest), json!({"BROADCASTTRANSACTION": {"id": hex(id_of(&transaction))}}));
        stage.says(guest, json!({"GETBLOCK": {"transaction": hex(id_of(&transaction))}}));
        assert_eq!(stage.hears_one(guest), json!({"PUSHTRANSACTION": [hex(&transaction)]}));
    });
}

#[test]
fn lists_begin_above_from_and_say_what_is_newest() {
    let blocks = chain(hash_of(&genesis()), 0, 5, 1);
    let hashes: Vec<String> =
        std::iter::once(genesis()).chain(blocks.clone()).map(|block| hex(hash_of(&block))).collect();
    story_of(
        || Stage::holding(&blocks),
        |stage| {
            let guest = stage.guest(GUEST, 6);
            for (from, answered, listed) in
                [(0, 0, &hashes[1..]), (3, 3, &hashes[4..]), (5, 5, &[]), (9, 5, &[]), ((1_u64 << 53) - 1, 5, &[])]
            {
                stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": from, "latest": 5}}));
                let list = json!({"from": answered, "latest": 5, "parent": hashes[answered], "hashes": listed});
                assert_eq!(stage.hears_one(guest), json!({"LISTOFBLOCKS": list}));
            }
        },
    );
}

#[test]
fn a_list_has_at_most_10_000_hashes() {
    story_of(
        || holding(10_001),
        |stage| {
            let guest = stage.guest(GUEST, 10_002);
            stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 10_001}}));
            let list = stage.hears_one(guest);
            assert_eq!(list["LISTOFBLOCKS"]["hashes"].as_array().map(Vec::len), Some(10_000));
            assert_eq!(list["LISTOFBLOCKS"]["latest"], 10_001);
        },
    );
}

/// Blocks that fill a channel each.
fn large_blocks() -> Vec<bytes::Bytes> {
    let mut parent = hash_of(&genesis());
    (1..=8)
        .map(|height| {
            let block = block(parent, height, Kind::Good, 1, &[0; 200_000]);
            parent = hash_of(&block);
            block
        })
        .collect()
}

fn numbers(heard: &[Value]) -> Vec<u64> {
    heard.iter().filter_map(|message| message["BLOCK"]["number"].as_u64()).collect()
}

#[test]
fn answers_are_made_as_the_peer_reads() {
    story_of(
        || Stage::holding(&large_blocks()),
        |stage| {
            let guest = stage.guest(GUEST, 9);
            stage.reads = false;
            stage.act(P2pAction::Writable { connection: guest, channel: CH });
            for number in 1..=8 {
                stage.says(guest, json!({"GETBLOCK": {"number": number}}));
            }
            // One answer is more than the channel takes: the others are not made yet.
            assert_eq!(numbers(&stage.hears(guest)), [1]);
            assert!(stage.asked.is_empty());
            // Reading goes on meanwhile.
            stage.says(guest, hello(9));
            assert_eq!(stage.hears_methods(guest), ["HEY"]);
            for number in 2..=8 {
                stage.act(P2pAction::Writable { connection: guest, channel: CH });
                assert_eq!(numbers(&stage.hears(guest)), [number]);
            }
            stage.act(P2pAction::Writable { connection: guest, channel: CH });
            assert!(stage.hears(guest).is_empty());
        },
    );
}

#[test]
fn a_guess_that_was_too_bold_leaves_at_most_one_answer_above_the_mark() {
    story_of(
        || Stage::holding(&large_blocks()),
        |stage| {
            let guest = stage.guest(GUEST, 9);
            stage.reads = false;
            stage.act(P2pAction::Writable { connection: guest, channel: CH });
            // Small answers first: many questions are with the ledger at once.
            stage.is_asleep = true;
            stage.says(guest, json!({"GETBLOCK": {"number": 0}}));
            stage.answer();
            for number in 1..=8 {
                stage.says(guest, json!({"GETBLOCK": {"number": number}}));
            }
            assert!(stage.asked.len() > 1);
            stage.is_asleep = false;
            stage.answer();
            assert_eq!(numbers(&stage.hears(guest)), [0, 1]);
            let mut rest = Vec::new();
            for _ in 0..16 {
                stage.act(P2pAction::Writable { connection: guest, channel: CH });
                let heard = numbers(&stage.hears(guest));
                assert!(heard.len() <= 1);
                rest.extend(heard);
            }
            rest.sort_unstable();
            assert_eq!(rest, [2, 3, 4, 5, 6, 7, 8], "each is answered in the end, once");
        },
    );
}

#[test]
fn a_list_waits_for_the_channel_too() {
    story_of(
        || Stage::holding(&large_blocks()),
        |stage| {
            let guest = stage.guest(GUEST, 9);
            stage.reads = false;
            stage.act(P2pAction::Writable { connection: guest, channel: CH });
            stage.says(guest, json!({"GETBLOCK": {"number": 1}}));
            stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 8}}));
            assert_eq!(stage.hears_methods(guest), ["BLOCK"]);
            stage.act(P2pAction::Writable { connection: guest, channel: CH });
            assert_eq!(stage.hears_methods(guest), ["LISTOFBLOCKS"]);
        },
    );
}

#[test]
fn the_newest_block_is_served_without_the_ledger() {
    story(|stage| {
        let guest = stage.guest(GUEST, 1);
        let block = chain(hash_of(&genesis()), 0, 1, 1).remove(0);
        stage.makes(&block);
        stage.hears(guest);
        stage.is_asleep = true;
        stage.says(guest, ask_hash(hash_of(&block)));
        assert_eq!(stage.hears_one(guest), json!({"BLOCK": {"number": 1, "data": hex(&block)}}));
        assert!(!stage.asked.iter().any(|(_, request)| matches!(request, Request::Block(_))));
    });
}

#[test]
fn a_peer_that_leaves_takes_its_questions_with_it() {
    story_of(
        || holding(3),
        |stage| {
            let guest = stage.guest(GUEST, 4);
            stage.is_asleep = true;
            stage.says(guest, json!({"GETBLOCK": {"number": 1}}));
            stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 3}}));
            stage.hang_up(guest);
            stage.is_asleep = false;
            stage.answer();
            assert!(stage.hears(guest).is_empty());
        },
    );
}

#[test]
fn one_who_holds_nothing_may_still_ask() {
    story_of(
        || Stage::new(config(), p2p(), Toy::with(&chain(hash_of(&genesis()), 0, 2, 1)), 1),
        |stage| {
            let guest = stage.guest(GUEST, 0);
            stage.says(guest, json!({"GETBLOCK": {"number": 2}}));
            stage.says(guest, json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}}));
            let mut heard = stage.hears_methods(guest);
            heard.sort();
            assert_eq!(heard, ["BLOCK", "LISTOFBLOCKS"]);
            assert_eq!(numbers(&[]), Vec::<u64>::new());
        },
    );
}
