//! Blocks whose parents are not held (Kaspa spec, section 4.4).

use crate::dag::hash_of;
use crate::make::{self, block_on, block_on_nothing, block_with, line_on};
use crate::relaying::tip;
use crate::stage::*;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlockOutcome, Fault, Hash};
use polypeer_kaspa::wire::{Envelope, Hashes, Kind, OptionalHashes, RequestBlockLocator};
use std::time::Duration;

const PEER: &str = "10.0.0.9:40000";

/// The peer is asked for a locator of this block. Under which number.
fn is_asked_for_locator(stage: &mut Stage, peer: ConnectionId, block: Hash) -> u32 {
    let request = stage.hears_one(peer, Kind::RequestBlockLocator);
    assert_eq!(RequestBlockLocator::decode(&request.body), Ok(RequestBlockLocator { high: block, limit: 9 }));
    assert_ne!(request.request_id, 0);
    request.request_id
}

/// The peer brings an orphan and says that it is near.
fn brings_orphan(stage: &mut Stage, peer: ConnectionId, orphan: &Bytes) {
    stage.relays(peer, orphan);
    let id = is_asked_for_locator(stage, peer, hash_of(orphan));
    let locator = [hash_of(orphan), make::hash(1), hash_of(tip())];
    stage.answers(peer, Kind::BlockLocator, &make::hashes(locator), id);
}

#[test]
fn an_orphan_that_is_near_waits_for_its_root() {
    story(|stage| {
        let [peer, other] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
        let line = line_on(tip(), 2, 1);
        brings_orphan(stage, peer, &line[1]);
        let id = stage.is_asked_for(peer, hash_of(&line[0]));
        stage.hears_nothing(other);
        assert_eq!(stage.stock("orphans"), 1);
        stage.answers(peer, Kind::Block, &line[0], id);
        let told: Vec<_> = stage.hears(other).into_iter().map(|inv| inv.body).collect();
        assert_eq!(told, [&line[0], &line[1]].map(|block| make::hashes([hash_of(block)])));
        assert_eq!((stage.stock("orphans"), stage.stock("bytes of orphans")), (0, 0));
        stage.is_well(peer);
    });
}

#[test]
fn an_orphan_that_is_far_begins_a_sync() {
    story(|stage| {
        let peer = stage.guest(PEER);
        let orphan = block_on_nothing(&[make::hash(5)], 1);
        stage.relays(peer, &orphan);
        let id = is_asked_for_locator(stage, peer, hash_of(&orphan));
        let locator = [hash_of(&orphan), make::hash(5), make::hash(6)];
        stage.answers(peer, Kind::BlockLocator, &make::hashes(locator), id);
        let request = stage.hears_one(peer, Kind::RequestIbdChainBlockLocator);
        assert_eq!(OptionalHashes::decode(&request.body), Ok(OptionalHashes::default()));
        assert!(stage.ledger.is_catching_up);
        assert_eq!(stage.stock("orphans"), 0);
    });
}

#[test]
fn a_locator_may_repeat_entries_and_may_not_be_longer_than_asked() {
    story(|stage| {
        let peer = stage.guest(PEER);
        let line = line_on(tip(), 2, 1);
        stage.relays(peer, &line[1]);
        let id = is_asked_for_locator(stage, peer, hash_of(&line[1]));
        let locator = [hash_of(&line[1]), hash_of(tip()), hash_of(tip()), hash_of(tip())];
        stage.answers(peer, Kind::BlockLocator, &make::hashes(locator), id);
        stage.is_asked_for(peer, hash_of(&line[0]));
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        let line = line_on(tip(), 2, 1);
        stage.relays(peer, &line[1]);
        let id = is_asked_for_locator(stage, peer, hash_of(&line[1]));
        stage.answers(peer, Kind::BlockLocator, &make::hashes((0..10).map(make::hash)), id);
        stage.is_rejected(peer, "Number of entries is over the limit");
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        let line = line_on(tip(), 2, 1);
        stage.relays(peer, &line[1]);
        is_asked_for_locator(stage, peer, hash_of(&line[1]));
        stage.says(peer, Kind::BlockLocator, &make::hashes([hash_of(tip())]));
        stage.is_cut(peer);
    });
    story(|stage| {
        let peer = stage.guest(PEER);
        let line = line_on(tip(), 2, 1);
        stage.relays(peer, &line[1]);
        is_asked_for_locator(stage, peer, hash_of(&line[1]));
        stage.wait(seconds(120));
        stage.is_rejected(peer, "timeout expired after 120s");
    });
}

