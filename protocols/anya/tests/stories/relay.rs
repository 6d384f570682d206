//! Relays transactions and blocks (AnYa spec, section 6).

use crate::ledger;
use crate::story::{Story, story};
use bytes::Bytes;
use polypeer_anya::wire::{self, Kind};
use polypeer_engine::kit::chain::Answer;
use polypeer_engine::{ConnectionId, P2pAction};
use std::time::Duration;

fn friends(story: &mut Story) -> [ConnectionId; 3] {
    [7, 8, 9].map(|host| story.friend(&format!("10.0.0.{host}:1")))
}

#[test]
fn a_transaction_goes_to_everyone_but_who_sent_it_once() {
    story(|story| {
        let [a, b, c] = friends(story);
        story.says(a, Kind::Tx, b"v1");
        assert_eq!(story.hears(b, Kind::Tx), b"v1".as_slice());
        assert_eq!(story.hears(c, Kind::Tx), b"v1".as_slice());
        for peer in [a, b, c, a] {
            story.says(peer, Kind::Tx, b"v1");
        }
        story.wait(Duration::from_secs(61));
        for peer in [a, b, c] {
            story.says(peer, Kind::Pong, &[]);
            story.skip(peer);
            story.says(peer, Kind::Tx, b"v1");
        }
        story.all_hear_nothing(&[a, b, c]);
    });
}

#[test]
fn who_sends_a_transaction_while_it_is_judged_does_not_get_it_back() {
    story(|story| {
        let [a, b, c] = friends(story);
        story.is_prompt = false;
        story.says(a, Kind::Tx, b"v1");
        story.says(b, Kind::Tx, b"v1");
        assert_eq!(story.asked.len(), 1, "judged once");
        story.answer();
        story.hears(c, Kind::Tx);
        story.all_hear_nothing(&[a, b, c]);
    });
}

#[test]
fn a_peer_that_is_not_ready_gets_nothing() {
    story(|story| {
        let (strange, greeting) = (story.greeted("10.0.0.5:1"), story.accept("10.0.0.6:1"));
        let [a, ..] = friends(story);
        story.says(a, Kind::Tx, b"v1");
        let tip = story.ledger.mine(1);
        story.ledger_says(tip);
        story.hears_nothing(strange);
        story.hears_nothing(greeting);
    });
}

#[test]
fn a_transaction_that_was_not_taken_may_come_again() {
    story(|story| {
        let [a, b, _] = friends(story);
        story.is_prompt = false;
        for _ in 0..3 {
            story.says(a, Kind::Tx, b"n1");
            assert_eq!(story.asked.len(), 1);
            story.answer();
        }
        story.hears_nothing(b);
    });
}

#[test]
fn everyone_who_sent_a_transaction_that_is_never_valid_is_told() {
    story(|story| {
        let [a, b, c] = friends(story);
        story.is_prompt = false;
        story.says(a, Kind::Tx, b"x1");
        story.says(b, Kind::Tx, b"x1");
        story.answer();
        for peer in [a, b] {
            story.hears_error(peer, Kind::Tx.name(), wire::code::INVALID_PAYLOAD);
        }
        story.hears_nothing(c);
    });
}

#[test]
fn the_operators_transaction_goes_to_all() {
    story(|story| {
        let all = friends(story);
        let transaction = Bytes::from_static(b"v1");
        let id = blake3::hash(&transaction).as_bytes().to_owned().into();
        story.ledger_says(Answer::NewTransaction { id, transaction });
        for peer in all {
            story.hears(peer, Kind::Tx);
            story.hears_nothing(peer);
        }
    });
}

#[test]
fn a_block_is_relayed_when_it_became_the_tip_durably() {
    story(|story| {
        let [a, b, c] = friends(story);
        let block = ledger::chain(1, 1)[0].clone();
        story.is_prompt = false;
        story.says(a, Kind::Block, &block);
        story.hears_nothing(b);
        story.answer();
        assert_eq!(story.hears(b, Kind::Block), block);
        assert_eq!(story.hears(c, Kind::Block), block);
        story.says(b, Kind::Block, &block);
        story.all_hear_nothing(&[a, b, c]);
    });
}

#[test]
fn a_block_off_the_main_chain_is_not_relayed() {
    story(|story| {
        let [a, b, _] = friends(story);
        for block in &ledger::chain(2, 1) {
            story.says(a, Kind::Block, block);
        }
        story.skip(b);
        story.says(a, Kind::Block, &ledger::chain(1, 2)[0]);
        story.hears_nothing(b);
    });
}

