//! Sources that say something wrong while we catch up (Kaspa spec, sections 4.6.2 and 4.6.5).

use crate::catching_up::{ahead, behind, everything, is};
use crate::dag::{hash_of, header_bytes};
use crate::make::{self, line_on};
use crate::relaying::tip;
use crate::stage::*;
use crate::syncer::{Syncer, list};
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlockOutcome, Fault, Hash};
use polypeer_kaspa::wire::{Envelope, Hashes, Kind, OptionalHashes};

const A: &str = "10.0.0.9:40000";

/// A source does well until it is asked for this; then something happens.
fn until(kind: Kind, tell: impl Fn(&mut Stage, &mut Syncer, ConnectionId, &Envelope)) {
    story_of(&behind(300), |stage| {
        let mut syncer = Syncer { headers_a_message: 100, ..everything() };
        let peer = ahead(stage, A, &syncer);
        let request = syncer.serves_until(stage, peer, is(kind)).expect("it is asked");
        tell(stage, &mut syncer, peer, &request);
        assert!(!stage.engine.protocol().is_syncing() || stage.is_open(peer), "a sync with nobody");
        let is_whole = |hash: &Hash| stage.ledger.dag.blocks.contains_key(hash);
        assert!(make::dag()[..300].iter().all(|block| is_whole(&hash_of(block))), "what was held stays");
    });
}

#[test]
fn a_locator_has_one_to_sixty_four_entries() {
    until(Kind::RequestIbdChainBlockLocator, |stage, _, peer, _| {
        stage.says(peer, Kind::IbdChainBlockLocator, &[]);
        stage.is_rejected(peer, "invalid block locator");
    });
    until(Kind::RequestIbdChainBlockLocator, |stage, _, peer, _| {
        stage.says(peer, Kind::IbdChainBlockLocator, &make::hashes((0..65).map(make::hash)));
        stage.is_rejected(peer, "Number of entries is over the limit");
    });
}

fn zoomed(stage: &mut Stage, syncer: &mut Syncer, peer: ConnectionId, first: &Envelope) -> [Hash; 2] {
    for (kind, body, id) in syncer.answer(first) {
        stage.answers(peer, kind, &body, id);
    }
    zoom_ends(stage, peer)
}

// Between which blocks a locator is asked for.
fn zoom_ends(stage: &mut Stage, peer: ConnectionId) -> [Hash; 2] {
    let zoom = stage.hears_one(peer, Kind::RequestIbdChainBlockLocator);
    let ends = OptionalHashes::decode(&zoom.body).expect("two hashes");
    [ends.high.expect("a zoom"), ends.low.expect("a zoom")]
}

#[test]
fn a_locator_between_two_blocks_begins_and_ends_with_them() {
    until(Kind::RequestIbdChainBlockLocator, |stage, syncer, peer, first| {
        let [high, low] = zoomed(stage, syncer, peer, first);
        stage.says(peer, Kind::IbdChainBlockLocator, &make::hashes([low, high]));
        stage.is_rejected(peer, "invalid block locator");
    });
}

#[test]
fn a_source_cannot_zoom_for_ever() {
    until(Kind::RequestIbdChainBlockLocator, |stage, syncer, peer, first| {
        let mut zooms = 0;
        let mut ends = Some(zoomed(stage, syncer, peer, first));
        while let Some([high, low]) = ends {
            zooms += 1;
            assert!(zooms < 100);
            stage.says(peer, Kind::IbdChainBlockLocator, &make::hashes([high, make::hash(zooms), low]));
            ends = stage.is_open(peer).then(|| zoom_ends(stage, peer));
        }
        // The first locator had eleven entries, and there are twice as many zooms.
        assert_eq!(zooms, 22);
        stage.is_rejected(peer, "invalid block locator");
    });
}

#[test]
fn an_invalid_block_in_its_chain_is_refused() {
    until(Kind::RequestIbdChainBlockLocator, |stage, _, peer, _| {
        let bad = make::hash(7);
        stage.ledger.dag.invalid.insert(bad);
        stage.says(peer, Kind::IbdChainBlockLocator, &make::hashes([make::hash(8), bad, hash_of(make::genesis())]));
        stage.is_rejected(peer, &format!("sent invalid chain block {bad}"));
    });
}

#[test]
fn headers_without_a_header_are_refused() {
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.says(peer, Kind::BlockHeaders, &[]);
        stage.is_rejected(peer, "Received an empty headers message");
    });
}

