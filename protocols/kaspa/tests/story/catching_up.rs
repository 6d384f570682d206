//! Catching up with a peer that is ahead (Kaspa spec, section 4.6).

use crate::dag::hash_of;
use crate::make::{self, block_on, line_on};
use crate::relaying::tip;
use crate::stage::*;
use crate::syncer::Syncer;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlockOutcome, Hash};
use polypeer_kaspa::wire::{Envelope, Hashes, Kind, OptionalHashes, TwoHashes};
use std::collections::BTreeSet;

const A: &str = "10.0.0.9:40000";
const B: &str = "10.0.0.8:40000";

/// A node that holds so many blocks and is far behind.
pub(crate) fn behind(count: usize) -> Setting {
    Setting { later: seconds(700), ..holding(count) }
}

/// A peer that holds everything announces its newest block.
pub(crate) fn ahead(stage: &mut Stage, remote: &str, syncer: &Syncer) -> ConnectionId {
    let peer = stage.guest(remote);
    stage.announces(peer, syncer.dag.sink());
    peer
}

pub(crate) fn everything() -> Syncer {
    Syncer::of(make::dag())
}

pub(crate) fn is(kind: Kind) -> impl Fn(&Envelope) -> bool {
    move |envelope| envelope.kind == kind
}

fn hash_at(at: usize) -> Hash {
    hash_of(&make::dag()[at])
}

#[test]
fn a_node_with_genesis_alone_ends_at_the_peers_sink() {
    story_of(&behind(1), |stage| {
        let other = stage.guest(B);
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
        assert_eq!(stage.ledger.dag.state(), syncer.dag.state());
        assert_eq!((syncer.headers_given, syncer.bodies_given.len()), (1_080, 1_080));
        let mut order = syncer.asked.clone();
        order.dedup();
        let phases = [
            Kind::RequestRelayBlocks,
            Kind::RequestBlockLocator,
            Kind::RequestIbdChainBlockLocator,
            Kind::RequestHeaders,
            Kind::RequestNextHeaders,
            Kind::RequestBlockBodies,
        ];
        assert_eq!(order, phases);
        let zooms = syncer.asked.iter().filter(|kind| **kind == Kind::RequestIbdChainBlockLocator).count();
        assert!(zooms > 3, "it zooms in step by step");
        assert!(!stage.ledger.is_catching_up && !stage.engine.protocol().is_syncing());
        stage.hears_of(other, syncer.dag.sink());
        stage.is_well(peer);
        assert!(stage.notes().iter().any(|note| note.starts_with("caught up with connection")));
    });
}

#[test]
fn only_what_is_missing_is_asked_for() {
    for held in [2, 300, 700] {
        story_of(&behind(held), |stage| {
            let mut syncer = everything();
            let peer = ahead(stage, A, &syncer);
            syncer.serves(stage, peer);
            assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
            let given: BTreeSet<Hash> = syncer.bodies_given.iter().copied().collect();
            let lacked: BTreeSet<Hash> = make::dag()[held..].iter().map(|block| hash_of(block)).collect();
            assert_eq!((given, syncer.bodies_given.len()), (lacked, 1_081 - held));
        });
    }
}

#[test]
fn headers_come_one_word_at_a_time() {
    for count in [1, 7, 100] {
        story_of(&behind(900), |stage| {
            let mut syncer = Syncer { headers_a_message: count, ..everything() };
            let peer = ahead(stage, A, &syncer);
            syncer.serves(stage, peer);
            assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
            let words = syncer.asked.iter().filter(|kind| **kind == Kind::RequestNextHeaders).count();
            assert_eq!(words, syncer.headers_given.div_ceil(count), "one after each message, the last included");
        });
    }
}

