//! The forms of version 10 come as the same pieces.

use crate::syncer::{items, open, piece};
use crate::world::{World, fault, params};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{Import, Keep};
use polypeer_kaspa::wire::{Header, Items, Kind, TrustedBlock, TrustedData, encode_block};
use polypeer_ledger_kaspa::Config;
use std::collections::BTreeSet;

const LEVELS_MAX: usize = 256;
const ITEMS_MAX: usize = 1 << 18;

macro_rules! fixture {
    ($name:literal) => {
        open(include_bytes!(concat!("../../../../protocols/kaspa/tests/fixtures/", $name)))
    };
}

/// A network in a single file, finality 100 and pruning 200; what its node answered to a peer of version 10, as the
/// protocol hands it on.
fn pieces() -> Vec<Import> {
    let proof = fixture!("v10_pruning_point_proof.bin");
    assert_eq!(proof.kind, Kind::PruningPointProof);
    let levels: Vec<Bytes> = items(&proof.body, LEVELS_MAX);
    let levels = levels.iter().enumerate().rev().map(|(level, array)| Import::Proof {
        level: u8::try_from(level).expect("a level"),
        headers: Items::decode(array, ITEMS_MAX).expect("headers").iter().collect(),
    });
    let trusted = TrustedData::decode(&fixture!("v10_trusted_data.bin").body, ITEMS_MAX).expect("trusted data");
    let mut pieces = vec![Import::Begin(Hash([1; 32]))];
    pieces.extend(levels);
    pieces.push(Import::ProofEnd);
    pieces.extend(piece(&fixture!("pruning_points.bin")));
    let blocks: Vec<Bytes> = trusted.blocks.iter().collect();
    let chain = chain_below(&pieces, &blocks);
    pieces.extend([Import::Trusted(blocks), Import::TrustedEnd]);
    pieces.extend(piece(&fixture!("block_with_trusted_data_full.bin")));
    pieces.extend([chain, Import::BlocksEnd]);
    for later in [
        fixture!("smt_metadata.bin"),
        fixture!("smt_lane_chunk.bin"),
        fixture!("utxo_chunk_full.bin"),
        fixture!("utxo_chunk_last.bin"),
    ] {
        pieces.extend(piece(&later));
    }
    pieces.extend([Import::OutputsEnd, Import::Finish]);
    pieces
}

/// The chain below the pruning point down to where lanes begin to count, without the trusted blocks. In a single file
/// it is what the proof has on the lowest level.
fn chain_below(pieces: &[Import], trusted: &[Bytes]) -> Import {
    let hash = |block: &Bytes| {
        let block = TrustedBlock::decode(block).expect("a trusted block");
        Header::decode(block.header).expect("a header").hash()
    };
    let trusted: BTreeSet<Hash> = trusted.iter().map(hash).collect();
    let Some(Import::Proof { headers, .. }) = pieces.iter().find(|it| matches!(it, Import::Proof { level: 0, .. }))
    else {
        panic!("the lowest level")
    };
    let is_below = |bytes: &&Bytes| {
        let header = Header::decode(bytes).expect("a header");
        !trusted.contains(&header.hash()) && header.blue_score >= 199
    };
    Import::Blocks(headers.iter().rev().filter(is_below).map(|header| encode_block(header, [])).collect())
}

#[test]
fn a_whole_proof_and_trusted_data_in_one_are_imported() {
    let mut world = World::open(Config::in_memory(params(100, 200)));
    let pieces = pieces();
    world.give_all(&pieces);
    let state = world.state();
    let point = "0c919476c3742e932438a441212d076e2f16ca5ffe9ca98d4a9206faec20105b";
    let hex: String = state.pruning_point.0.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((hex.as_str(), state.sink.hash, state.sink.blue_score), (point, state.pruning_point, 300));
    assert_eq!(world.kept(Keep::Outputs, 1_000, 1 << 20).map(|outputs| outputs.len()), Some(1_824));
    assert_eq!(world.kept(Keep::Lanes, 1_000, 1 << 20).map(|lanes| lanes.len()), Some(5));
    let Some(Import::Proof { headers, .. }) = pieces.iter().find(|it| matches!(it, Import::Proof { level: 0, .. }))
    else {
        panic!("the lowest level")
    };
    assert_eq!(headers.len(), 301);
    assert_eq!(world.kept(|from| Keep::Proof { level: 0, from: from as u32 }, 100, 1 << 20).as_ref(), Some(headers));
}

#[test]
fn the_same_in_chunks_is_the_same() {
    let proof = piece(&fixture!("proof_chunk_level_0.bin"));
    assert!(pieces().contains(&proof.expect("a piece")));
    let Some(Import::Trusted(chunk)) = piece(&fixture!("trusted_data_chunk.bin")) else { panic!("trusted blocks") };
    let pieces = pieces();
    let Some(Import::Trusted(whole)) = pieces.iter().find(|piece| matches!(piece, Import::Trusted(_))) else {
        panic!("trusted blocks")
    };
    let sorted = |blocks: &[Bytes]| {
        let mut blocks = blocks.to_vec();
        blocks.sort_unstable();
        blocks
    };
    assert_eq!(sorted(&chunk), sorted(whole));
}

#[test]
fn a_window_that_is_cut_short_is_refused() {
    let mut world = World::open(Config::in_memory(params(100, 200)));
    let mut faults = Vec::new();
    for mut piece in pieces() {
        if let Import::Trusted(blocks) = &mut piece {
            blocks.retain({
                let mut place = 0;
                move |_| {
                    place += 1;
                    place % 2 == 0
                }
            });
        }
        faults.extend(fault(&world.give(&piece)));
    }
    assert!(!faults.is_empty());
    assert_eq!(world.state().pruning_point, world.state().genesis);
}
