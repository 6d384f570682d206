//! Blocks that are announced, fetched and told on (Kaspa spec, section 4.3).

use crate::dag::{hash_of, header_of};
use crate::make::{self, block_on, block_with, with_body};
use crate::stage::*;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlockOutcome, Fault, Hash};
use polypeer_kaspa::wire::{Hashes, Kind, encode_block};
use std::collections::BTreeMap;
use std::time::Duration;

const PEERS: [&str; 3] = ["10.0.0.7:40000", "10.0.0.8:40000", "10.0.0.9:40000"];

pub(crate) fn tip() -> &'static Bytes {
    &make::dag()[make::dag().len() - 1]
}

fn three(stage: &mut Stage) -> [ConnectionId; 3] {
    PEERS.map(|remote| stage.guest(remote))
}

/// The peer announces a block, is asked for it, and something else happens.
fn asked(tell: impl Fn(&mut Stage, ConnectionId, &Bytes, u32)) {
    story(|stage| {
        let peer = stage.guest(PEERS[2]);
        let block = block_on(&[tip()], 1);
        stage.announces(peer, hash_of(&block));
        let id = stage.is_asked_for(peer, hash_of(&block));
        tell(stage, peer, &block, id);
    });
}

#[test]
fn a_new_block_goes_to_all_but_the_one_that_brought_it() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.relays(a, &block);
        stage.hears_nothing(a);
        stage.hears_of(b, hash_of(&block));
        stage.hears_of(c, hash_of(&block));
        assert_eq!(stage.ledger.dag.sink(), hash_of(&block));
    });
}

#[test]
fn who_announced_it_too_is_not_told() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.announces(a, hash_of(&block));
        stage.announces(b, hash_of(&block));
        let id = stage.is_asked_for(a, hash_of(&block));
        stage.hears_nothing(b);
        stage.answers(a, Kind::Block, &block, id);
        stage.hears_nothing(b);
        stage.hears_of(c, hash_of(&block));
        stage.announces(c, hash_of(&block));
        stage.hears_nothing(c);
    });
}

#[test]
fn what_is_held_is_not_asked_for() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let known = [make::genesis(), tip(), &make::dag()[500]];
        for block in known.iter().chain(&known) {
            stage.announces(peer, hash_of(block));
            stage.hears_nothing(peer);
        }
        let questions = stage.ledger.log.iter().filter(|name| **name == "Statuses").count();
        assert_eq!(questions, 3, "the second time nobody is asked");
        stage.is_well(peer);
    });
}

#[test]
fn a_block_of_our_own_goes_to_all() {
    story(|stage| {
        let peers = three(stage);
        let block = block_on(&[tip()], 1);
        stage.makes(&block);
        for peer in peers {
            stage.hears_of(peer, hash_of(&block));
            stage.announces(peer, hash_of(&block));
            stage.hears_nothing(peer);
        }
    });
}

#[test]
fn an_answer_without_the_number_or_with_another_ends_the_connection_in_silence() {
    asked(|stage, peer, block, _| {
        stage.says(peer, Kind::Block, block);
        stage.is_cut(peer);
    });
    asked(|stage, peer, block, id| {
        stage.answers(peer, Kind::Block, block, id + 1);
        stage.is_cut(peer);
    });
    asked(|stage, peer, block, id| {
        stage.answers(peer, Kind::Block, block, id);
        stage.answers(peer, Kind::Block, block, id);
        stage.is_cut(peer);
    });
}

#[test]
fn another_block_is_refused() {
    asked(|stage, peer, block, id| {
        let other = block_on(&[tip()], 2);
        stage.answers(peer, Kind::Block, &other, id);
        let text = format!("requested block hash {} but got block {}", hash_of(block), hash_of(&other));
        stage.is_rejected(peer, &text);
    });
}

#[test]
fn a_header_only_is_refused() {
    asked(|stage, peer, block, id| {
        let header = encode_block(&header_of(block).encode(), []);
        stage.answers(peer, Kind::Block, &header, id);
        stage.is_rejected(peer, &format!("sent header of {} where expected block with body", hash_of(block)));
    });
}

#[test]
fn another_kind_of_message_is_refused() {
    asked(|stage, peer, _, id| {
        stage.answers(peer, Kind::BlockLocator, &[], id);
        stage.is_rejected(peer, "expected message type/s Payload::Block but got Some(BlockLocator)");
    });
}

