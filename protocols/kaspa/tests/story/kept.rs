//! A pruned network's state, served as it was imported (Kaspa spec, sections 4.6.6 to 4.6.9).

use crate::importing::{A, fresh};
use crate::make;
use crate::recorded::{genesis, point, relay_block, said_ahead};
use crate::stage::*;
use crate::staged::Staged;
use bytes::Bytes;
use polypeer_engine::ConnectionId;
use polypeer_kaspa::ledger::{BlueWork, Standing, State};
use polypeer_kaspa::wire::{self, Envelope, Header, Items, Kind, OneHash, TrustedData, Version};

/// A node that has imported what the real node said.
fn imported() -> Setting {
    let mut setting = fresh();
    let mut staged = Staged::default();
    stage_imported(&mut staged);
    setting.ledger.imported = Some(staged);
    setting
}

fn stage_imported(staged: &mut Staged) {
    let items = |kind: Kind| {
        let lists = said_ahead(kind).into_iter().map(|body| Items::decode(body, 1 << 20).expect("a list"));
        lists.flat_map(|list| list.iter().collect::<Vec<_>>()).collect::<Vec<Bytes>>()
    };
    for body in said_ahead(Kind::PruningPointProofChunk) {
        let chunk = wire::ProofChunk::decode(body).expect("a chunk");
        staged.proof.entry(chunk.level).or_default().extend(chunk.headers.iter());
    }
    staged.points = items(Kind::PruningPoints);
    staged.trusted = items(Kind::TrustedDataChunk);
    let block = |body: &&Bytes| body.slice_ref(wire::BlockWithTrustedData::decode(body).expect("a block").0);
    staged.blocks = said_ahead(Kind::BlockWithTrustedDataV4).iter().map(block).collect();
    let metadata = wire::SmtMetadata::decode(said_ahead(Kind::SmtMetadata)[0]).expect("metadata");
    let hashes = [metadata.lanes_root.0, metadata.payload_and_context.0, metadata.parent_commitment.0].concat();
    staged.metadata = vec![[&hashes[..], &metadata.lane_count.to_be_bytes()].concat().into()];
    staged.lanes = items(Kind::SmtLaneChunk);
    staged.outputs = items(Kind::PruningPointUtxoSetChunk);
}

/// Whoever asks such a node, once it has said where it stands.
fn served(change: impl Fn(&mut Staged), version: u32, tell: impl Fn(&mut Stage, ConnectionId)) {
    let mut setting = imported();
    if let Some(staged) = &mut setting.ledger.imported {
        change(staged);
    }
    setting.is_asleep = true;
    story_of(&setting, |stage| {
        let genesis = Header::decode(&genesis()).expect("a header").hash();
        let sink = Standing { hash: relay_block(), blue_work: BlueWork([1; 24]), ..Standing::default() };
        let state = State { sink, header_tip: sink, pruning_point: point(), genesis };
        stage.is_told(state);
        let version = Version { protocol_version: version, ..stage.new_version() };
        let peer = stage.guest_as(A, &version);
        tell(stage, peer);
    });
}

fn bodies_of(heard: &[Envelope], kind: Kind) -> Vec<&Bytes> {
    heard.iter().filter(|envelope| envelope.kind == kind).map(|envelope| &envelope.body).collect()
}

#[test]
fn what_was_imported_is_served_as_it_came() {
    served(
        |_| {},
        11,
        |stage, peer| {
            stage.asks(peer, Kind::RequestPruningPointProof, &[], 4);
            stage.asks(peer, Kind::RequestPruningPointAndItsAnticone, &[], 5);
            let heard = stage.hears(peer);
            let kinds = [
                (Kind::PruningPointProofChunk, 4),
                (Kind::PruningPointProofChunksEnd, 4),
                (Kind::PruningPoints, 5),
                (Kind::TrustedDataChunk, 5),
                (Kind::TrustedDataChunksEnd, 5),
                (Kind::BlockWithTrustedDataV4, 5),
                (Kind::DoneBlocksWithTrustedData, 5),
            ];
            let mut order: Vec<_> = heard.iter().map(|envelope| (envelope.kind, envelope.response_id)).collect();
            order.dedup();
            assert_eq!(order, kinds);
            for (kind, _) in kinds {
                assert_eq!(bodies_of(&heard, kind), said_ahead(kind), "{kind:?}");
            }
            stage.asks(peer, Kind::RequestPruningPointSmtState, &OneHash(point()).encode(), 6);
            stage.asks(peer, Kind::RequestPruningPointUtxoSet, &OneHash(point()).encode(), 7);
            let heard = stage.hears(peer);
            assert!(heard.iter().all(|envelope| envelope.response_id == 0), "these never carry an id");
            let kinds = [
                Kind::SmtMetadata,
                Kind::SmtLaneChunk,
                Kind::PruningPointUtxoSetChunk,
                Kind::DonePruningPointUtxoSetChunks,
            ];
            assert_eq!(heard.iter().map(|envelope| envelope.kind).collect::<Vec<_>>(), kinds);
            for kind in kinds {
                assert_eq!(bodies_of(&heard, kind), said_ahead(kind), "{kind:?}");
            }
            stage.is_well(peer);
        },
    );
}

