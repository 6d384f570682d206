//! Announcements of blocks and transactions (Hello spec, section 4).

use crate::stage::*;
use crate::toy::{Kind, block, chain, genesis, hash_of, id_of, transaction};
use bytes::Bytes;
use polypeer_engine::kit::chain::{Hash, Request};
use polypeer_engine::{ConnectionId, P2pAction};
use serde_json::{Value, json};
use std::time::Duration;

fn next() -> Bytes {
    chain(hash_of(&genesis()), 0, 1, 1).remove(0)
}

fn told(number: u64, hash: Hash) -> Value {
    json!({"BROADCASTBLOCK": {"number": number, "hash": hex(hash)}})
}

fn told_transaction(id: Hash) -> Value {
    json!({"BROADCASTTRANSACTION": {"id": hex(id)}})
}

fn ask_transaction(id: Hash) -> Value {
    json!({"GETBLOCK": {"transaction": hex(id)}})
}

fn guests(stage: &mut Stage, count: u8) -> Vec<ConnectionId> {
    (1..=count).map(|ip| stage.guest(&format!("10.0.{ip}.1:40000"), 1)).collect()
}

#[test]
fn a_block_of_ours_is_told_to_every_peer_once() {
    story(|stage| {
        let peers = guests(stage, 3);
        let block = next();
        stage.makes(&block);
        for peer in &peers {
            assert_eq!(stage.hears_one(*peer), told(1, hash_of(&block)));
        }
        // The ledger says it again: nobody hears it again.
        let answer = stage.ledger.new_tip();
        stage.act(P2pAction::LedgerAnswered { ticket: None, answer });
        peers.iter().for_each(|peer| assert!(stage.hears(*peer).is_empty()));
    });
}

#[test]
fn an_announced_block_is_fetched_by_hash_judged_and_told_in_turn() {
    story(|stage| {
        let peers = guests(stage, 3);
        let block = next();
        stage.announces(peers[0], 1, hash_of(&block));
        assert_eq!(stage.hears_one(peers[0]), ask_hash(hash_of(&block)));
        assert!(stage.hears(peers[1]).is_empty(), "not told before it is judged");
        stage.delivers(peers[0], &block);
        assert_eq!(stage.ledger.tip().hash, hash_of(&block));
        assert!(stage.hears(peers[0]).is_empty(), "it knows the block");
        assert_eq!(stage.hears_one(peers[1]), told(1, hash_of(&block)));
        assert_eq!(stage.hears_one(peers[2]), told(1, hash_of(&block)));
        // What is known is not asked for again, nor told again.
        stage.announces(peers[1], 1, hash_of(&block));
        assert!(peers.iter().all(|peer| stage.hears(*peer).is_empty()));
    });
}

#[test]
fn a_block_is_told_only_when_it_is_durable() {
    story(|stage| {
        let peers = guests(stage, 2);
        let block = next();
        stage.announces(peers[0], 1, hash_of(&block));
        stage.hears(peers[0]);
        stage.is_asleep = true;
        stage.delivers(peers[0], &block);
        assert!(stage.hears(peers[1]).is_empty());
        stage.says(peers[1], hello(1));
        assert_eq!(stage.hears_one(peers[1]), hey(1), "not counted before either");
        stage.is_asleep = false;
        stage.answer();
        assert_eq!(stage.hears_one(peers[1]), told(1, hash_of(&block)));
        stage.says(peers[1], hello(1));
        assert_eq!(stage.hears_one(peers[1]), hey(2));
    });
}

#[test]
fn an_announcement_without_a_hash_is_fetched_by_number() {
    story(|stage| {
        let peers = guests(stage, 2);
        let block = next();
        stage.says(peers[0], json!({"BROADCASTBLOCK": {"number": 1}}));
        assert_eq!(stage.hears_one(peers[0]), json!({"GETBLOCK": {"number": 1}}));
        stage.delivers(peers[0], &block);
        assert_eq!(stage.hears_one(peers[1]), told(1, hash_of(&block)));
        stage.says(peers[1], json!({"BROADCASTBLOCK": {"number": 1}}));
        stage.says(peers[1], json!({"BROADCASTBLOCK": {"number": 0}}));
        assert!(stage.hears(peers[1]).is_empty(), "nothing above what we have");
    });
}