#[test]
fn bodies_are_asked_for_by_ninety_nine_and_three_times_at_once() {
    story_of(&behind(1), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let first = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies");
        let mut requests = vec![first];
        requests.extend(stage.hears(peer));
        let ids: BTreeSet<u32> = requests.iter().map(|request| request.request_id).collect();
        assert_eq!((requests.len(), ids.len(), ids.contains(&0)), (3, 3, false));
        assert!(requests.iter().all(|request| Hashes::decode(&request.body, 99).map(|hashes| hashes.len()) == Ok(99)));
        stage.has_not_heard(peer, &requests);
        syncer.serves(stage, peer);
        assert_eq!(syncer.batches, [[99; 10].to_vec(), vec![90]].concat());
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
}

/// The block that began it is not below the peer's sink: its headers and bodies come too.
#[test]
fn an_antipast_joins_the_block_that_began_it() {
    story_of(&behind(300), |stage| {
        let side = line_on(&make::dag()[1_060], 3, 5);
        let mut syncer = Syncer::of(&[make::dag(), &side[..]].concat());
        assert_eq!(syncer.dag.sink(), hash_of(tip()));
        let peer = stage.guest(A);
        stage.announces(peer, hash_of(&side[2]));
        let request = syncer.serves_until(stage, peer, is(Kind::RequestAntipast)).expect("an antipast");
        let wanted = TwoHashes { low: hash_of(tip()), high: hash_of(&side[2]) };
        assert_eq!(TwoHashes::decode(&request.body), Ok(wanted));
        stage.has_not_heard(peer, &[request]);
        syncer.serves(stage, peer);
        for block in side.iter().chain([tip()]) {
            assert!(stage.ledger.dag.block(&hash_of(block)).is_some());
        }
    });
}

#[test]
fn zooms_are_between_the_highest_known_and_the_lowest_unknown() {
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let mut zooms = 0;
        while let Some(request) = syncer.serves_until(stage, peer, is(Kind::RequestIbdChainBlockLocator)) {
            let asked = OptionalHashes::decode(&request.body).expect("two hashes");
            if let OptionalHashes { low: Some(low), high: Some(high) } = asked {
                assert!(stage.ledger.dag.blocks.contains_key(&low) && !stage.ledger.dag.blocks.contains_key(&high));
                zooms += 1;
            }
            for (kind, body, id) in syncer.answer(&request) {
                stage.answers(peer, kind, &body, id);
            }
        }
        assert!(zooms > 1);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
}

/// The peer's chain changed between two questions: from the start, and within ten seconds.
#[test]
fn an_empty_locator_begins_anew() {
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let is_zoom = |it: &Envelope| it.kind == Kind::RequestIbdChainBlockLocator && !it.body.is_empty();
        for _ in 0..5 {
            assert!(syncer.serves_until(stage, peer, is_zoom).is_some());
            stage.says(peer, Kind::IbdChainBlockLocator, &[]);
        }
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let is_zoom = |it: &Envelope| it.kind == Kind::RequestIbdChainBlockLocator && !it.body.is_empty();
        for _ in 0..33 {
            assert!(syncer.serves_until(stage, peer, is_zoom).is_some());
            stage.says(peer, Kind::IbdChainBlockLocator, &[]);
        }
        stage.is_rejected(peer, "invalid block locator");
    });
}

#[test]
fn each_question_of_the_negotiation_has_its_time() {
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        assert!(syncer.serves_until(stage, peer, is(Kind::RequestIbdChainBlockLocator)).is_some());
        stage.wait(seconds(119));
        assert!(stage.is_open(peer));
        stage.wait(seconds(1));
        stage.is_rejected(peer, "timeout expired after 120s");
    });
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let is_zoom = |it: &Envelope| it.kind == Kind::RequestIbdChainBlockLocator && !it.body.is_empty();
        assert!(syncer.serves_until(stage, peer, is_zoom).is_some());
        stage.wait(seconds(9));
        assert!(stage.is_open(peer));
        stage.wait(seconds(1));
        stage.is_rejected(peer, "timeout expired after 10s");
        assert_eq!(stage.severity(A), None);
    });
}

