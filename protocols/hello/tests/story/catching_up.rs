//! Lists and blocks of those who are ahead (Hello spec, section 5).

use crate::stage::*;
use crate::toy::{Kind, Toy, block, chain, genesis, hash_of};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Close, ConnectionId};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Greets without answering the first list, which is given back.
fn greet(stage: &mut Stage, remote: &str, block_count: u64) -> (ConnectionId, Value) {
    let guest = stage.accept(remote);
    stage.says(guest, hello(block_count));
    stage.says(guest, hey(block_count));
    let heard = stage.hears(guest);
    let ask = heard.last().expect("a question").clone();
    assert_eq!(method(&ask), "GETLISTOFBLOCKS");
    (guest, ask)
}

fn hashes(blocks: &[Bytes]) -> Vec<Hash> {
    blocks.iter().map(|block| hash_of(block)).collect()
}

fn ask_list(from: u64, latest: u64) -> Value {
    json!({"GETLISTOFBLOCKS": {"from": from, "latest": latest}})
}

/// A peer that answers all it is asked, from its own chain.
struct Honest {
    connection: ConnectionId,
    ledger: Toy,
    blocks: BTreeMap<String, Bytes>,
    served: usize,
}

impl Honest {
    fn new(connection: ConnectionId, blocks: &[Bytes]) -> Self {
        let by_hash = std::iter::once(genesis()).chain(blocks.iter().cloned());
        let blocks_by_hash = by_hash.map(|block| (hex(hash_of(&block)), block)).collect();
        Self { connection, ledger: Toy::with(blocks), blocks: blocks_by_hash, served: 0 }
    }

    /// Answers what it has heard. Whether there was anything.
    fn answers(&mut self, stage: &mut Stage) -> bool {
        let heard = stage.hears(self.connection);
        let is_any = !heard.is_empty();
        for message in heard {
            match method(&message).as_str() {
                "GETLISTOFBLOCKS" => self.list(stage, &message["GETLISTOFBLOCKS"]),
                "GETBLOCK" => {
                    let hash = message["GETBLOCK"]["hash"].as_str().expect("asked by hash");
                    self.served += 1;
                    stage.delivers(self.connection, &self.blocks[hash]);
                }
                "HELLO" => stage.says(self.connection, hey(self.ledger.tip().height + 1)),
                "BROADCASTBLOCK" | "LISTOFBLOCKS" | "HEY" | "ADDR" | "GETADDR" => {}
                other => panic!("nothing to say to {other}: {message}"),
            }
        }
        is_any
    }

    fn list(&self, stage: &mut Stage, ask: &Value) {
        use polypeer_engine::kit::chain::{Answer, Request};
        use polypeer_engine::{Ledger, Ticket};
        let from = ask["from"].as_u64().expect("a number");
        let mut answers = Vec::new();
        let request = Request::Hashes { from: from + 1, count: 10_000 };
        self.ledger.clone().answer(stage.now, vec![(Ticket(0), request)], &mut answers);
        let Some((_, Answer::Hashes { from, parent, hashes, tip })) = answers.pop() else { panic!("hashes") };
        stage.lists(self.connection, from - 1, tip.height, parent, &hashes);
    }
}

fn run(stage: &mut Stage, peers: &mut [Honest]) {
    while peers.iter_mut().fold(false, |any, peer| peer.answers(stage) | any) {}
}

fn join(stage: &mut Stage, ip: u8, blocks: &[Bytes]) -> Honest {
    let guest = stage.accept(&format!("10.0.{ip}.1:40000"));
    let count = blocks.len() as u64 + 1;
    stage.says(guest, hello(count));
    stage.says(guest, hey(count));
    Honest::new(guest, blocks)
}