#[test]
fn what_several_announce_is_asked_of_one_at_a_time() {
    story(|stage| {
        let peers = guests(stage, 4);
        let block = next();
        let ask = ask_hash(hash_of(&block));
        for peer in &peers {
            stage.announces(*peer, 1, hash_of(&block));
        }
        assert_eq!(stage.hears_one(peers[0]), ask);
        assert!(peers[1..].iter().all(|peer| stage.hears(*peer).is_empty()));
        // After NOTFOUND the next one.
        stage.says(peers[0], json!({"NOTFOUND": {"hash": hex(hash_of(&block))}}));
        assert_eq!(stage.hears_one(peers[1]), ask);
        // After the time limit the next one.
        stage.wait(Duration::from_millis(9_999));
        assert!(peers[2..].iter().all(|peer| stage.hears(*peer).is_empty()));
        stage.wait(Duration::from_millis(1));
        assert_eq!(stage.hears_one(peers[2]), ask);
        // At once when the connection ends.
        stage.hang_up(peers[2]);
        assert_eq!(stage.hears_one(peers[3]), ask);
        // The late answer is no fault, and good.
        stage.delivers(peers[1], &block);
        assert_eq!(stage.ledger.tip().hash, hash_of(&block));
        stage.delivers(peers[3], &block);
        assert!(stage.is_open(peers[1]) && stage.is_open(peers[3]));
        let slips: usize = stage.engine.state().peers.values().map(|peer| peer.slips.len()).sum();
        assert_eq!(slips, 0);
    });
}

#[test]
fn a_wrong_body_is_fetched_from_the_next_announcer() {
    story(|stage| {
        let peers = guests(stage, 2);
        let good = next();
        let spoiled = block(hash_of(&genesis()), 1, Kind::Good, 1, b"\xff");
        assert_eq!(hash_of(&good), hash_of(&spoiled));
        for peer in &peers {
            stage.announces(*peer, 1, hash_of(&good));
        }
        stage.hears(peers[0]);
        stage.delivers(peers[0], &spoiled);
        assert!(!stage.is_open(peers[0]));
        assert_eq!(stage.hears_one(peers[1]), ask_hash(hash_of(&good)));
        stage.delivers(peers[1], &good);
        assert_eq!(stage.ledger.tip().hash, hash_of(&good));
    });
}

#[test]
fn a_block_that_no_body_mends_is_not_fetched_twice() {
    for kind in [Kind::BadHeader, Kind::BadState] {
        let bad = block(hash_of(&genesis()), 1, kind, 1, b"");
        story(|stage| {
            let peers = guests(stage, 3);
            stage.announces(peers[0], 1, hash_of(&bad));
            stage.announces(peers[1], 1, hash_of(&bad));
            stage.delivers(peers[0], &bad);
            assert!(!stage.is_open(peers[0]) && stage.is_open(peers[1]));
            assert!(stage.hears(peers[1]).is_empty());
            stage.announces(peers[2], 1, hash_of(&bad));
            assert!(stage.hears(peers[2]).is_empty() && stage.is_open(peers[2]), "announcing it is no fault");
        });
    }
}

#[test]
fn a_known_block_of_an_old_number_is_not_fetched() {
    let blocks = chain(hash_of(&genesis()), 0, 5, 1);
    story_of(
        || Stage::holding(&blocks),
        |stage| {
            let guest = stage.guest("10.0.0.1:1", 6);
            stage.announces(guest, 2, hash_of(&blocks[1]));
            assert!(stage.hears(guest).is_empty());
            let side = chain(hash_of(&genesis()), 0, 1, 9).remove(0);
            stage.announces(guest, 1, hash_of(&side));
            assert_eq!(stage.hears_one(guest), ask_hash(hash_of(&side)));
            stage.delivers(guest, &side);
            assert!(stage.ledger.has(&hash_of(&side)) && stage.hears(guest).is_empty(), "held, and no news");
        },
    );
}

