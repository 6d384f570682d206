//! Catches up, whatever some of the peers do (AnYa spec, sections 3 and 6).

use crate::ledger::{self, Ledger};
use crate::story::{Story, config, info, story};
use bytes::Bytes;
use polypeer_anya::wire::{self, Kind, code};
use polypeer_engine::ConnectionId;
use polypeer_engine::kit::chain::{Hash, Tip};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How a scripted peer answers `get_block`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Honest,
    Mute,
    Ignorant,
    /// Another valid block.
    Wrong,
    /// The right header and a body that does not fit.
    Spoiled,
}

struct Server {
    peer: ConnectionId,
    manner: Manner,
    blocks: BTreeMap<Hash, Bytes>,
    served: usize,
    most_unanswered: usize,
}

fn server(story: &mut Story, host: u8, chain: &[Bytes], manner: Manner) -> Server {
    let peer = story.ready(&format!("10.0.0.{host}:1"), chain);
    let blocks = chain.iter().map(|block| (ledger::hash(block), block.clone())).collect();
    Server { peer, manner, blocks, served: 0, most_unanswered: 0 }
}

/// Lets servers answer until nobody has anything to say.
fn serve(story: &mut Story, servers: &mut [Server]) {
    loop {
        let mut is_quiet = true;
        for server in &mut *servers {
            let line = story.lines.get_mut(&server.peer).expect("it connected");
            let frames: Vec<_> = line.sent.drain(..).collect();
            server.most_unanswered = server.most_unanswered.max(frames.len());
            for frame in frames {
                is_quiet &= !answer(story, server, &frame);
            }
        }
        if is_quiet {
            return;
        }
    }
}

fn answer(story: &mut Story, server: &mut Server, frame: &Bytes) -> bool {
    let peer = server.peer;
    match Kind::of(&wire::name_in(frame)) {
        Some(Kind::GetMempool) => story.says(peer, Kind::Mempool, &[0; 4]),
        Some(Kind::Ping) => story.says(peer, Kind::Pong, &[]),
        Some(Kind::GetBlock) => {
            let hash = wire::decode_hash(wire::payload(frame)).expect("ours");
            let block = server.blocks.get(&hash).cloned();
            match (server.manner, block) {
                (Manner::Mute, _) => return false,
                (Manner::Honest, Some(block)) => {
                    server.served += 1;
                    story.says(peer, Kind::Block, &block);
                }
                (Manner::Spoiled, Some(block)) => story.says(peer, Kind::Block, &[&block, &[0][..]].concat()),
                (Manner::Wrong, _) => story.says(peer, Kind::Block, &ledger::chain(1, 77)[0]),
                _ => story.bytes(peer, &wire::error(&Kind::GetBlock.name(), &code::INVALID_PAYLOAD)),
            }
        }
        _ => return false,
    }
    true
}

fn run(story: &mut Story, servers: &mut [Server], wait: Duration) {
    for _ in 0..wait.as_millis() / 500 {
        serve(story, servers);
        story.wait(SECOND / 2);
    }
    serve(story, servers);
}

#[test]
fn a_chain_comes_from_one_peer_with_at_most_128_requests_open() {
    story(|story| {
        let chain = ledger::chain(9_600, 1);
        let mut servers = [server(story, 9, &chain, Manner::Honest)];
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 9_600);
        assert!(servers[0].most_unanswered <= 128 + 2, "{}", servers[0].most_unanswered);
        assert!(servers[0].most_unanswered >= 100, "{}", servers[0].most_unanswered);
        assert_eq!(servers[0].served, 9_600, "each block once");
        assert_eq!(story.ledger.catching_up, [true, false]);
    });
}