#[test]
fn a_longer_chain_is_listed_fetched_and_applied() {
    let blocks = chain(hash_of(&genesis()), 0, 300, 1);
    story(|stage| {
        let (guest, ask) = greet(stage, "10.0.0.1:1", 301);
        assert_eq!(ask, ask_list(0, 0));
        stage.lists(guest, 0, 300, hash_of(&genesis()), &hashes(&blocks));
        let heard = stage.hears(guest);
        assert_eq!(heard.len(), 128, "as many as may be in flight");
        for (question, block) in heard.iter().zip(&blocks) {
            assert_eq!(*question, ask_hash(hash_of(block)));
        }
        assert!(stage.engine.protocol().is_catching_up());
        assert_eq!(stage.ledger.catching_up, [true]);
        // Whatever the order in which they come.
        for block in blocks[..128].iter().rev() {
            stage.delivers(guest, block);
        }
        assert_eq!(stage.ledger.tip().height, 128);
        for block in &blocks[128..] {
            stage.delivers(guest, block);
        }
        assert_eq!(stage.ledger.tip().hash, hash_of(&blocks[299]));
        assert_eq!(stage.ledger.catching_up, [true, false]);
        assert!(!stage.engine.protocol().is_catching_up());
        assert!(stage.is_open(guest));
    });
}

#[test]
fn of_blocks_fetched_to_catch_up_only_the_last_is_told() {
    let blocks = chain(hash_of(&genesis()), 0, 50, 1);
    story(|stage| {
        let friend = stage.guest("10.0.7.1:1", 1);
        let mut peers = [join(stage, 1, &blocks)];
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().height, 50);
        let told = json!({"BROADCASTBLOCK": {"number": 50, "hash": hex(hash_of(&blocks[49]))}});
        assert_eq!(stage.hears(friend), [told]);
    });
}

#[test]
fn peers_that_agree_share_the_download() {
    let blocks = chain(hash_of(&genesis()), 0, 1000, 1);
    story(|stage| {
        let mut peers: Vec<_> = (1..=4).map(|ip| join(stage, ip, &blocks)).collect();
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().height, 1000);
        let served: Vec<_> = peers.iter().map(|peer| peer.served).collect();
        assert_eq!(served.iter().sum::<usize>(), 1000, "each block is asked of one: {served:?}");
        assert!(served.iter().all(|count| *count >= 100), "{served:?}");
    });
}

#[test]
fn the_number_in_flight_is_a_setting_and_counts_over_all_peers() {
    let blocks = chain(hash_of(&genesis()), 0, 100, 1);
    let config = polypeer_hello::Config { blocks_in_flight: 10, ..config() };
    story_of(
        || Stage::new(config.clone(), p2p(), Toy::new(), 1),
        |stage| {
            let peers: Vec<_> = (1..=3).map(|ip| greet(stage, &format!("10.0.{ip}.1:1"), 101).0).collect();
            for peer in &peers {
                stage.lists(*peer, 0, 100, hash_of(&genesis()), &hashes(&blocks));
            }
            let asked: Vec<_> = peers.iter().flat_map(|peer| stage.hears(*peer)).collect();
            assert_eq!(asked.len(), 10);
            let mut distinct: Vec<_> = asked.iter().map(Value::to_string).collect();
            distinct.sort();
            distinct.dedup();
            assert_eq!(distinct.len(), 10);
        },
    );
}

#[test]
fn long_chains_come_in_lists_of_10_000() {
    let blocks = chain(hash_of(&genesis()), 0, 25_000, 1);
    story(|stage| {
        let mut peers = [join(stage, 1, &blocks)];
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().hash, hash_of(&blocks[24_999]));
        assert_eq!(stage.ledger.catching_up, [true, false], "one stretch, without a gap between lists");
    });
}