#[test]
fn headers_that_end_before_the_sink_are_refused() {
    until(Kind::RequestNextHeaders, |stage, _, peer, _| {
        stage.says(peer, Kind::DoneHeaders, &[]);
        stage.is_rejected(peer, "did not receive syncer's virtual selected parent");
    });
}

#[test]
fn each_message_of_headers_has_its_time() {
    for kind in [Kind::RequestHeaders, Kind::RequestNextHeaders] {
        until(kind, |stage, _, peer, _| {
            stage.wait(seconds(119));
            assert!(stage.is_open(peer));
            stage.wait(seconds(1));
            stage.is_rejected(peer, "timeout expired after 120s");
        });
    }
}

#[test]
fn wrong_headers_are_refused_in_the_ledgers_words() {
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.says(peer, Kind::BlockHeaders, &list(&[Bytes::from_static(b"\x08\x01")]));
        stage.is_rejected(peer, Fault::Malformed.text());
    });
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.says(peer, Kind::BlockHeaders, &list(&[header_bytes(tip())]));
        stage.is_rejected(peer, Fault::Parents.text());
    });
    until(Kind::RequestHeaders, |stage, syncer, peer, request| {
        let bad = hash_of(&make::dag()[310]);
        stage.ledger.outcomes.insert(bad, BlockOutcome::Invalid(Fault::BlueWork));
        for (kind, body, id) in syncer.answer(request) {
            stage.answers(peer, kind, &body, id);
        }
        stage.is_rejected(peer, Fault::BlueWork.text());
        assert!(stage.ledger.dag.blocks.contains_key(&hash_of(&make::dag()[309])), "what came before it is taken");
    });
}

/// A peer that does not wait for our word: two messages ahead of it are borne, and more are slips.
#[test]
fn headers_without_credit_are_not_taken() {
    until(Kind::RequestHeaders, |stage, _, peer, _| {
        stage.is_asleep = true;
        let page = list(&[header_bytes(&make::dag()[300])]);
        for _ in 0..12 {
            stage.says(peer, Kind::BlockHeaders, &page);
        }
        assert_eq!(stage.slips(peer), 10);
        let asked = stage.asked.iter().filter(|(_, request)| format!("{request:?}").starts_with("TakeHeaders")).count();
        assert_eq!(asked, 2, "the ledger gets two");
        for _ in 0..10 {
            stage.says(peer, Kind::BlockHeaders, &page);
        }
        assert!(!stage.is_open(peer));
    });
}

fn antipast(tell: impl Fn(&mut Stage, &mut Syncer, ConnectionId)) {
    story_of(&behind(300), |stage| {
        let side = line_on(&make::dag()[1_060], 3, 5);
        let mut syncer = Syncer::of(&[make::dag(), &side[..]].concat());
        let peer = stage.guest(A);
        stage.announces(peer, hash_of(&side[2]));
        assert!(syncer.serves_until(stage, peer, is(Kind::RequestAntipast)).is_some());
        tell(stage, &mut syncer, peer);
    });
}

#[test]
fn an_antipast_without_the_block_that_began_it_is_refused() {
    antipast(|stage, _, peer| {
        stage.says(peer, Kind::BlockHeaders, &[]);
        stage.says(peer, Kind::DoneHeaders, &[]);
        stage.is_rejected(peer, "did not receive relay block");
    });
    antipast(|stage, _, peer| {
        stage.says(peer, Kind::DoneHeaders, &[]);
        stage.is_rejected(peer, "did not receive relay block");
    });
    antipast(|stage, _, peer| {
        stage.wait(seconds(120));
        stage.is_rejected(peer, "timeout expired after 120s");
    });
}

#[test]
fn an_antipast_has_one_message() {
    antipast(|stage, _, peer| {
        stage.is_asleep = true;
        let page = list(&[header_bytes(&make::dag()[1])]);
        for _ in 0..4 {
            stage.says(peer, Kind::BlockHeaders, &page);
        }
        assert_eq!(stage.slips(peer), 3);
    });
}

fn bodies(tell: impl Fn(&mut Stage, ConnectionId, u32, &[Hash], &[Bytes])) {
    until(Kind::RequestBlockBodies, |stage, syncer, peer, request| {
        let wanted: Vec<Hash> = Hashes::decode(&request.body, 99).expect("hashes").iter().collect();
        let bodies: Vec<Bytes> = syncer.answer(request).into_iter().map(|(_, body, _)| body).collect();
        tell(stage, peer, request.request_id, &wanted, &bodies);
    });
}