#[test]
fn an_orphans_ancestors_are_fetched_and_only_the_tip_is_relayed() {
    story(|story| {
        let [a, b, _] = friends(story);
        let blocks = ledger::chain(4, 1);
        story.says(a, Kind::Block, &blocks[3]);
        for wanted in [2, 1, 0] {
            assert_eq!(story.hears(a, Kind::GetBlock), ledger::hash(&blocks[wanted]).0.as_slice());
            story.hears_nothing(a);
            story.says(a, Kind::Block, &blocks[wanted]);
        }
        assert_eq!(story.ledger.tip.height, 4);
        assert_eq!(story.hears(b, Kind::Block), blocks[3]);
        story.hears_nothing(b);
        story.hears_nothing(a);
    });
}

#[test]
fn orphans_of_a_peer_are_few_and_the_oldest_leaves() {
    story(|story| {
        let [a, b, _] = friends(story);
        // Nobody delivers the parents: 100 branches of two, of which the upper block is sent.
        let tops: Vec<_> = (0..100).map(|nonce| ledger::chain(2, 10 + nonce)).collect();
        for branch in &tops {
            story.says(a, Kind::Block, &branch[1]);
        }
        story.skip(a);
        for branch in &tops {
            story.says(b, Kind::Block, &branch[0]);
        }
        let held: Vec<_> =
            tops.iter().filter(|branch| story.ledger.blocks.contains_key(&ledger::hash(&branch[1]))).collect();
        assert_eq!(held.len(), 64);
        assert_eq!(ledger::hash(&held[0][1]), ledger::hash(&tops[36][1]));
    });
}

#[test]
fn parents_are_wanted_of_orphans_that_are_held_and_of_no_others() {
    story(|story| {
        let [a, ..] = friends(story);
        for nonce in 0..1_000 {
            story.says(a, Kind::Block, &ledger::chain(2, 10 + nonce)[1]);
        }
        let stock = story.engine.stock();
        let wanted = stock.iter().find(|stock| stock.name == "wanted blocks").unwrap();
        assert!((1..=64 + 128).contains(&wanted.count), "{}", wanted.count);
    });
}

#[test]
fn the_host_can_send_to_every_ready_peer() {
    story(|story| {
        let all = friends(story);
        let block = ledger::chain(1, 1)[0].clone();
        story.act(P2pAction::BroadcastMessage { kind: 0, payload: Bytes::from_static(b"v1") });
        story.act(P2pAction::BroadcastMessage { kind: 1, payload: block.clone() });
        story.act(P2pAction::BroadcastMessage { kind: 2, payload: block.clone() });
        story.act(P2pAction::BroadcastMessage { kind: 0, payload: vec![0; (1 << 20) + 1].into() });
        for peer in all {
            assert_eq!(story.hears(peer, Kind::Tx), b"v1".as_slice());
            assert_eq!(story.hears(peer, Kind::Block), block);
            story.hears_nothing(peer);
        }
    });
}

#[test]
fn a_mempool_is_asked_for_once_when_the_peers_tip_is_known() {
    story(|story| {
        let peer = story.ready("10.0.0.9:1", &ledger::chain(3, 1));
        for block in [2, 1, 0] {
            assert_eq!(story.hears(peer, Kind::GetBlock), ledger::hash(&ledger::chain(3, 1)[block]).0.as_slice());
            story.hears_nothing(peer);
            story.says(peer, Kind::Block, &ledger::chain(3, 1)[block]);
        }
        assert_eq!(story.ledger.tip.height, 3);
        story.hears(peer, Kind::GetMempool);
        let friend = story.friend("10.0.0.8:1");
        story.bytes(
            peer,
            &wire::mempool(&[Bytes::from_static(b"v1"), Bytes::from_static(b"n2"), Bytes::from_static(b"v3")]),
        );
        assert_eq!(story.hears(friend, Kind::Tx), b"v1".as_slice());
        assert_eq!(story.hears(friend, Kind::Tx), b"v3".as_slice());
        story.hears_nothing(peer);
        story.says(peer, Kind::Mempool, &[0; 4]);
        story.wait(Duration::from_secs(25));
        story.hears_nothing(peer);
    });
}

#[test]
fn mempools_are_read_a_few_at_a_time_and_a_silent_one_blocks_nobody() {
    story(|story| {
        let peers: Vec<_> = (10..16).map(|host| story.ready(&format!("10.0.0.{host}:1"), &[])).collect();
        for peer in &peers[..4] {
            story.hears(*peer, Kind::GetMempool);
        }
        story.hears_nothing(peers[4]);
        story.says(peers[0], Kind::Mempool, &[0; 4]);
        story.hears(peers[4], Kind::GetMempool);
        story.hears_nothing(peers[5]);
        story.wait(Duration::from_secs(10));
        story.hears(peers[5], Kind::GetMempool);
        // Late, and read all the same.
        story.bytes(peers[1], &wire::mempool(&[Bytes::from_static(b"v1")]));
        assert_eq!(story.ledger.pool.len(), 1);
    });
}