#[test]
fn chains_meet_by_doubling_steps_back() {
    let common = chain(hash_of(&genesis()), 0, 10, 1);
    let fork = hash_of(&common[9]);
    let ours = chain(fork, 10, 20, 2);
    let theirs = chain(fork, 10, 25, 3);
    let held = [common.clone(), ours].concat();
    let wanted = [common.clone(), theirs.clone()].concat();
    story_of(
        || Stage::holding(&held),
        |stage| {
            let (guest, ask) = greet(stage, "10.0.0.1:1", 36);
            assert_eq!(ask, ask_list(30, 30));
            let parent = |from: usize| hash_of(&wanted[from - 1]);
            for (from, next) in [(30, 29), (29, 27), (27, 23), (23, 15), (15, 0)] {
                stage.lists(guest, from as u64, 35, parent(from), &hashes(&wanted[from..]));
                assert_eq!(stage.hears_one(guest), ask_list(next, 30), "from {from}");
            }
            assert_eq!(stage.ledger.tip().height, 30);
            stage.lists(guest, 0, 35, hash_of(&genesis()), &hashes(&wanted));
            let heard = stage.hears(guest);
            assert_eq!(heard.len(), 25, "only what we lack");
            for block in &theirs {
                stage.delivers(guest, block);
            }
            assert_eq!(stage.ledger.tip().hash, hash_of(&theirs[24]), "the heavier branch replaces ours");
        },
    );
}

#[test]
fn a_lower_fork_is_followed_too_and_replaces_nothing() {
    let ours = chain(hash_of(&genesis()), 0, 5, 1);
    let theirs = chain(hash_of(&genesis()), 0, 3, 2);
    story_of(
        || Stage::holding(&ours),
        |stage| {
            let mut peers = [join(stage, 1, &theirs)];
            run(stage, &mut peers);
            assert_eq!(stage.ledger.tip().hash, hash_of(&ours[4]));
            assert!(stage.ledger.has(&hash_of(&theirs[2])) && stage.is_open(peers[0].connection));
        },
    );
}

#[test]
fn at_0_another_genesis_ends_the_connection() {
    story(|stage| {
        let (guest, ask) = greet(stage, "10.0.0.1:1", 5);
        assert_eq!(ask, ask_list(0, 0));
        stage.lists(guest, 0, 4, Hash([9; 32]), &[Hash([8; 32])]);
        assert_eq!(stage.end(guest), Some(Close::Now));
        assert!(stage.hears(guest).is_empty());
        assert!(stage.engine.state().bans.all(stage.now).next().is_none(), "a stranger, not a sinner");
    });
}

#[test]
fn differing_lists_are_followed_each_on_its_own() {
    let honest = chain(hash_of(&genesis()), 0, 200, 1);
    // The liar claims more, and has nothing.
    let claimed: Vec<Hash> = (0..10_000_u64).map(|salt| crate::toy::id_of(&salt.to_be_bytes())).collect();
    story(|stage| {
        let (liar, _) = greet(stage, "10.0.9.1:1", 1_000_000);
        stage.lists(liar, 0, 999_999, hash_of(&genesis()), &claimed);
        assert_eq!(stage.hears(liar).len(), 128);
        let mut peers = [join(stage, 1, &honest), join(stage, 2, &honest)];
        // As long as the liar keeps us waiting there is one more slot at a time; then its share is all it has.
        run(stage, &mut peers);
        stage.wait(Duration::from_millis(10_000));
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().height, 200, "the lie has held up nobody");
        assert!(stage.is_open(liar));
        // It is not used for a minute.
        stage.hears(liar);
        stage.wait(seconds(40));
        assert!(!stage.hears_methods(liar).contains(&"GETBLOCK".to_owned()));
    });
}

#[test]
fn a_second_list_gets_its_share_at_once() {
    let one = chain(hash_of(&genesis()), 0, 60, 1);
    let two = chain(hash_of(&genesis()), 0, 50, 2);
    story(|stage| {
        let (first, _) = greet(stage, "10.0.1.1:1", 61);
        let (second, _) = greet(stage, "10.0.2.1:1", 51);
        stage.lists(first, 0, 60, hash_of(&genesis()), &hashes(&one));
        stage.lists(second, 0, 50, hash_of(&genesis()), &hashes(&two));
        assert_eq!(stage.hears(first).len(), 60);
        assert_eq!(stage.hears(second).len(), 50);
    });
}

