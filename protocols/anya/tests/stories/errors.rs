//! Shows every row of the error table (AnYa spec, section 5).

use crate::ledger::{self, EARLY, WORTHLESS, WRONG};
use crate::story::{address, config, info, p2p, story, story_with};
use polypeer_anya::Config;
use polypeer_anya::wire::{self, Kind, code, name};
use std::time::Duration;

const PEER: &str = "10.0.0.9:5000";

/// Every type and the most bytes that its payload may have.
const LIMITS: [(Kind, u32); 15] = [
    (Kind::Connect, 64),
    (Kind::ConnectionAccepted, 32),
    (Kind::Disconnect, 0),
    (Kind::DisconnectAck, 0),
    (Kind::Ping, 0),
    (Kind::Pong, 0),
    (Kind::Tx, 1 << 20),
    (Kind::Block, 4 << 20),
    (Kind::GetBlock, 32),
    (Kind::GetBlockchainInfo, 0),
    (Kind::BlockchainInfo, 163_949),
    (Kind::GetMempool, 0),
    (Kind::Mempool, 32 << 20),
    (Kind::GetPeers, 0),
    (Kind::Peers, 32_004),
];

#[test]
fn a_payload_over_its_limit_is_refused_at_the_header() {
    for (kind, limit) in LIMITS {
        for length in [limit + 1, 1 << 31, u32::MAX] {
            story(|story| {
                let peer = story.friend(PEER);
                story.bytes(peer, &[kind.name().as_slice(), &length.to_be_bytes()].concat());
                story.is_refused(peer, kind.name(), code::INVALID_PAYLOAD);
            });
        }
    }
}

#[test]
fn limits_that_are_settings_hold() {
    let small = Config { tx_bytes_max: 3, block_bytes_max: 4, mempool_bytes_max: 100, ..config() };
    for (kind, limit) in [(Kind::Tx, 3), (Kind::Block, 4), (Kind::Mempool, 100)] {
        story_with(small.clone(), p2p(), |story| {
            let peer = story.friend(PEER);
            story.says(peer, kind, &vec![b'v'; limit + 1]);
            story.is_refused(peer, kind.name(), code::INVALID_PAYLOAD);
        });
    }
}

#[test]
fn a_header_may_wait_for_its_payload() {
    for (kind, limit) in LIMITS.into_iter().filter(|(kind, limit)| *limit > 64 && *kind != Kind::Mempool) {
        story(|story| {
            let peer = story.friend(PEER);
            story.bytes(peer, &[kind.name().as_slice(), &limit.to_be_bytes()].concat());
            story.hears_nothing(peer);
            assert!(story.is_open(peer));
        });
    }
}

#[test]
fn an_error_is_never_answered() {
    for payload in [&[][..], &[0], &[0xff; 64], &[name("error"), code::INVALID_MESSAGE].concat()] {
        story(|story| {
            let peer = story.friend(PEER);
            for _ in 0..100 {
                story.says(peer, Kind::Error, payload);
            }
            story.hears_nothing(peer);
            assert!(story.is_open(peer));
        });
    }
    story(|story| {
        let peer = story.friend(PEER);
        story.says(peer, Kind::Error, &[0; 65]);
        story.is_cut(peer);
    });
}

#[test]
fn unknown_types_are_skipped_and_kept() {
    story(|story| {
        let peer = story.friend(PEER);
        for length in [0_usize, 1, 1 << 20] {
            let header = [name("weather").as_slice(), &(length as u32).to_be_bytes()].concat();
            story.bytes(peer, &header);
            story.hears_error(peer, name("weather"), code::UNKNOWN_MESSAGE_TYPE);
            story.bytes(peer, &vec![0xff; length]);
            story.says(peer, Kind::Ping, &[]);
            story.hears(peer, Kind::Pong);
        }
        for _ in 0..5_000 {
            story.says(peer, Kind::Ping, &[]);
            story.bytes(peer, &[name("weather").as_slice(), &[0; 4]].concat());
        }
        assert!(story.is_open(peer), "no fault, however often");
    });
    for length in [(1_u32 << 20) + 1, u32::MAX] {
        story(|story| {
            let peer = story.friend(PEER);
            story.bytes(peer, &[name("weather").as_slice(), &length.to_be_bytes()].concat());
            story.is_refused(peer, name("weather"), code::UNKNOWN_MESSAGE_TYPE);
        });
    }
}

#[test]
fn what_is_not_served_is_unsupported() {
    let config = Config { serve_mempool: false, serve_peers: false, ..config() };
    story_with(config, p2p(), |story| {
        let peer = story.friend(PEER);
        for _ in 0..30 {
            for kind in [Kind::GetMempool, Kind::GetPeers] {
                story.says(peer, kind, &[]);
                story.hears_error(peer, kind.name(), code::UNSUPPORTED_MESSAGE_TYPE);
            }
        }
        assert!(story.is_open(peer));
        story.says(peer, Kind::GetPeers, &[1]);
        story.is_refused(peer, Kind::GetPeers.name(), code::INVALID_PAYLOAD);
    });
}