#[test]
fn a_malformed_block_is_refused() {
    asked(|stage, peer, _, id| {
        stage.answers(peer, Kind::Block, &[], id);
        stage.is_rejected(peer, "Optional field is None while expected to be Some");
    });
    asked(|stage, peer, block, id| {
        stage.answers(peer, Kind::Block, &block[..block.len() - 1], id);
        stage.is_cut(peer);
    });
    asked(|stage, peer, _, id| {
        let large = block_with(&[tip()], 1, &[1, 2, 3].map(|salt| make::transaction_with(salt, 800_000)));
        stage.answers(peer, Kind::Block, &large, id);
        stage.is_rejected(peer, "p2p conversion size too large error");
    });
}

#[test]
fn a_block_is_due_within_two_minutes() {
    asked(|stage, peer, _, _| {
        stage.wait(Duration::from_millis(119_999));
        assert!(stage.is_open(peer));
        stage.wait(Duration::from_millis(1));
        stage.is_rejected(peer, "timeout expired after 120s");
        assert_eq!(stage.severity(PEERS[2]), None);
    });
}

#[test]
fn an_invalid_block_is_refused_and_its_hash_remembered() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.ledger.outcomes.insert(hash_of(&block), BlockOutcome::Invalid(Fault::BlueWork));
        stage.relays(a, &block);
        stage.is_rejected(a, Fault::BlueWork.text());
        stage.hears_nothing(b);
        stage.announces(b, hash_of(&block));
        stage.is_rejected(b, &format!("sent inv of an invalid block {}", hash_of(&block)));
        stage.is_well(c);
    });
}

/// Another body may be right: whoever announced it too is asked, and everyone else later.
#[test]
fn a_wrong_body_says_nothing_of_the_hash() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.announces(a, hash_of(&block));
        stage.announces(b, hash_of(&block));
        let id = stage.is_asked_for(a, hash_of(&block));
        let wrong = with_body(&block, &[make::transaction(9)]);
        assert_eq!(hash_of(&wrong), hash_of(&block));
        stage.answers(a, Kind::Block, &wrong, id);
        stage.is_rejected(a, "invalid merkle root");
        let id = stage.is_asked_for(b, hash_of(&block));
        stage.answers(b, Kind::Block, &block, id);
        stage.hears_of(c, hash_of(&block));
    });
}

#[test]
fn what_finds_no_room_or_comes_too_late_is_nobodys_fault() {
    for outcome in [BlockOutcome::NoRoom, BlockOutcome::TooOld] {
        story(|stage| {
            let [a, b, _] = three(stage);
            for salt in 1..=6 {
                let block = block_on(&[tip()], salt);
                stage.ledger.outcomes.insert(hash_of(&block), outcome.clone());
                stage.relays(a, &block);
            }
            stage.hears_nothing(b);
            stage.is_well(a);
        });
    }
}

#[test]
fn five_at_a_time_are_asked_of_one_peer() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        let blocks: Vec<Bytes> = (1..=12).map(|salt| block_on(&[tip()], salt)).collect();
        for block in &blocks {
            stage.announces(peer, hash_of(block));
        }
        let requests = stage.hears(peer);
        assert_eq!(requests.len(), 5);
        let mut ids: Vec<u32> = requests.iter().map(|request| request.request_id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 5, "each with a number of its own");
        // Answers may come in any order.
        for at in [3, 0, 4, 1, 2] {
            stage.answers(peer, Kind::Block, &blocks[at], requests[at].request_id);
            assert_eq!(stage.hears_kinds(peer), [Kind::RequestRelayBlocks]);
        }
    });
}

#[test]
fn what_a_peer_announces_beyond_its_queue_is_dropped() {
    let blocks: Vec<Bytes> = (1..=5 + 2_560 + 5).map(|salt| block_on(&[tip()], salt)).collect();
    let of_hash: BTreeMap<Hash, &Bytes> = blocks.iter().map(|block| (hash_of(block), block)).collect();
    story_of(&holding(2), |stage| {
        let peer = stage.guest(PEERS[0]);
        for block in &blocks {
            // What becomes of it is of no matter here.
            stage.ledger.outcomes.insert(hash_of(block), BlockOutcome::NoRoom);
            stage.announces(peer, hash_of(block));
        }
        let mut asked = 0;
        let mut requests = stage.hears(peer);
        while let Some(request) = requests.pop() {
            asked += 1;
            let hash = Hashes::decode(&request.body, 1).expect("one").iter().next().expect("one");
            stage.answers(peer, Kind::Block, of_hash[&hash], request.request_id);
            requests.extend(stage.hears(peer));
        }
        assert_eq!(asked, 5 + 2_560);
    });
}