#[test]
fn one_who_cannot_deliver_is_not_used_for_a_minute() {
    let blocks = chain(hash_of(&genesis()), 0, 20, 1);
    story(|stage| {
        let (poor, _) = greet(stage, "10.0.1.1:1", 21);
        stage.lists(poor, 0, 20, hash_of(&genesis()), &hashes(&blocks));
        let heard = stage.hears(poor);
        stage.says(poor, json!({"NOTFOUND": heard[0]["GETBLOCK"]}));
        let mut peers = [join(stage, 2, &blocks)];
        run(stage, &mut peers);
        assert_eq!((stage.ledger.tip().height, peers[0].served), (20, 20), "another delivers");
        assert!(stage.is_open(poor), "and it is no fault");
    });
}

#[test]
fn a_list_of_nothing_though_there_is_more_benches_its_sender() {
    let blocks = chain(hash_of(&genesis()), 0, 3, 1);
    story(|stage| {
        let (guest, _) = greet(stage, "10.0.1.1:1", 4);
        stage.lists(guest, 0, 3, hash_of(&genesis()), &[]);
        assert!(stage.hears(guest).is_empty() && stage.is_open(guest));
        // Not asked back for a minute, whatever it claims.
        stage.wait(seconds(20));
        stage.says(guest, ask_list(3, 3));
        assert_eq!(stage.hears_methods(guest), ["LISTOFBLOCKS"]);
        stage.wait(seconds(40));
        let heard = stage.hears_methods(guest);
        assert!(heard.contains(&"GETLISTOFBLOCKS".to_owned()), "after a minute it is: {heard:?}");
        stage.lists(guest, 0, 3, hash_of(&genesis()), &hashes(&blocks));
        assert_eq!(stage.hears(guest).iter().filter(|heard| method(heard) == "GETBLOCK").count(), 3);
    });
}

#[test]
fn silence_puts_the_question_to_another_and_the_late_answer_is_good() {
    let blocks = chain(hash_of(&genesis()), 0, 10, 1);
    story(|stage| {
        let (slow, _) = greet(stage, "10.0.1.1:1", 11);
        stage.lists(slow, 0, 10, hash_of(&genesis()), &hashes(&blocks));
        assert_eq!(stage.hears(slow).len(), 10);
        let mut peers = [join(stage, 2, &blocks)];
        run(stage, &mut peers);
        assert_eq!(peers[0].served, 0, "each block is asked of one");
        stage.wait(seconds(10));
        run(stage, &mut peers);
        assert_eq!((stage.ledger.tip().height, peers[0].served), (10, 10));
        stage.delivers(slow, &blocks[3]);
        assert!(stage.is_open(slow) && stage.engine.state().peers[&slow].slips.is_empty());
    });
}

#[test]
fn alone_with_a_slow_peer_its_late_answers_bring_us_on() {
    let blocks = chain(hash_of(&genesis()), 0, 5, 1);
    story(|stage| {
        let (slow, _) = greet(stage, "10.0.1.1:1", 6);
        stage.lists(slow, 0, 5, hash_of(&genesis()), &hashes(&blocks));
        stage.wait(seconds(11));
        for block in &blocks {
            stage.delivers(slow, block);
        }
        assert_eq!(stage.ledger.tip().height, 5);
        assert!(stage.is_open(slow) && stage.engine.state().peers[&slow].slips.is_empty());
    });
}

#[test]
fn a_lost_connection_puts_its_questions_to_the_others() {
    let blocks = chain(hash_of(&genesis()), 0, 300, 1);
    story(|stage| {
        let (leaver, _) = greet(stage, "10.0.1.1:1", 301);
        stage.lists(leaver, 0, 300, hash_of(&genesis()), &hashes(&blocks));
        for block in &blocks[..50] {
            stage.delivers(leaver, block);
        }
        let mut peers = [join(stage, 2, &blocks)];
        peers[0].answers(stage);
        stage.hang_up(leaver);
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().height, 300);
        assert_eq!(peers[0].served, 250, "nothing that was verified is fetched again");
    });
}