/// Two peers are ahead; the one that serves leaves. The other goes on, and is asked for nothing that was taken.
#[test]
fn another_goes_on_where_a_source_stopped() {
    let stops: [(Kind, usize); 4] = [
        (Kind::RequestIbdChainBlockLocator, 0),
        (Kind::RequestNextHeaders, 3),
        (Kind::RequestBlockBodies, 0),
        (Kind::RequestBlockBodies, 4),
    ];
    for (kind, passed) in stops {
        for is_silent in [false, true] {
            story_of(&behind(2), |stage| {
                let mut first = Syncer { headers_a_message: 50, ..everything() };
                let mut second = first.clone();
                let [a, b] = [A, B].map(|remote| ahead(stage, remote, &first));
                for _ in 0..passed {
                    let request = first.serves_until(stage, a, is(kind)).expect("it goes on");
                    for (kind, body, id) in first.answer(&request) {
                        stage.answers(a, kind, &body, id);
                    }
                }
                first.serves_until(stage, a, is(kind));
                let headers = stage.ledger.dag.blocks.len();
                let full: BTreeSet<Hash> = full(stage);
                if is_silent {
                    stage.wait(seconds(120));
                    stage.is_rejected(a, "timeout expired after 120s");
                } else {
                    stage.hang_up(a);
                }
                // The other's addresses and pongs are not what this is about.
                second.serves(stage, b);
                assert_eq!(stage.ledger.dag.sink(), second.dag.sink(), "{kind:?} {passed}");
                let again = second.bodies_given.iter().filter(|hash| full.contains(hash)).count();
                assert_eq!(again, 0, "a body that was taken is not asked for again");
                assert!(second.headers_given <= 1_081 - headers + 60, "{} of {headers}", second.headers_given);
            });
        }
    }
}

fn full(stage: &Stage) -> BTreeSet<Hash> {
    let held = stage.ledger.dag.blocks.iter().filter(|(_, held)| held.body.is_some());
    held.map(|(hash, _)| *hash).collect()
}

/// A node that is started again with what it had goes on from there.
#[test]
fn a_restart_goes_on_from_what_is_held() {
    story_of(&behind(2), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        for _ in 0..3 {
            let request = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies");
            for (kind, body, id) in syncer.answer(&request) {
                stage.answers(peer, kind, &body, id);
            }
        }
        let held = full(stage);
        assert!(held.len() > 200);
        let mut again = Stage::new(Setting { ledger: stage.ledger.clone(), ..behind(2) });
        let mut syncer = everything();
        let peer = ahead(&mut again, A, &syncer);
        syncer.serves(&mut again, peer);
        assert_eq!((again.ledger.dag.sink(), syncer.headers_given), (syncer.dag.sink(), 0));
        assert!(syncer.bodies_given.iter().all(|hash| !held.contains(hash)));
        assert_eq!(syncer.bodies_given.len(), 1_081 - held.len());
    });
}

/// What is announced meanwhile waits, and begins the next sync.
#[test]
fn what_is_announced_meanwhile_has_its_turn_afterwards() {
    story_of(&behind(300), |stage| {
        let more = line_on(tip(), 300, 7);
        let mut first = everything();
        let mut second = Syncer::of(&[make::dag(), &more[..]].concat());
        let a = ahead(stage, A, &first);
        assert!(first.serves_until(stage, a, is(Kind::RequestBlockBodies)).is_some_and(|request| {
            stage.has_not_heard(a, &[request]);
            true
        }));
        let b = ahead(stage, B, &second);
        stage.hears_nothing(b);
        first.serves(stage, a);
        second.serves(stage, b);
        assert_eq!(stage.ledger.dag.sink(), hash_of(&more[299]));
    });
}

