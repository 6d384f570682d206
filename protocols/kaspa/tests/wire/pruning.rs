//! What a pruning point commits to: its outputs (spec 5.5) and its lanes (5.7).

use super::fixtures::body;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::{LanesTree, MuHash, blake3, lane_leaf, lane_proof_root};
use polypeer_kaspa::wire::{Header, Items, SmtLane, SmtMetadata, Utxo, decode_lanes};
use proptest::collection::btree_map;
use proptest::prelude::*;

fn elements() -> Vec<Vec<u8>> {
    let element = |bytes: Bytes| {
        let mut element = Vec::new();
        Utxo::decode(&bytes).expect("an output").element(&mut element);
        element
    };
    let chunks = ["utxo_chunk_full", "utxo_chunk_last"].map(|name| Items::decode(&body(name), 1000).expect("a chunk"));
    chunks.iter().flat_map(|chunk| chunk.iter().collect::<Vec<_>>()).map(element).collect()
}

#[test]
fn the_outputs_of_a_pruning_point_are_its_commitment() {
    let points = Items::decode(&body("pruning_points"), 9).expect("headers");
    let point = Header::decode(points.slices().last().expect("four")).expect("a header");
    let (mut forwards, mut backwards) = (MuHash::default(), MuHash::default());
    let elements = elements();
    assert_eq!(elements.len(), 1824);
    elements.iter().for_each(|element| forwards.add(element));
    assert_eq!(forwards.finish(), point.utxo_commitment);
    elements.iter().rev().for_each(|element| backwards.add(element));
    assert_eq!(backwards.finish(), point.utxo_commitment);
    let mut other = MuHash::default();
    elements.iter().skip(1).for_each(|element| other.add(element));
    assert_ne!(other.finish(), point.utxo_commitment);
}

#[test]
fn no_outputs_have_the_commitment_of_the_spec() {
    let empty = "544eb3142c000f0ad2c76ac41f4222abbababed830eeafee4b6dc56b52d5cac0";
    assert_eq!(MuHash::default().finish().to_string(), empty);
}

fn lanes() -> Vec<(Hash, Hash, Vec<u8>)> {
    let lanes = decode_lanes(&body("smt_lane_chunk")).expect("five");
    let lane = |bytes: &[u8]| {
        let lane = SmtLane::decode(bytes).expect("a lane");
        (lane.key, lane_leaf(&lane.tip, lane.blue_score), lane.proof.to_vec())
    };
    lanes.slices().map(lane).collect()
}

#[test]
fn the_lanes_of_a_pruning_point_have_their_root() {
    let metadata = SmtMetadata::decode(&body("smt_metadata")).expect("metadata");
    let mut tree = LanesTree::default();
    for (key, leaf, _) in &lanes() {
        assert!(tree.push(key, leaf));
        assert!(!tree.clone().push(key, leaf), "keys rise");
    }
    assert_eq!(tree.root(), metadata.lanes_root);
}

#[test]
fn the_first_lane_is_proved_and_any_other_byte_is_not() {
    let root = SmtMetadata::decode(&body("smt_metadata")).expect("metadata").lanes_root;
    let (key, leaf, proof) = lanes().swap_remove(0);
    assert_eq!(lane_proof_root(&key, &leaf, &proof), Some(root));
    for at in 0..proof.len() {
        let mut wrong = proof.clone();
        wrong[at] ^= 0x01;
        assert_ne!(lane_proof_root(&key, &leaf, &wrong), Some(root), "{at}");
        assert_ne!(lane_proof_root(&key, &leaf, &proof[..at]), Some(root), "{at}");
    }
    let longer = [&proof[..], &[0; 32]].concat();
    assert_eq!(lane_proof_root(&key, &leaf, &longer), None);
    let mut other = leaf;
    other.0[31] ^= 1;
    assert_ne!(lane_proof_root(&key, &other, &proof), Some(root));
    assert_ne!(lane_proof_root(&other, &leaf, &proof), Some(root));
}

// Section 5.7 taken literally.
fn root_by_halves(depth: usize, lanes: &[(Hash, Hash)]) -> Hash {
    let node = |left: Hash, right: Hash| blake3("SeqCommitActiveNode", &[&left.0, &right.0]);
    match lanes {
        [] => (depth..256).fold(Hash::ZERO, |hash, _| node(hash, hash)),
        [(key, leaf)] => blake3("SeqCommitActiveCollapsedNode", &[&key.0, &leaf.0]),
        _ => {
            let is_left = |(key, _): &(Hash, Hash)| key.0[depth / 8] >> (7 - depth % 8) & 1 == 0;
            let (left, right) = lanes.split_at(lanes.partition_point(is_left));
            node(root_by_halves(depth + 1, left), root_by_halves(depth + 1, right))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Keys of few different bits part deep down.
    #[test]
    fn a_tree_that_grows_has_the_root_of_its_halves(
        lanes in btree_map((0..3_u8, 0..4_u8, any::<u8>()), any::<[u8; 32]>(), 0..12),
    ) {
        let key = |(first, middle, last)| {
            let mut key = [first; 32];
            (key[7], key[31]) = (middle, last);
            Hash(key)
        };
        let lanes: Vec<(Hash, Hash)> = lanes.into_iter().map(|(place, leaf)| (key(place), Hash(leaf))).collect();
        let mut tree = LanesTree::default();
        for (key, leaf) in &lanes {
            prop_assert!(tree.push(key, leaf));
        }
        prop_assert_eq!(tree.root(), root_by_halves(0, &lanes));
    }
}