#[test]
fn a_list_that_is_no_chain_is_found_out() {
    let one = chain(hash_of(&genesis()), 0, 4, 1);
    let mixed = vec![one[0].clone(), one[2].clone(), one[1].clone(), one[3].clone()];
    story(|stage| {
        let (liar, _) = greet(stage, "10.0.1.1:1", 5);
        stage.lists(liar, 0, 4, hash_of(&genesis()), &hashes(&mixed));
        for block in &one {
            stage.delivers(liar, block);
        }
        assert!(stage.is_open(liar), "the blocks themselves are right");
        let mut peers = [join(stage, 2, &one)];
        run(stage, &mut peers);
        assert_eq!(stage.ledger.tip().height, 4);
    });
}

#[test]
fn an_invalid_block_in_a_list_costs_its_sender_and_ends_the_list() {
    let good = chain(hash_of(&genesis()), 0, 3, 1);
    let bad = block(hash_of(&good[2]), 4, Kind::BadState, 1, b"");
    let after = chain(hash_of(&bad), 4, 2, 1);
    let all = [good.clone(), vec![bad], after].concat();
    story(|stage| {
        let (liar, _) = greet(stage, "10.0.1.1:1", 7);
        stage.lists(liar, 0, 6, hash_of(&genesis()), &hashes(&all));
        for block in &all {
            stage.delivers(liar, block);
        }
        assert_eq!(stage.ledger.tip().height, 3);
        assert_eq!(stage.end(liar), Some(Close::Lingering));
        assert!(stage.engine.state().bans.all(stage.now).next().is_some());
        assert!(!stage.engine.protocol().is_catching_up());
        let mut peers = [join(stage, 2, &good)];
        run(stage, &mut peers);
        assert!(stage.is_open(peers[0].connection));
    });
}

#[test]
fn a_wrong_body_in_a_list_is_fetched_from_another() {
    let blocks = chain(hash_of(&genesis()), 0, 3, 1);
    let spoiled = block(hash_of(&blocks[0]), 2, Kind::Good, 1, b"\xff");
    assert_eq!(hash_of(&spoiled), hash_of(&blocks[1]));
    story(|stage| {
        let (liar, _) = greet(stage, "10.0.1.1:1", 4);
        stage.lists(liar, 0, 3, hash_of(&genesis()), &hashes(&blocks));
        let mut peers = [join(stage, 2, &blocks)];
        run(stage, &mut peers);
        stage.is_asleep = true;
        for block in [&blocks[0], &spoiled, &blocks[2]] {
            stage.delivers(liar, block);
        }
        stage.is_asleep = false;
        stage.answer();
        assert!(!stage.is_open(liar));
        run(stage, &mut peers);
        assert_eq!((stage.ledger.tip().height, peers[0].served), (3, 1), "only the spoiled one is fetched again");
    });
}

#[test]
fn a_block_without_a_parent_leads_to_a_question_to_its_sender() {
    let blocks = chain(hash_of(&genesis()), 0, 6, 1);
    story(|stage| {
        let guest = stage.guest("10.0.1.1:1", 1);
        stage.announces(guest, 6, hash_of(&blocks[5]));
        assert_eq!(stage.hears_one(guest), ask_hash(hash_of(&blocks[5])));
        stage.delivers(guest, &blocks[5]);
        assert_eq!(stage.hears_one(guest), ask_list(0, 0));
        stage.lists(guest, 0, 6, hash_of(&genesis()), &hashes(&blocks));
        assert_eq!(stage.hears(guest).len(), 5, "the one that is held is not asked for again");
        for block in &blocks[..5] {
            stage.delivers(guest, block);
        }
        assert_eq!(stage.ledger.tip().height, 6);
    });
}

#[test]
fn orphans_find_their_parent_when_it_comes_another_way() {
    let blocks = chain(hash_of(&genesis()), 0, 3, 1);
    story(|stage| {
        let peers = [stage.guest("10.0.1.1:1", 1), stage.guest("10.0.2.1:1", 1)];
        for block in [&blocks[2], &blocks[1]] {
            stage.announces(peers[0], 3, hash_of(block));
            stage.delivers(peers[0], block);
        }
        assert_eq!(stage.ledger.tip().height, 0);
        stage.announces(peers[1], 1, hash_of(&blocks[0]));
        stage.delivers(peers[1], &blocks[0]);
        assert_eq!(stage.ledger.tip().height, 3);
    });
}