#[test]
fn a_block_that_does_not_parse_or_breaks_a_rule_ends_it() {
    let parent = ledger::genesis();
    let mut unrooted = ledger::block(&parent, 1, 0, b"body").to_vec();
    unrooted.push(0);
    let bad = [
        Vec::new(),
        vec![0; ledger::HEADER - 1],
        ledger::block(&parent, 1, WORTHLESS, b"").to_vec(),
        ledger::block(&parent, 1, WRONG, b"").to_vec(),
        unrooted,
    ];
    for block in bad {
        story(|story| {
            let (peer, other) = (story.friend(PEER), story.friend("10.0.0.8:1"));
            story.says(peer, Kind::Block, &block);
            story.is_refused(peer, Kind::Block.name(), code::INVALID_PAYLOAD);
            story.hears_nothing(other);
            assert!(story.is_open(other), "nobody else notices");
        });
    }
}

#[test]
fn a_bad_body_says_nothing_about_the_hash() {
    story(|story| {
        let (liar, peer) = (story.friend(PEER), story.friend("10.0.0.8:1"));
        let good = ledger::block(&ledger::genesis(), 1, 0, b"body");
        let mut bad = good.to_vec();
        bad.push(0);
        story.is_prompt = false;
        story.says(liar, Kind::Block, &bad);
        story.says(peer, Kind::Block, &good);
        story.is_prompt = true;
        story.answer();
        story.is_refused(liar, Kind::Block.name(), code::INVALID_PAYLOAD);
        assert_eq!(story.ledger.tip.hash, ledger::hash(&good));
        assert!(story.is_open(peer));
    });
}

#[test]
fn other_payloads_that_do_not_parse_are_kept() {
    let mut later = wire::payload(&info(&[])).to_vec();
    later[0] = 2;
    let short = wire::payload(&info(&[]))[1..].to_vec();
    story(|story| {
        let peer = story.greeted(PEER);
        story.says(peer, Kind::BlockchainInfo, &later);
        story.hears_error(peer, Kind::BlockchainInfo.name(), code::INVALID_PAYLOAD);
        assert!(story.is_open(peer));
        story.wait(Duration::from_secs(10));
        story.hears(peer, Kind::GetBlockchainInfo);
        story.says(peer, Kind::BlockchainInfo, &short);
        story.hears_error(peer, Kind::BlockchainInfo.name(), code::INVALID_PAYLOAD);
        for length in 0..32 {
            story.says(peer, Kind::GetBlock, &vec![1; length]);
            story.hears_error(peer, Kind::GetBlock.name(), code::INVALID_PAYLOAD);
            story.wait(Duration::from_secs(15));
            story.says(peer, Kind::Pong, &[]);
            story.skip(peer);
        }
        assert!(story.is_open(peer));
    });
}

#[test]
fn waypoints_that_do_not_run_from_genesis_to_the_tip_are_refused() {
    let blocks = ledger::chain(200, 1);
    let good = wire::payload(&info(&blocks)).to_vec();
    let (head, waypoint) = (109, 40);
    let mut bad = Vec::new();
    for (at, flip) in
        [(head + 7, 1), (head + 8, 1), (head + waypoint + 7, 255), (good.len() - 1, 1), (81 + 7, 1), (49, 1)]
    {
        let mut info = good.clone();
        info[at] ^= flip;
        bad.push(info);
    }
    let mut none = good[..head].to_vec();
    none[head - 4..].copy_from_slice(&[0; 4]);
    bad.extend([none, [&good[..], &[0]].concat(), good[..good.len() - waypoint].to_vec()]);
    let mut many = good.clone();
    many[head - 4..head].copy_from_slice(&u32::MAX.to_be_bytes());
    bad.push(many);
    for info in bad {
        story(|story| {
            let peer = story.greeted(PEER);
            story.says(peer, Kind::BlockchainInfo, &info);
            story.hears_error(peer, Kind::BlockchainInfo.name(), code::INVALID_PAYLOAD);
            story.hears_nothing(peer);
        });
    }
}

#[test]
fn a_transaction_that_is_never_valid_is_a_fault_and_one_that_waits_is_none() {
    story(|story| {
        let (peer, other) = (story.friend(PEER), story.friend("10.0.0.8:1"));
        for bad in [&b"x1"[..], b""] {
            story.says(peer, Kind::Tx, bad);
            story.hears_error(peer, Kind::Tx.name(), code::INVALID_PAYLOAD);
        }
        for _ in 0..50 {
            story.says(peer, Kind::Tx, b"n1");
        }
        story.hears_nothing(peer);
        story.hears_nothing(other);
        assert!(story.is_open(peer));
    });
}