/// Orphans that a sync brings the parents of are taken then.
#[test]
fn orphans_get_their_parents_by_a_sync() {
    story_of(&holding(1_000), |stage| {
        let [a, b] = [A, B].map(|remote| stage.guest(remote));
        let orphan = block_on(&[tip()], 3);
        // Near, as its locator says; but the peer that has it leaves.
        stage.relays(a, &orphan);
        let request = stage.hears_one(a, Kind::RequestBlockLocator);
        stage.answers(a, Kind::BlockLocator, &make::hashes([hash_at(900)]), request.request_id);
        assert_eq!(stage.stock("orphans"), 1);
        stage.hang_up(a);
        let mut syncer = everything();
        stage.announces(b, syncer.dag.sink());
        // It says of none of its blocks that we hold it.
        let request = syncer.serves_until(stage, b, is(Kind::RequestBlockLocator)).expect("where it stands");
        stage.answers(b, Kind::BlockLocator, &make::hashes([syncer.dag.sink()]), request.request_id);
        syncer.serves(stage, b);
        assert_eq!((stage.ledger.dag.sink(), stage.stock("orphans")), (hash_of(&orphan), 0));
    });
}

/// The ledger is full: the sync ends without blame, and what still comes of it is borne.
#[test]
fn a_full_ledger_ends_a_sync_without_blame() {
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let first = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies");
        let rest = stage.hears(peer);
        let [full, _] = [350, 351].map(hash_at);
        stage.ledger.outcomes.insert(full, BlockOutcome::NoRoom);
        for request in std::iter::once(&first).chain(&rest) {
            for (kind, body, id) in syncer.answer(request) {
                stage.answers(peer, kind, &body, id);
            }
        }
        assert!(!stage.engine.protocol().is_syncing() && stage.is_open(peer));
        assert_eq!((stage.slips(peer), stage.severity(A)), (0, None));
        stage.hears(peer);
        // There is room again: a second sync is not confused by what the first one asked for.
        stage.ledger.outcomes.clear();
        stage.announces(peer, syncer.dag.sink());
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
}

/// Bodies that an earlier sync asked for come while the next one runs with the same peer.
#[test]
fn late_bodies_of_an_earlier_sync_are_not_taken_for_the_nexts() {
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let peer = ahead(stage, A, &syncer);
        let first = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies");
        let late: Vec<Envelope> = stage.hears(peer);
        stage.ledger.outcomes.insert(hash_at(300), BlockOutcome::NoRoom);
        for (kind, body, id) in syncer.answer(&first) {
            stage.answers(peer, kind, &body, id);
        }
        assert!(!stage.engine.protocol().is_syncing());
        stage.ledger.outcomes.clear();
        stage.announces(peer, syncer.dag.sink());
        let next = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies again");
        let more = stage.hears(peer);
        for request in late.iter().chain([&next]).chain(&more) {
            for (kind, body, id) in syncer.answer(request) {
                stage.answers(peer, kind, &body, id);
            }
        }
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
        stage.is_well(peer);
    });
}

/// However fast bodies come, no more is asked for than the ledger can be behind with.
#[test]
fn the_ledger_sets_the_pace() {
    let large = [make::transaction_with(1, 120_000)];
    let mut blocks = vec![make::genesis().clone()];
    for salt in 1..=500 {
        let block = make::block_with(&[&blocks[blocks.len() - 1]], salt, &large);
        blocks.push(block);
    }
    story_of(&behind(1), |stage| {
        let mut syncer = Syncer::of(&blocks);
        let peer = ahead(stage, A, &syncer);
        let first = syncer.serves_until(stage, peer, is(Kind::RequestBlockBodies)).expect("bodies");
        stage.has_not_heard(peer, &[first]);
        stage.is_asleep = true;
        syncer.serves(stage, peer);
        assert_eq!(syncer.bodies_given.len(), 4 * 99, "sixteen times it was given about a MiB");
        stage.awakes();
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
}