#[test]
fn one_who_is_ahead_is_asked_back_but_not_for_ever() {
    story(|stage| {
        let guest = stage.guest("10.0.1.1:1", 1);
        stage.wait(seconds(5));
        for round in 0..5 {
            stage.says(guest, ask_list(0, 9));
            let heard = stage.hears_methods(guest);
            let expected: &[&str] = if round == 0 { &["GETLISTOFBLOCKS", "LISTOFBLOCKS"] } else { &["LISTOFBLOCKS"] };
            assert_eq!(heard, expected, "{round}: one is open");
        }
        stage.lists(guest, 0, 0, hash_of(&genesis()), &[]);
        for _ in 0..5 {
            stage.says(guest, ask_list(0, 9));
            assert_eq!(stage.hears_methods(guest), ["LISTOFBLOCKS"], "the last one brought nothing new");
        }
        stage.wait(seconds(5));
        stage.says(guest, ask_list(0, 9));
        assert_eq!(stage.hears_methods(guest), ["GETLISTOFBLOCKS", "LISTOFBLOCKS"]);
    });
}

#[test]
fn one_who_is_behind_is_only_answered() {
    let blocks = chain(hash_of(&genesis()), 0, 4, 1);
    story_of(
        || Stage::holding(&blocks),
        |stage| {
            let guest = stage.guest("10.0.1.1:1", 1);
            stage.wait(seconds(5));
            stage.says(guest, ask_list(0, 0));
            let answer = stage.hears_one(guest);
            assert_eq!(answer["LISTOFBLOCKS"]["latest"], 4);
        },
    );
}

#[test]
fn a_halt_gives_the_producer_back_its_voice() {
    let blocks = chain(hash_of(&genesis()), 0, 10, 1);
    story(|stage| {
        let friend = stage.guest("10.0.7.1:1", 1);
        let (slow, _) = greet(stage, "10.0.1.1:1", 11);
        stage.lists(slow, 0, 10, hash_of(&genesis()), &hashes(&blocks));
        assert_eq!(stage.ledger.catching_up, [true]);
        stage.wait(seconds(10));
        assert_eq!(stage.ledger.catching_up, [true, false]);
        let own = chain(hash_of(&genesis()), 0, 1, 5).remove(0);
        stage.makes(&own);
        let told = json!({"BROADCASTBLOCK": {"number": 1, "hash": hex(hash_of(&own))}});
        assert!(stage.hears(friend).contains(&told));
    });
}

#[test]
fn a_list_that_is_late_is_taken_when_it_comes() {
    let blocks = chain(hash_of(&genesis()), 0, 3, 1);
    story(|stage| {
        let (slow, _) = greet(stage, "10.0.1.1:1", 4);
        stage.wait(seconds(30));
        assert!(!stage.hears_methods(slow).contains(&"GETLISTOFBLOCKS".to_owned()), "one is open still");
        stage.lists(slow, 0, 3, hash_of(&genesis()), &hashes(&blocks));
        assert!(stage.is_open(slow) && stage.engine.state().peers[&slow].slips.is_empty());
    });
}

#[test]
fn lists_of_known_blocks_do_not_go_on_for_ever() {
    let ours = chain(hash_of(&genesis()), 0, 20, 1);
    story_of(
        || Stage::holding(&ours),
        |stage| {
            let (liar, ask) = greet(stage, "10.0.1.1:1", 1_000_000);
            assert_eq!(ask, ask_list(20, 20));
            // The same known block again and again, as if it were another each time.
            let mut from = 20;
            for _ in 0..10 {
                stage.lists(liar, from, 999_999, hash_of(&ours[19]), &vec![hash_of(&ours[3]); 10_000]);
                match stage.hears(liar).last() {
                    Some(ask) => from = ask["GETLISTOFBLOCKS"]["from"].as_u64().expect("a number"),
                    None => break,
                }
            }
            assert!(stage.hears(liar).is_empty() && from <= 20_020, "benched, not followed: {from}");
        },
    );
}
