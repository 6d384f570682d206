//! Serves blocks, chain, mempool and addresses as peers read them (AnYa spec, section 3).

use crate::ledger;
use crate::story::{Story, config, info, p2p, story, story_with};
use bytes::Bytes;
use polypeer_anya::Config;
use polypeer_anya::wire::{self, Kind, code};
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::chain::Request;
use std::time::Duration;

const PEER: &str = "10.0.0.9:5000";

fn grow(story: &mut Story, count: u64, body: &[u8]) -> Vec<Bytes> {
    let blocks = ledger::chain_on(&ledger::genesis(), count, 1, body);
    let other = story.friend("10.0.0.99:1");
    for block in &blocks {
        story.says(other, Kind::Block, block);
        story.skip(other);
    }
    assert_eq!(story.ledger.tip.height, count);
    blocks
}

fn asks(story: &mut Story, peer: ConnectionId, block: &Bytes) {
    story.says(peer, Kind::GetBlock, &ledger::hash(block).0);
}

#[test]
fn blocks_are_answered_in_order_and_unknown_ones_with_an_error() {
    story(|story| {
        let blocks = grow(story, 3, b"");
        let peer = story.friend(PEER);
        let abandoned = ledger::chain(1, 5)[0].clone();
        story.says(peer, Kind::Block, &abandoned);
        story.is_prompt = false;
        asks(story, peer, &blocks[2]);
        story.says(peer, Kind::GetBlock, &[7; 32]);
        asks(story, peer, &ledger::genesis());
        asks(story, peer, &abandoned);
        story.says(peer, Kind::GetBlock, &[8; 32]);
        story.says(peer, Kind::Ping, &[]);
        story.hears(peer, Kind::Pong);
        story.is_prompt = true;
        story.answer();
        assert_eq!(story.hears(peer, Kind::Block), blocks[2]);
        story.hears_error(peer, Kind::GetBlock.name(), code::INVALID_PAYLOAD);
        assert_eq!(story.hears(peer, Kind::Block), ledger::genesis());
        assert_eq!(story.hears(peer, Kind::Block), abandoned);
        story.hears_error(peer, Kind::GetBlock.name(), code::INVALID_PAYLOAD);
        assert!(story.engine.state().peers[&peer].slips.is_empty(), "no fault");
    });
}

#[test]
fn answers_are_made_as_the_peer_reads() {
    story(|story| {
        let blocks = grow(story, 40, &[1; 100_000]);
        let peer = story.friend(PEER);
        story.reads = false;
        for block in &blocks {
            asks(story, peer, block);
        }
        let queued: usize = story.lines[&peer].sent.iter().map(Bytes::len).sum();
        assert!(queued < 4 << 20, "{queued} bytes for a peer that does not read");
        // Others are served meanwhile, and so is this one's other direction.
        let other = story.friend("10.0.0.8:1");
        asks(story, other, &blocks[0]);
        assert_eq!(story.hears(other, Kind::Block), blocks[0]);
        story.says(peer, Kind::Tx, b"v");
        story.hears(other, Kind::Tx);
        story.reads = true;
        story.wait(Duration::from_secs(1));
        for block in &blocks {
            assert_eq!(story.hears(peer, Kind::Block), block);
        }
        story.hears_nothing(peer);
    });
}

#[test]
fn a_peer_with_too_many_requests_waiting_is_closed() {
    story(|story| {
        let peer = story.friend(PEER);
        story.is_prompt = false;
        for _ in 0..1_024 {
            story.says(peer, Kind::GetBlock, &[7; 32]);
        }
        assert!(story.is_open(peer));
        let asked = story.asked.iter().filter(|(_, request)| matches!(request, Request::Block(_))).count();
        assert!(asked <= 32, "{asked} blocks are looked for at once");
        story.says(peer, Kind::GetBlock, &[7; 32]);
        story.is_cut(peer);
    });
}

#[test]
fn five_thousand_frames_at_once_are_all_served() {
    story(|story| {
        let peer = story.friend(PEER);
        for _ in 0..5_000 {
            story.says(peer, Kind::Ping, &[]);
        }
        for _ in 0..5_000 {
            story.hears(peer, Kind::Pong);
        }
        for number in 0..5_000_u32 {
            story.says(peer, Kind::Tx, &[b"v", number.to_be_bytes().as_slice()].concat());
        }
        assert_eq!(story.ledger.pool.len(), 5_000);
        story.is_prompt = false;
        for number in 5_000..10_000_u32 {
            story.says(peer, Kind::Tx, &[b"v", number.to_be_bytes().as_slice()].concat());
        }
        story.answer();
        assert_eq!(story.ledger.pool.len(), 10_000);
        assert!(story.is_open(peer));
    });
}

#[test]
fn pings_of_a_peer_that_does_not_read_are_bounded() {
    story(|story| {
        let peer = story.friend(PEER);
        story.reads = false;
        for _ in 0..20_000 {
            story.says(peer, Kind::Ping, &[]);
        }
        assert!(!story.is_open(peer));
        assert!(story.lines[&peer].sent.len() < 10_000);
    });
}

#[test]
fn the_chain_is_told_with_waypoints_of_the_formula() {
    for height in [0, 1, 63, 64, 65, 200, 1_000] {
        story(|story| {
            let blocks = grow(story, height, b"");
            let peer = story.friend(PEER);
            for _ in 0..2 {
                story.says(peer, Kind::GetBlockchainInfo, &[]);
                let answer = story.hears(peer, Kind::BlockchainInfo);
                assert_eq!(answer, wire::payload(&info(&blocks)));
            }
            let before = ledger::block(blocks.last().unwrap_or(&ledger::genesis()), 9, 0, b"");
            let other = story.friend("10.0.0.98:1");
            story.says(other, Kind::Block, &before);
            story.skip(peer);
            story.says(peer, Kind::GetBlockchainInfo, &[]);
            let answer = story.hears(peer, Kind::BlockchainInfo);
            assert_eq!(answer, wire::payload(&info(&[blocks.clone(), vec![before]].concat())));
        });
    }
}

#[test]
fn who_asks_before_the_ledger_spoke_is_answered_then() {
    let once = || {
        let mut story = Story::silent(config(), p2p());
        let peer = story.greeted(PEER);
        story.says(peer, Kind::GetBlockchainInfo, &[]);
        story.hears_nothing(peer);
        story.is_prompt = true;
        story.answer();
        story.wait(Duration::from_secs(1));
        story.hears(peer, Kind::BlockchainInfo);
        story.log
    };
    assert_eq!(once(), once());
}

#[test]
fn the_mempool_is_sent_as_it_fits() {
    let config = Config { mempool_bytes_max: 4 + 3 * 6, ..config() };
    story_with(config, p2p(), |story| {
        let other = story.friend("10.0.0.99:1");
        for transaction in [b"v1", b"v2", b"v3", b"v4"] {
            story.says(other, Kind::Tx, transaction);
        }
        let peer = story.friend(PEER);
        story.says(peer, Kind::GetMempool, &[]);
        let expected = wire::mempool(&[&b"v1"[..], b"v2", b"v3"].map(Bytes::from_static));
        assert_eq!(story.hears(peer, Kind::Mempool), wire::payload(&expected));
    });
}
