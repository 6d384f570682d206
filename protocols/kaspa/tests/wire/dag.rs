//! Checks hashes against each other: a whole simnet, and a pruning point's commitments.

use super::fixtures::{body, dag, manifest};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::sequencing_commitment;
use polypeer_kaspa::wire::{BlockBody, BlockView, Header, Items, ProofChunk, SmtMetadata, join};
use std::collections::BTreeMap;

#[test]
fn every_block_of_a_simnet_hangs_on_those_before_it() {
    let mut scores = BTreeMap::new();
    let mut work = Default::default();
    for message in &dag() {
        let block = BlockView::decode(message).expect("a block");
        let header = block.header().expect("a header");
        assert_eq!(block.merkle_root(), Ok(header.hash_merkle_root));
        assert!(header.parents.hashes().iter().all(|parent| scores.contains_key(parent)), "parents come first");
        let highest = header.direct_parents().iter().map(|parent| scores[parent]).max();
        assert!(highest.is_none_or(|highest| highest < header.blue_score));
        assert!(header.blue_work >= work);
        work = header.blue_work;
        assert_eq!(header.direct_parents().is_empty(), scores.is_empty(), "only genesis has none");
        assert_eq!(scores.insert(header.hash(), header.blue_score), None);
    }
    let facts = manifest().into_iter().find(|facts| facts["file"] == "dag_simnet.bin").expect("an entry");
    assert_eq!(facts["blocks"], scores.len());
    let sink = const_hex::decode_to_array(facts["sink"].as_str().expect("a hash")).expect("a hash");
    assert_eq!(scores.get(&Hash(sink)), Some(&1080));
}

#[test]
fn the_selected_chain_is_walked_by_first_parents() {
    let headers: BTreeMap<Hash, Header> = dag()
        .iter()
        .map(|message| BlockView::decode(message).and_then(|block| block.header()).expect("a block"))
        .map(|header| (header.hash(), header))
        .collect();
    let facts = manifest().into_iter().find(|facts| facts["file"] == "dag_simnet.bin").expect("an entry");
    let mut at = Hash(const_hex::decode_to_array(facts["sink"].as_str().expect("a hash")).expect("a hash"));
    let mut chain = vec![at];
    while let Some(parent) = headers[&at].direct_parents().first() {
        at = *parent;
        chain.push(at);
    }
    chain.reverse();
    assert_eq!(facts["chain_blocks"], chain.len());
    let every_100: Vec<String> = chain.iter().step_by(100).map(const_hex::encode).collect();
    assert_eq!(facts["chain_every_100"], serde_json::json!(every_100));
}

#[test]
fn a_block_is_its_header_and_its_body() {
    for message in &dag() {
        let block = BlockView::decode(message).expect("a block");
        let apart = block.body();
        assert_eq!(join(block.header, &apart).as_ref(), Ok(message));
        assert_eq!(BlockBody::decode(&apart).and_then(|body| body.merkle_root()), block.merkle_root());
    }
    let block = body("block_with_txs");
    assert_eq!(BlockView::decode(&block).expect("a block").body(), body("block_body_with_txs"));
}

#[test]
fn the_parts_of_a_pruning_point_give_its_commitment() {
    let metadata = SmtMetadata::decode(&body("smt_metadata")).expect("metadata");
    let points = Items::decode(&body("pruning_points"), 9).expect("headers");
    let point = Header::decode(points.slices().last().expect("four")).expect("a header");
    let proof = ProofChunk::decode(&body("proof_chunk_level_0")).expect("a chunk");
    let headers: BTreeMap<Hash, Header> = proof
        .headers
        .slices()
        .map(|bytes| Header::decode(bytes).expect("a header"))
        .map(|header| (header.hash(), header))
        .collect();
    let parent = &headers[&point.direct_parents()[0]];
    assert_eq!(metadata.parent_commitment, parent.accepted_id_merkle_root);
    let mut shortcut = parent;
    while shortcut.blue_score > point.blue_score - 100 - 1 {
        shortcut = &headers[&shortcut.direct_parents()[0]];
    }
    let commitment = sequencing_commitment(
        &shortcut.accepted_id_merkle_root,
        &metadata.lanes_root,
        &metadata.payload_and_context,
        &metadata.parent_commitment,
    );
    assert_eq!(commitment, point.accepted_id_merkle_root);
}