#[test]
fn four_peers_share_the_work() {
    story(|story| {
        let chain = ledger::chain(9_600, 1);
        let mut servers: Vec<_> = (10..14).map(|host| server(story, host, &chain, Manner::Honest)).collect();
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 9_600);
        assert_eq!(servers.iter().map(|server| server.served).sum::<usize>(), 9_600, "each block once");
        let shares: Vec<_> = servers.iter().map(|server| server.served).collect();
        assert!(shares.iter().all(|share| *share > 400), "{shares:?}");
    });
}

#[test]
fn peers_with_tips_of_their_own_share_the_work_too() {
    story(|story| {
        let chain = ledger::chain(5_003, 1);
        let mut servers: Vec<_> =
            (0..4).map(|at| server(story, 10 + at, &chain[..5_000 + usize::from(at)], Manner::Honest)).collect();
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 5_003);
        let served: usize = servers.iter().map(|server| server.served).sum();
        assert!(served < 5_500, "{served} blocks for 5,003");
    });
}

#[test]
fn large_blocks_stay_within_the_budget() {
    story(|story| {
        let chain = ledger::chain_on(&ledger::genesis(), 150, 1, &vec![7; 1 << 20]);
        let mut servers: Vec<_> = (10..12).map(|host| server(story, host, &chain, Manner::Honest)).collect();
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 150);
        let served: usize = servers.iter().map(|server| server.served).sum();
        assert!(served < 300, "{served} blocks for 150");
    });
}

#[test]
fn liars_cost_themselves_only() {
    for manner in [Manner::Mute, Manner::Ignorant, Manner::Wrong, Manner::Spoiled] {
        story(|story| {
            let begun = story.now();
            let chain = ledger::chain(2_000, 1);
            let mut servers: Vec<_> = (10..17).map(|host| server(story, host, &chain, manner)).collect();
            servers.push(server(story, 9, &chain, Manner::Honest));
            while story.ledger.tip.height < 2_000 {
                run(story, &mut servers, SECOND);
                assert!(story.now().since(begun) < 5 * SECOND, "at {}", story.ledger.tip.height);
            }
            let honest = servers.last().expect("eight");
            assert!(story.is_open(honest.peer) && story.engine.state().peers[&honest.peer].slips.is_empty());
        });
    }
}

#[test]
fn a_stall_is_over_after_one_timeout() {
    story(|story| {
        let chain = ledger::chain(200, 1);
        let mut servers = vec![server(story, 10, &chain, Manner::Mute)];
        serve(story, &mut servers);
        servers.push(server(story, 9, &chain, Manner::Honest));
        run(story, &mut servers, Duration::from_millis(10_500));
        assert_eq!(story.ledger.tip.height, 200);
    });
}

#[test]
fn what_was_fetched_survives_the_peer() {
    story(|story| {
        let chain = ledger::chain(2_000, 1);
        let mut first = server(story, 10, &chain, Manner::Honest);
        // Half of the way, from the top of each gap down.
        while first.served < 1_000 {
            let frame = story.lines.get_mut(&first.peer).expect("it connected").sent.pop_front().expect("asks on");
            answer(story, &mut first, &frame);
        }
        story.gone(first.peer);
        let mut servers = [server(story, 9, &chain, Manner::Honest)];
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 2_000);
        assert!(servers[0].served <= 1_001, "{} fetched again", servers[0].served - 1_000);
    });
}

#[test]
fn a_claim_of_endless_work_stops_neither_the_others_nor_the_producer() {
    story(|story| {
        let chain = ledger::chain(500, 1);
        let mut boast = wire::payload(&info(&chain)).to_vec();
        boast[89..105].copy_from_slice(&[0xff; 16]);
        for at in 0..8 {
            boast[109 + 40 * (at + 1) + 8] ^= 1;
        }
        let tip: [u8; 32] = boast[boast.len() - 32..].try_into().expect("a hash");
        boast[49..81].copy_from_slice(&tip);
        let liar = story.greeted("10.0.0.10:1");
        story.says(liar, Kind::BlockchainInfo, &boast);
        assert_eq!(story.ledger.catching_up, Vec::<bool>::new());
        let mut servers = [server(story, 9, &chain, Manner::Honest)];
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 500);
        run(story, &mut servers, 30 * SECOND);
        assert_eq!(story.ledger.catching_up, [true, false]);
    });
}