/// Roots of roots are asked for without another locator, and all of them are told on from below.
#[test]
fn a_line_of_orphans_is_resolved_from_below() {
    story(|stage| {
        let [peer, other] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
        let line = line_on(tip(), 40, 1);
        brings_orphan(stage, peer, &line[39]);
        for block in line[..39].iter().rev() {
            let id = stage.is_asked_for(peer, hash_of(block));
            stage.answers(peer, Kind::Block, block, id);
        }
        let told: Vec<Bytes> = stage.hears(other).into_iter().map(|inv| inv.body).collect();
        let wanted: Vec<Bytes> = line.iter().map(|block| make::hashes([hash_of(block)])).collect();
        assert_eq!(told, wanted);
        assert_eq!(stage.stock("orphans"), 0);
        assert_eq!(stage.ledger.dag.sink(), hash_of(&line[39]));
    });
}

#[test]
fn an_orphan_with_several_roots_waits_for_all_of_them() {
    story(|stage| {
        let [peer, other] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
        let roots = [1, 2, 3].map(|salt| block_on(&[tip()], salt));
        let orphan = block_on(&[&roots[0], &roots[1], &roots[2]], 9);
        brings_orphan(stage, peer, &orphan);
        let requests = stage.hears(peer);
        assert_eq!(requests.len(), 3);
        for request in requests {
            let hash = Hashes::decode(&request.body, 1).expect("one").iter().next().expect("one");
            let root = roots.iter().find(|root| hash_of(root) == hash).expect("a root");
            assert_eq!(stage.stock("orphans"), 1);
            stage.answers(peer, Kind::Block, root, request.request_id);
        }
        assert_eq!(stage.stock("orphans"), 0);
        assert_eq!(stage.hears(other).len(), 4);
    });
}

#[test]
fn whoever_announces_an_orphan_is_asked_for_its_roots() {
    story(|stage| {
        let [a, b, c] = [PEER, "10.0.0.8:40000", "10.0.0.7:40000"].map(|remote| stage.guest(remote));
        let line = line_on(tip(), 2, 1);
        brings_orphan(stage, a, &line[1]);
        stage.is_asked_for(a, hash_of(&line[0]));
        // The root is on its way from the first: the next is asked when that takes too long.
        stage.announces(b, hash_of(&line[1]));
        stage.hears_nothing(b);
        stage.wait(Duration::from_secs(2));
        stage.is_asked_for(b, hash_of(&line[0]));
        stage.hang_up(a);
        stage.hang_up(b);
        stage.announces(c, hash_of(&line[1]));
        let id = stage.is_asked_for(c, hash_of(&line[0]));
        stage.answers(c, Kind::Block, &line[0], id);
        assert_eq!(stage.ledger.dag.sink(), hash_of(&line[1]));
    });
}

#[test]
fn nothing_stands_on_an_invalid_root() {
    story(|stage| {
        let [a, b] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
        let line = line_on(tip(), 3, 1);
        stage.ledger.outcomes.insert(hash_of(&line[0]), BlockOutcome::Invalid(Fault::Bits));
        brings_orphan(stage, a, &line[2]);
        for block in [&line[1], &line[0]] {
            let id = stage.is_asked_for(a, hash_of(block));
            stage.answers(a, Kind::Block, block, id);
        }
        stage.is_rejected(a, Fault::Bits.text());
        assert_eq!(stage.stock("orphans"), 0);
        stage.is_well(b);
    });
}

/// A descendant that proves wrong is its author's fault, and nobody is refused for it.
#[test]
fn an_invalid_descendant_is_only_dropped() {
    story(|stage| {
        let [a, b] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
        let line = line_on(tip(), 3, 1);
        brings_orphan(stage, a, &line[2]);
        let id = stage.is_asked_for(a, hash_of(&line[1]));
        stage.answers(a, Kind::Block, &line[1], id);
        let id = stage.is_asked_for(a, hash_of(&line[0]));
        stage.ledger.outcomes.insert(hash_of(&line[1]), BlockOutcome::Invalid(Fault::BlueScore));
        stage.answers(a, Kind::Block, &line[0], id);
        assert_eq!(stage.stock("orphans"), 0);
        stage.hears_of(b, hash_of(&line[0]));
        stage.is_well(a);
    });
}