#[test]
fn another_announcer_is_asked_when_two_seconds_have_brought_nothing() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.announces(a, hash_of(&block));
        let first = stage.is_asked_for(a, hash_of(&block));
        stage.wait(Duration::from_millis(500));
        stage.announces(b, hash_of(&block));
        stage.wait(Duration::from_millis(1_499));
        stage.hears_nothing(b);
        stage.wait(Duration::from_millis(1));
        let second = stage.is_asked_for(b, hash_of(&block));
        // Both may bring it now; it is told on once.
        stage.answers(a, Kind::Block, &block, first);
        stage.hears_of(c, hash_of(&block));
        stage.answers(b, Kind::Block, &block, second);
        stage.hears_nothing(c);
        stage.is_well(a);
        stage.is_well(b);
    });
}

#[test]
fn another_announcer_is_asked_when_the_first_is_gone() {
    story(|stage| {
        let [a, b, c] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.announces(a, hash_of(&block));
        // However often one announces it, another is remembered too.
        (0..9).for_each(|_| stage.announces(b, hash_of(&block)));
        stage.announces(c, hash_of(&block));
        stage.hang_up(a);
        stage.is_asked_for(b, hash_of(&block));
        stage.hears_nothing(c);
        stage.hang_up(b);
        let id = stage.is_asked_for(c, hash_of(&block));
        stage.answers(c, Kind::Block, &block, id);
        assert_eq!(stage.ledger.dag.sink(), hash_of(&block));
    });
}

#[test]
fn another_announcer_is_asked_when_the_first_brings_something_else() {
    story(|stage| {
        let [a, b, _] = three(stage);
        let block = block_on(&[tip()], 1);
        stage.announces(a, hash_of(&block));
        stage.announces(b, hash_of(&block));
        let id = stage.is_asked_for(a, hash_of(&block));
        stage.answers(a, Kind::Block, tip(), id);
        assert!(!stage.is_open(a));
        stage.is_asked_for(b, hash_of(&block));
    });
}

/// Who has all workers busy takes up another's block as soon as one is free.
#[test]
fn nobody_is_asked_for_more_than_five_whoever_leaves() {
    story(|stage| {
        let [a, b, _] = three(stage);
        let blocks: Vec<Bytes> = (1..=10).map(|salt| block_on(&[tip()], salt)).collect();
        let (of_a, of_b) = blocks.split_at(5);
        of_a.iter().for_each(|block| stage.announces(a, hash_of(block)));
        blocks.iter().for_each(|block| stage.announces(b, hash_of(block)));
        let requests = stage.hears(b);
        assert_eq!(requests.len(), 5);
        stage.hang_up(a);
        stage.hears_nothing(b);
        let mut wanted: Vec<Hash> = of_a.iter().map(|block| hash_of(block)).collect();
        for (block, request) in of_b.iter().zip(requests) {
            stage.answers(b, Kind::Block, block, request.request_id);
            let next = stage.hears_one(b, Kind::RequestRelayBlocks);
            let hash = Hashes::decode(&next.body, 1).expect("one").iter().next().expect("one");
            wanted.retain(|wanted| *wanted != hash);
        }
        assert!(wanted.is_empty(), "what the one that left owed is asked of the other");
    });
}

#[test]
fn announcements_without_credit_are_dropped_and_then_slip() {
    story(|stage| {
        let peer = stage.guest(PEERS[0]);
        stage.is_asleep = true;
        let mut number = 0;
        while stage.is_open(peer) && stage.slips(peer) == 0 && number < 40 {
            let ids = (0..100_000).map(|at| make::hash(number * 100_000 + at));
            stage.offers(peer, ids);
            number += 1;
        }
        assert!(stage.is_open(peer));
        assert_eq!(stage.slips(peer), 1, "five seconds of work were refused");
    });
}