#[test]
fn a_gap_is_followed_as_far_as_its_heights_allow() {
    story(|story| {
        // A branch of 1,000 blocks, of which the claim says that it begins 10 below its top.
        let branch = ledger::chain(1_000, 3);
        let genesis = ledger::hash(&ledger::genesis());
        let tip = Tip { hash: ledger::hash(&branch[999]), height: 10, work: 99, genesis };
        let lie = wire::info(&config().network_id, &tip, &[(0, genesis), (10, tip.hash)]);
        let blocks = branch.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let peer = story.greeted("10.0.0.10:1");
        story.bytes(peer, &lie);
        let mut servers = [Server { peer, manner: Manner::Honest, blocks, served: 0, most_unanswered: 0 }];
        run(story, &mut servers, 20 * SECOND);
        assert!(servers[0].served <= 3, "{}", servers[0].served);

        // The heights fit, the lower end does not.
        let (ours, theirs) = (ledger::chain(100, 1), ledger::chain(200, 2));
        let waypoints = [(0, genesis), (100, ledger::hash(&ours[99])), (200, ledger::hash(&theirs[199]))];
        let tip = Tip { hash: waypoints[2].1, height: 200, work: 201, genesis };
        let peer = story.greeted("10.0.0.11:1");
        story.bytes(peer, &wire::info(&config().network_id, &tip, &waypoints));
        let blocks = theirs.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let mut servers = [Server { peer, manner: Manner::Honest, blocks, served: 0, most_unanswered: 0 }];
        run(story, &mut servers, 5 * SECOND);
        assert!(servers[0].served <= 100, "{}", servers[0].served);
        assert!(story.is_open(peer), "a claim is no fault");
    });
}

#[test]
fn an_invalid_block_in_the_middle_leaves_the_best_valid_chain() {
    story(|story| {
        let good = ledger::chain(300, 1);
        let mut bad = good[..150].to_vec();
        bad.push(ledger::block(&bad[149], 9, ledger::WRONG, b""));
        let rest = ledger::chain_on(&bad[150], 249, 9, b"");
        bad.extend(rest);
        let mut servers = [server(story, 10, &bad, Manner::Honest), server(story, 9, &good, Manner::Honest)];
        run(story, &mut servers, 5 * SECOND);
        assert_eq!(story.ledger.tip.hash, ledger::hash(&good[299]));
        assert!(!story.is_open(servers[0].peer) && story.is_open(servers[1].peer));
    });
}

#[test]
fn a_peer_that_grows_while_it_is_followed_is_followed_to_its_end() {
    story(|story| {
        let chain = ledger::chain(3_000, 1);
        let mut servers = [server(story, 9, &chain[..2_000], Manner::Honest)];
        servers[0].blocks = chain.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let frame = story.lines.get_mut(&servers[0].peer).expect("it connected").sent.pop_front().expect("asks");
        answer(story, &mut servers[0], &frame);
        story.says(servers[0].peer, Kind::Block, &chain[2_999]);
        loop {
            serve(story, &mut servers);
            let line = story.lines.get_mut(&servers[0].peer).expect("it connected");
            let wants_info =
                line.sent.iter().any(|frame| Kind::of(&wire::name_in(frame)) == Some(Kind::GetBlockchainInfo));
            line.sent.clear();
            if story.ledger.tip.height == 3_000 {
                return;
            }
            let _ = wants_info;
            story.bytes(servers[0].peer, &info(&chain));
            story.wait(SECOND);
            assert!(story.now().as_micros() < 100_000_000, "stuck at {}", story.ledger.tip.height);
        }
    });
}