#[test]
fn those_who_asked_listed_or_were_sent_a_block_are_not_told_of_it() {
    story(|stage| {
        let peers = guests(stage, 4);
        let block = next();
        let hash = hash_of(&block);
        stage.wait(seconds(5));
        stage.says(peers[0], ask_hash(hash));
        stage.says(peers[1], json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 1}}));
        let heard = stage.hears_methods(peers[1]);
        assert_eq!(heard, ["GETLISTOFBLOCKS", "LISTOFBLOCKS"]);
        stage.is_asleep = true;
        stage.lists(peers[1], 0, 1, hash_of(&genesis()), &[hash]);
        stage.hears(peers[0]);
        stage.is_asleep = false;
        stage.answer();
        stage.delivers(peers[1], &block);
        assert_eq!(stage.ledger.tip().hash, hash);
        assert!(!stage.hears(peers[0]).contains(&told(1, hash)), "it asked for it");
        assert!(!stage.hears(peers[1]).contains(&told(1, hash)), "it listed it");
        assert_eq!(stage.hears_one(peers[2]), told(1, hash));
    });
}

#[test]
fn an_announced_transaction_is_fetched_judged_and_told_in_turn() {
    story(|stage| {
        let peers = guests(stage, 3);
        let transaction = transaction(0, 1);
        let id = id_of(&transaction);
        stage.says(peers[0], told_transaction(id));
        stage.says(peers[1], told_transaction(id));
        assert_eq!(stage.hears_one(peers[0]), ask_transaction(id));
        assert!(stage.hears(peers[1]).is_empty(), "one at a time");
        stage.says(peers[0], json!({"PUSHTRANSACTION": [hex(&transaction)]}));
        assert!(stage.ledger.waiting.contains_key(&id));
        assert_eq!(stage.hears_one(peers[2]), told_transaction(id));
        assert!(stage.hears(peers[0]).is_empty() && stage.hears(peers[1]).is_empty(), "they know it");
        // Known: not fetched again, not told again.
        stage.says(peers[2], told_transaction(id));
        stage.says(peers[1], json!({"PUSHTRANSACTION": [hex(&transaction)]}));
        assert!(peers.iter().all(|peer| stage.hears(*peer).is_empty()));
    });
}

#[test]
fn a_transaction_is_asked_of_the_next_after_notfound_silence_or_the_end() {
    story(|stage| {
        let peers = guests(stage, 4);
        let id = id_of(&transaction(0, 1));
        for peer in &peers {
            stage.says(*peer, told_transaction(id));
        }
        assert_eq!(stage.hears_one(peers[0]), ask_transaction(id));
        stage.says(peers[0], json!({"NOTFOUND": {"transaction": hex(id)}}));
        assert_eq!(stage.hears_one(peers[1]), ask_transaction(id));
        stage.wait(seconds(10));
        assert_eq!(stage.hears_one(peers[2]), ask_transaction(id));
        stage.hang_up(peers[2]);
        assert_eq!(stage.hears_one(peers[3]), ask_transaction(id));
        stage.says(peers[3], json!({"NOTFOUND": {"transaction": hex(id)}}));
        // Nobody is left; whoever announces it now is asked.
        stage.says(peers[0], told_transaction(id));
        assert_eq!(stage.hears_one(peers[0]), ask_transaction(id));
    });
}

#[test]
fn what_is_late_is_not_asked_of_the_same_peer_again() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:1", 1);
        let late = id_of(&transaction(0, 1));
        stage.says(guest, told_transaction(late));
        assert_eq!(stage.hears_one(guest), ask_transaction(late));
        stage.wait(seconds(10));
        stage.says(guest, told_transaction(late));
        stage.says(guest, json!({"PUSHTRANSACTION": [hex(transaction(0, 2))]}));
        assert!(stage.hears(guest).is_empty(), "the question is open still");
        stage.says(guest, json!({"PUSHTRANSACTION": [hex(transaction(0, 1))]}));
        assert!(stage.ledger.waiting.contains_key(&late));
    });
}

#[test]
fn an_unasked_transaction_is_taken_like_an_asked_one() {
    story(|stage| {
        let peers = guests(stage, 2);
        let pack: Vec<_> = (0..1000).map(|salt| transaction(0, salt)).collect();
        stage.says(peers[0], json!({"PUSHTRANSACTION": pack.iter().map(hex).collect::<Vec<_>>()}));
        assert_eq!(stage.ledger.waiting.len(), 1000);
        let heard = stage.hears(peers[1]);
        assert_eq!(heard.len(), 1000);
        assert_eq!(heard[7], told_transaction(id_of(&pack[7])));
        assert!(stage.hears(peers[0]).is_empty());
    });
}