/// The same block twice, before it is decided how near it is: no worker is lost over it.
#[test]
fn a_block_that_comes_twice_is_decided_on_once() {
    story(|stage| {
        let peer = stage.guest(PEER);
        let line = line_on(tip(), 2, 1);
        let locators = [(); 2].map(|()| {
            stage.relays(peer, &line[1]);
            is_asked_for_locator(stage, peer, hash_of(&line[1]))
        });
        let locator = make::hashes([hash_of(tip())]);
        stage.answers(peer, Kind::BlockLocator, &locator, locators[0]);
        let id = stage.is_asked_for(peer, hash_of(&line[0]));
        stage.answers(peer, Kind::BlockLocator, &locator, locators[1]);
        stage.answers(peer, Kind::Block, &line[0], id);
        stage.hears_nothing(peer);
        for salt in 11..=20 {
            stage.announces(peer, hash_of(&block_on(&[tip()], salt)));
        }
        assert_eq!(stage.hears(peer).len(), 5, "all workers are free again");
    });
}

#[test]
fn a_large_orphan_is_not_kept() {
    story(|stage| {
        let peer = stage.guest(PEER);
        let parent = block_on(&[tip()], 1);
        let large = block_with(&[&parent], 2, &[make::transaction(1), make::transaction_with(2, 1_000_000)]);
        brings_orphan(stage, peer, &large);
        assert_eq!(stage.stock("orphans"), 0);
        stage.hears_one(peer, Kind::RequestIbdChainBlockLocator);
    });
}

/// All on one parent that nobody has: the peer is asked for it once, and goes on with its other workers.
fn floods(stage: &mut Stage, peer: ConnectionId, parent: Hash, salts: std::ops::Range<u64>) {
    for salt in salts {
        let orphan = block_on_nothing(&[parent], salt);
        stage.announces(peer, hash_of(&orphan));
        let wanted = make::hashes([hash_of(&orphan)]);
        let words = [(Kind::RequestRelayBlocks, Kind::Block), (Kind::RequestBlockLocator, Kind::BlockLocator)];
        for (request, answer) in words {
            // Without credit it is not asked for, and while a sync runs not asked where it stands.
            let is_it = |it: &Envelope| it.kind == request && it.body.starts_with(&wanted);
            let Some(asked) = stage.hears(peer).into_iter().find(is_it) else { break };
            let body = if answer == Kind::Block { orphan.clone() } else { make::hashes([hash_of(make::genesis())]) };
            stage.answers(peer, answer, &body, asked.request_id);
        }
    }
}

#[test]
fn one_peer_has_a_share_of_the_pool_and_the_oldest_make_room() {
    story(|stage| {
        let peers: Vec<_> = (1..=5).map(|at| stage.guest(&format!("10.0.1.{at}:40000"))).collect();
        for (peer, number) in peers.iter().zip(0_u64..) {
            floods(stage, *peer, make::hash(number), number * 1_000..number * 1_000 + 256);
            assert_eq!(stage.stock("orphans"), (256 * (number as usize + 1)).min(1_024));
        }
        assert!(!stage.ledger.is_catching_up);
        // Of the last one's nothing more is kept: it may be so far ahead.
        floods(stage, peers[4], make::hash(4), 9_000..9_001);
        assert_eq!(stage.stock("orphans"), 1_024);
        assert!(stage.ledger.is_catching_up);
        stage.is_well(peers[0]);
    });
}

/// One peer brings 100,000 orphans: what is kept of them stays the same, and it pays for the look at each.
#[test]
fn a_flood_of_orphans_changes_nothing() {
    let mut stage = Stage::new(holding(2));
    let [peer, honest] = [PEER, "10.0.0.8:40000"].map(|remote| stage.guest(remote));
    let root = make::hash(1);
    for round in 0..1_000 {
        floods(&mut stage, peer, root, round * 100..(round + 1) * 100);
        assert!(stage.stock("orphans") <= 256 && stage.stock("bytes of orphans") <= 256 * 512);
        stage.wait(Duration::from_millis(10));
        stage.digests.clear();
    }
    stage.is_well(honest);
    stage.ends();
}