#[test]
fn bodies_that_are_swapped_are_refused() {
    bodies(|stage, peer, id, _, bodies| {
        let mut swapped = bodies.to_vec();
        swapped.swap(3, 4);
        swapped.iter().for_each(|body| stage.answers(peer, Kind::BlockBody, body, id));
        stage.is_rejected(peer, "invalid merkle root");
    });
}

#[test]
fn an_empty_body_is_refused() {
    bodies(|stage, peer, id, wanted, bodies| {
        stage.answers(peer, Kind::BlockBody, &bodies[0], id);
        stage.answers(peer, Kind::BlockBody, &[], id);
        stage.is_rejected(peer, &format!("sent empty block body for block {}", wanted[1]));
    });
}

#[test]
fn a_large_body_is_refused() {
    bodies(|stage, peer, id, _, _| {
        let large = list(&[1, 2, 3].map(|salt| make::transaction_with(salt, 800_000)));
        stage.answers(peer, Kind::BlockBody, &large, id);
        stage.is_rejected(peer, "p2p conversion size too large error");
    });
}

#[test]
fn another_message_than_a_body_is_refused() {
    bodies(|stage, peer, id, _, _| {
        stage.answers(peer, Kind::Block, tip(), id);
        stage.is_rejected(peer, "expected message type/s Payload::BlockBody but got Some(Block)");
    });
}

#[test]
fn one_body_more_than_was_asked_for_ends_the_connection() {
    bodies(|stage, peer, id, _, bodies| {
        bodies.iter().chain(&bodies[..1]).for_each(|body| stage.answers(peer, Kind::BlockBody, body, id));
        stage.is_cut(peer);
    });
}

#[test]
fn each_body_has_its_time() {
    bodies(|stage, peer, id, _, bodies| {
        stage.answers(peer, Kind::BlockBody, &bodies[0], id);
        stage.wait(seconds(119));
        stage.answers(peer, Kind::BlockBody, &bodies[1], id);
        assert!(stage.is_open(peer));
        stage.wait(seconds(120));
        stage.is_rejected(peer, "timeout expired after 120s");
        assert_eq!(stage.severity(A), None);
    });
}

/// Today's nodes keep what comes unasked and stumble over it later; here each is a slip.
#[test]
fn what_belongs_to_a_sync_and_comes_unasked_is_borne() {
    let kinds = [
        Kind::BlockHeaders,
        Kind::DoneHeaders,
        Kind::IbdChainBlockLocator,
        Kind::BlockBody,
        Kind::PruningPoints,
        Kind::PruningPointProof,
        Kind::PruningPointProofChunk,
        Kind::PruningPointProofChunksEnd,
        Kind::TrustedData,
        Kind::TrustedDataChunk,
        Kind::TrustedDataChunksEnd,
        Kind::BlockWithTrustedDataV4,
        Kind::DoneBlocksWithTrustedData,
        Kind::SmtMetadata,
        Kind::SmtLaneChunk,
        Kind::PruningPointUtxoSetChunk,
        Kind::DonePruningPointUtxoSetChunks,
        Kind::UnexpectedPruningPoint,
        Kind::IbdBlockLocatorHighestHash,
    ];
    story(|stage| {
        let peer = stage.guest(A);
        for (kind, slips) in kinds.into_iter().zip(1..) {
            stage.says(peer, kind, &[]);
            assert_eq!(stage.slips(peer), slips, "{kind:?}");
        }
        stage.is_well(peer);
        stage.says(peer, Kind::IbdBlockLocatorHighestHashNotFound, &[]);
        assert!(!stage.is_open(peer));
    });
    // Of another peer than the one that we catch up with, too.
    story_of(&behind(300), |stage| {
        let mut syncer = everything();
        let other = stage.guest("10.0.0.7:40000");
        let peer = ahead(stage, A, &syncer);
        let request = syncer.serves_until(stage, peer, is(Kind::RequestHeaders)).expect("headers");
        let page = syncer.answer(&request).remove(0).1;
        stage.says(other, Kind::BlockHeaders, &page);
        assert_eq!((stage.slips(other), stage.ledger.dag.blocks.len()), (1, 300));
        stage.says(peer, Kind::BlockHeaders, &page);
        syncer.serves(stage, peer);
        assert_eq!(stage.ledger.dag.sink(), syncer.dag.sink());
    });
}