#[test]
fn version_ten_gets_proof_and_trusted_data_whole() {
    served(
        |_| {},
        10,
        |stage, peer| {
            stage.asks(peer, Kind::RequestPruningPointProof, &[], 4);
            let proof = stage.hears_one(peer, Kind::PruningPointProof);
            let levels = Items::decode(&proof.body, 251).expect("levels");
            let of_level = |(level, it): (u8, Bytes)| {
                let chunks = said_ahead(Kind::PruningPointProofChunk);
                let chunk = wire::ProofChunk::decode(chunks[250 - usize::from(level)]).expect("a chunk");
                Items::decode(&it, 1 << 20).is_ok_and(|level| level.iter().eq(chunk.headers.iter()))
            };
            assert_eq!(levels.len(), 251);
            assert!((0..=250).zip(levels.iter()).all(of_level), "from the lowest level up");
            stage.asks(peer, Kind::RequestPruningPointAndItsAnticone, &[], 5);
            let heard = stage.hears(peer);
            let trusted = bodies_of(&heard, Kind::TrustedData);
            assert_eq!((trusted.len(), bodies_of(&heard, Kind::TrustedDataChunk).len()), (1, 0));
            let TrustedData { blocks, .. } = TrustedData::decode(trusted[0], 1 << 20).expect("trusted data");
            assert_eq!(blocks.encode(), *said_ahead(Kind::TrustedDataChunk)[0]);
        },
    );
}

/// Answers the node's word with the peer's until nothing more comes. How many of these came before each word.
fn counts(stage: &mut Stage, peer: ConnectionId, of: Kind, word: Kind) -> Vec<usize> {
    let mut counts = Vec::new();
    loop {
        let heard = stage.hears(peer);
        counts.push(bodies_of(&heard, of).len());
        let ends = [Kind::DoneBlocksWithTrustedData, Kind::DonePruningPointUtxoSetChunks];
        if heard.iter().any(|envelope| ends.contains(&envelope.kind)) || heard.is_empty() {
            return counts;
        }
        stage.says(peer, word, &[]);
        if !stage.is_open(peer) {
            return counts;
        }
    }
}

#[test]
fn long_answers_wait_for_the_peers_word() {
    let long = |staged: &mut Staged| {
        staged.blocks = vec![staged.blocks[0].clone(); 250];
        staged.lanes = vec![staged.lanes[0].clone(); 4_096 * 21 + 1];
        staged.metadata = vec![[&staged.metadata[0][..96], &86_017_u64.to_be_bytes()].concat().into()];
        staged.outputs = vec![staged.outputs[0].clone(); 1_000 * 99 * 2];
    };
    served(long, 11, |stage, peer| {
        stage.asks(peer, Kind::RequestPruningPointAndItsAnticone, &[], 5);
        let word = Kind::RequestNextPruningPointAndItsAnticoneBlocks;
        assert_eq!(counts(stage, peer, Kind::BlockWithTrustedDataV4, word), [99, 99, 52]);
        stage.says(peer, Kind::RequestPruningPointUtxoSet, &OneHash(point()).encode());
        let word = Kind::RequestNextPruningPointUtxoSetChunk;
        // A full chunk is never the last one: an empty one follows, and then the end.
        assert_eq!(counts(stage, peer, Kind::PruningPointUtxoSetChunk, word), [99, 99, 1]);
        stage.says(peer, Kind::RequestPruningPointSmtState, &OneHash(point()).encode());
        let word = Kind::RequestNextPruningPointSmtChunk;
        assert_eq!(counts(stage, peer, Kind::SmtLaneChunk, word), [10, 10, 2]);
        // The last word was one too many.
        stage.is_rejected(
            peer,
            "expected message type/s Payload::RequestPruningPointSmtState but got Some(RequestNextPruningPointSmtChunk)",
        );
    });
}

#[test]
fn another_pruning_point_is_not_ours_and_a_second_stream_waits_for_the_first() {
    served(
        |staged| staged.blocks = vec![staged.blocks[0].clone(); 250],
        11,
        |stage, peer| {
            for kind in [Kind::RequestPruningPointSmtState, Kind::RequestPruningPointUtxoSet] {
                stage.says(peer, kind, &OneHash(make::hash(4)).encode());
                assert_eq!(stage.hears_one(peer, Kind::UnexpectedPruningPoint).response_id, 0);
            }
            stage.says(peer, Kind::RequestPruningPointAndItsAnticone, &[]);
            stage.hears(peer);
            stage.says(peer, Kind::RequestPruningPointAndItsAnticone, &[]);
            stage.is_rejected(
                peer,
                "expected message type/s Payload::RequestNextPruningPointAndItsAnticoneBlocks but got \
                 Some(RequestPruningPointAndItsAnticone)",
            );
        },
    );
}

/// An import that is not whole, or gone: an honest refusal.
#[test]
fn what_is_not_held_is_refused() {
    let kinds = [
        Kind::RequestPruningPointProof,
        Kind::RequestPruningPointAndItsAnticone,
        Kind::RequestPruningPointSmtState,
        Kind::RequestPruningPointUtxoSet,
    ];
    for kind in kinds {
        served(
            |_| {},
            11,
            |stage, peer| {
                stage.ledger.imported = None;
                stage.says(peer, kind, &OneHash(point()).encode());
                stage.is_rejected(peer, "the pruning point's state is not held");
            },
        );
    }
}