#[test]
fn waiting_transactions_are_compared_after_connecting_and_every_minute() {
    story(|stage| {
        let before = transaction(0, 1);
        stage.is_given(&before);
        let guest = stage.accept("10.0.0.1:1");
        stage.says(guest, hello(1));
        stage.says(guest, hey(1));
        let ask = json!({"from": 0, "latest": 0, "transactions": [hex(id_of(&before))]});
        assert_eq!(stage.hears(guest)[2], json!({"GETLISTOFBLOCKS": ask}));
        stage.lists(guest, 0, 0, hash_of(&genesis()), &[]);
        // What it was told it is not told again, and what it knows neither.
        let known = transaction(0, 2);
        stage.says(guest, json!({"PUSHTRANSACTION": [hex(&known)]}));
        stage.wait(Duration::from_millis(59_999));
        assert!(!stage.hears_methods(guest).contains(&"GETLISTOFBLOCKS".to_owned()));
        stage.wait(Duration::from_millis(1));
        let heard = stage.hears(guest);
        assert!(heard.contains(&json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0}})), "{heard:?}");
    });
}

#[test]
fn identifiers_in_a_question_for_lists_are_announcements() {
    story(|stage| {
        let peers = guests(stage, 2);
        let new: Vec<_> = (0..3).map(|salt| transaction(0, salt)).collect();
        stage.is_given(&new[1]);
        peers.iter().for_each(|peer| drop(stage.hears(*peer)));
        let ids: Vec<_> = new.iter().map(|one| hex(id_of(one))).collect();
        stage.says(peers[0], json!({"GETLISTOFBLOCKS": {"from": 0, "latest": 0, "transactions": ids}}));
        let heard = stage.hears(peers[0]);
        assert!(heard.contains(&ask_transaction(id_of(&new[0]))) && heard.contains(&ask_transaction(id_of(&new[2]))));
        assert_eq!(heard.len(), 3, "two questions and a list: {heard:?}");
    });
}

#[test]
fn a_peer_is_asked_at_most_128_things_at_once() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:1", 1);
        let all: Vec<_> = (0..200).map(|salt| transaction(0, salt)).collect();
        for one in &all {
            stage.says(guest, told_transaction(id_of(one)));
        }
        assert_eq!(stage.hears(guest).len(), 128);
        for (count, one) in all.iter().enumerate() {
            stage.says(guest, json!({"PUSHTRANSACTION": [hex(one)]}));
            assert_eq!(stage.hears(guest).len(), usize::from(count < 72), "{count}");
        }
        assert_eq!(stage.ledger.waiting.len(), 200);
    });
}

#[test]
fn of_a_flood_of_announcements_5_000_are_remembered() {
    story(|stage| {
        let guest = stage.guest("10.0.0.1:1", 1);
        stage.is_asleep = true;
        let ids: Vec<_> = (0..7_000_u64).map(|salt| id_of(&transaction(0, salt))).collect();
        for id in &ids {
            stage.says(guest, told_transaction(*id));
        }
        let checks = |stage: &Stage| {
            stage.asked.iter().filter(|(_, request)| matches!(request, Request::MissingTransactions(_))).count()
        };
        assert_eq!(checks(stage), 1, "those that come while the ledger is asked are asked about together");
        stage.is_asleep = false;
        while !stage.asked.is_empty() {
            stage.answer();
        }
        let mut asked = 0;
        loop {
            let heard = stage.hears(guest);
            if heard.is_empty() {
                break;
            }
            asked += heard.len();
            for question in heard {
                stage.says(guest, json!({"NOTFOUND": question["GETBLOCK"]}));
            }
        }
        assert_eq!(asked, 5_000);
    });
}

#[test]
fn trackers_are_told_nothing_and_asked_nothing() {
    story(|stage| {
        let tracker = stage.guest("10.0.0.1:1", 0);
        stage.makes(&next());
        stage.is_given(&transaction(0, 1));
        stage.wait(seconds(59));
        assert!(stage.hears(tracker).is_empty());
    });
}

#[test]
fn the_host_can_push_a_transaction_to_everyone() {
    story(|stage| {
        let peers = guests(stage, 2);
        let payload = transaction(0, 5);
        stage.act(P2pAction::BroadcastMessage { kind: polypeer_hello::PUSH, payload: payload.clone() });
        for peer in peers {
            assert_eq!(stage.hears_one(peer), json!({"PUSHTRANSACTION": [hex(&payload)]}));
        }
    });
}