#[test]
fn a_reorganisation_deeper_than_orphans_allow_is_found() {
    let (short, long) = (ledger::chain(200, 1), ledger::chain(201, 2));
    let once = || {
        let mut story = Story::with(Ledger::with(&short));
        let mut servers = [server(&mut story, 9, &long[..200], Manner::Honest)];
        servers[0].blocks = long.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        serve(&mut story, &mut servers);
        story.says(servers[0].peer, Kind::Block, &long[200]);
        for _ in 0..60 {
            serve(&mut story, &mut servers);
            story.wait(SECOND);
        }
        assert_eq!(story.ledger.tip.height, 201);
        story.log
    };
    assert_eq!(once(), once());
}

fn bare(blocks: &[Bytes]) -> Bytes {
    let genesis = ledger::hash(&ledger::genesis());
    let height = blocks.len() as u64;
    let hash = ledger::hash(blocks.last().expect("a block"));
    let tip = Tip { hash, height, work: u128::from(height) + 1, genesis };
    wire::info(&config().network_id, &tip, &[(0, genesis), (height, hash)])
}

#[test]
fn a_gap_too_large_to_hold_is_fetched_twice_upwards() {
    story(|story| {
        let chain = ledger::chain_on(&ledger::genesis(), 100, 1, &vec![7; 1 << 20]);
        let peer = story.greeted("10.0.0.9:1");
        story.bytes(peer, &bare(&chain));
        let blocks = chain.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let mut servers = [Server { peer, manner: Manner::Honest, blocks, served: 0, most_unanswered: 0 }];
        serve(story, &mut servers);
        assert_eq!(story.ledger.tip.height, 100);
        assert!((130..150).contains(&servers[0].served), "{} blocks for 100", servers[0].served);
    });
}

#[test]
fn a_gap_ends_where_a_held_block_is_met() {
    let chain = ledger::chain(1_010, 1);
    let once = || {
        let mut story = Story::with(Ledger::with(&chain[..1_000]));
        let peer = story.greeted("10.0.0.9:1");
        story.bytes(peer, &bare(&chain));
        let blocks = chain.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let mut servers = [Server { peer, manner: Manner::Honest, blocks, served: 0, most_unanswered: 0 }];
        serve(&mut story, &mut servers);
        assert_eq!(story.ledger.tip.height, 1_010);
        assert!(servers[0].served <= 12, "{}", servers[0].served);
        story.log
    };
    assert_eq!(once(), once());
}

#[test]
fn nobody_can_change_what_another_was_asked_for() {
    story(|story| {
        let chain = ledger::chain_on(&ledger::genesis(), 3, 1, b"body");
        let mut honest = [server(story, 9, &chain, Manner::Honest)];
        let meddler = story.friend("10.0.0.10:1");
        story.says(meddler, Kind::Block, &[&chain[2], &[0][..]].concat());
        story.is_refused(meddler, Kind::Block.name(), code::INVALID_PAYLOAD);
        story.says(honest[0].peer, Kind::Block, &chain[2]);
        serve(story, &mut honest);
        assert_eq!(story.ledger.tip.height, 3);
        assert!(story.is_open(honest[0].peer));
    });
}

#[test]
fn a_block_from_far_above_is_walked_down_from_whatever_its_sender_claims() {
    story(|story| {
        let chain = ledger::chain(300, 1);
        let peer = story.friend("10.0.0.9:1");
        story.says(peer, Kind::Block, &chain[299]);
        let blocks = chain.iter().map(|block| (ledger::hash(block), block.clone())).collect();
        let mut servers = [Server { peer, manner: Manner::Honest, blocks, served: 0, most_unanswered: 0 }];
        serve(story, &mut servers);
        assert_eq!((story.ledger.tip.height, servers[0].served), (300, 299));
        assert_eq!(story.ledger.catching_up, [true, false]);
        story.says(peer, Kind::BlockchainInfo, wire::payload(&info(&chain)));
        story.hears_nothing(peer);
    });
}