#[test]
fn a_bad_transaction_in_a_mempool_ends_its_reading() {
    story(|story| {
        let peer = story.ready(PEER, &[]);
        story.hears(peer, Kind::GetMempool);
        let all = [&b"v1"[..], b"x2", b"v3", b"v4", b"v5"].map(bytes::Bytes::from_static);
        story.bytes(peer, &wire::mempool(&all));
        story.hears_error(peer, Kind::Mempool.name(), code::INVALID_PAYLOAD);
        assert!(story.is_open(peer));
        assert_eq!(story.ledger.pool, all[..1], "nothing behind the bad one is looked at");
    });
}

#[test]
fn a_mempool_that_does_not_parse_is_kept_and_none_of_it_used() {
    let good = wire::mempool(&[bytes::Bytes::from_static(b"v1"), bytes::Bytes::from_static(b"v2")]);
    let good = wire::payload(&good);
    let counts = [&[0, 0, 0, 3], &good[4..]].concat();
    let lengths = [&good[..4], &[0xff; 4], &good[8..]].concat();
    for bad in [&good[..good.len() - 1], &[good, &[0]].concat(), &counts, &lengths, &[], &[0; 3]] {
        story(|story| {
            let peer = story.ready(PEER, &[]);
            story.hears(peer, Kind::GetMempool);
            story.says(peer, Kind::Mempool, bad);
            story.hears_error(peer, Kind::Mempool.name(), code::INVALID_PAYLOAD);
            assert!(story.is_open(peer) && story.ledger.pool.is_empty());
        });
    }
}

#[test]
fn one_bad_address_in_peers_spoils_all() {
    let (good, mut bad) = (wire::address(address("10.0.0.50:1")), wire::address(address("10.0.0.51:1")));
    bad[17] = 0;
    bad[16] = 0;
    let cases = [
        ([&[0, 0, 0, 2][..], &good, &bad].concat(), code::INVALID_NETWORK_ADDRESS),
        ([&[0, 0, 0, 1][..], &good, &good].concat(), code::INVALID_PAYLOAD),
        ([&[0, 0, 0, 2][..], &good].concat(), code::INVALID_PAYLOAD),
        (vec![0, 0, 0], code::INVALID_PAYLOAD),
    ];
    for (payload, code) in cases {
        story(|story| {
            let peer = story.dial(PEER);
            story.says(peer, Kind::ConnectionAccepted, &wire::address(address(PEER)));
            story.bytes(peer, &info(&[]));
            story.skip(peer);
            story.says(peer, Kind::Peers, &payload);
            story.hears_error(peer, Kind::Peers.name(), code);
            assert!(story.is_open(peer));
            assert!(story.engine.state().discovery.book.get(address("10.0.0.50:1")).is_none());
        });
    }
}

#[test]
fn kept_faults_are_borne_for_a_while_then_not() {
    story(|story| {
        let peer = story.friend(PEER);
        for _ in 0..5 {
            story.says(peer, Kind::DisconnectAck, &[]);
            story.hears_error(peer, Kind::DisconnectAck.name(), code::INVALID_MESSAGE);
        }
        assert!(story.is_open(peer));
        while story.is_open(peer) {
            story.says(peer, Kind::DisconnectAck, &[]);
        }
        assert!(story.engine.state().bans.get(story.both_clocks(), address(PEER).ip()).is_some());
    });
    story(|story| {
        let peer = story.friend(PEER);
        for _ in 0..100 {
            story.says(peer, Kind::DisconnectAck, &[]);
            story.wait(Duration::from_secs(10));
        }
        assert!(story.is_open(peer), "five a minute are borne for ever");
    });
}

#[test]
fn loopback_is_disconnected_and_never_banned() {
    story(|story| {
        let peer = story.friend("127.0.0.1:5000");
        story.says(peer, Kind::Block, &[]);
        story.is_refused(peer, Kind::Block.name(), code::INVALID_PAYLOAD);
        assert!(story.engine.state().bans.all(story.both_clocks()).next().is_none());
        story.friend("127.0.0.1:5001");
    });
}

#[test]
fn what_honest_peers_do_to_each_other_is_no_fault() {
    story(|story| {
        let peer = story.friend(PEER);
        let blocks = ledger::chain(3, 1);
        let early = ledger::block(&blocks[2], 1, EARLY, b"");
        for block in [&blocks[0], &blocks[0], &blocks[2], &blocks[2], &blocks[1], &early, &early] {
            story.says(peer, Kind::Block, block);
        }
        for transaction in [b"v1", b"v1", b"n1", b"n1"] {
            story.says(peer, Kind::Tx, transaction);
        }
        assert_eq!(story.ledger.tip.height, 3);
        story.hears(peer, Kind::GetBlock);
        story.hears_nothing(peer);
        assert!(story.is_open(peer));
        assert!(story.engine.state().peers[&peer].slips.is_empty());
    });
}
