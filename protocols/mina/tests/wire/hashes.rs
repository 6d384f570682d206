//! Poseidon, state hashes and body references are those that are known.

use super::fixtures::*;
use polypeer_mina::binprot::{Binable as _, Fp, Seq};
use polypeer_mina::block::{Body, FirstCoinbase, FirstDiff, Status};
use polypeer_mina::hash::{
    BITSWAP_BLOCK_BYTES_MAX, Hash, blake2b, body_hash, body_reference, poseidon, state_hash, state_hash_above, text,
};
use std::collections::BTreeMap;

fn elements(value: &serde_json::Value) -> Vec<Fp> {
    value.as_array().expect("a list").iter().map(element).collect()
}

fn small(number: u8) -> Fp {
    let mut bytes = [0; 32];
    bytes[0] = number;
    Fp(bytes)
}

#[test]
fn poseidon_is_the_networks() {
    let known = json("vectors/poseidon_kimchi_fp.json")["vectors"].clone();
    assert_eq!(poseidon::permutation([Fp::ZERO; 3]).to_vec(), elements(&known["permutation_of_zero_state"]));
    assert_eq!(poseidon::permutation([1, 2, 3].map(small)).to_vec(), elements(&known["permutation_of_1_2_3"]));
    let two = poseidon::hash("MinaProtoState", &[1, 2].map(small));
    assert_eq!(two, element(&known["hash_MinaProtoState_of_[1,2]"]));
    let three = poseidon::hash("MinaProtoState", &[1, 2, 3].map(small));
    assert_eq!(three, element(&known["hash_MinaProtoState_of_[1,2,3]"]));
    for domain in ["MinaProtoState", "MinaProtoStateBody"] {
        // Nothing is absorbed: the state that the name leads to, permuted once more.
        let [first, second, third] = elements(&known[format!("salt_state_{domain}")])[..] else { panic!("three") };
        assert_eq!(poseidon::hash(domain, &[]), poseidon::permutation([first, second, third])[0]);
    }
}

#[test]
fn states_hash_to_what_is_known() {
    let expected = expected();
    let devnet = file(BLOCK);
    for (name, state) in [
        ("devnet_block_357934", block(&devnet).header.state),
        ("mainnet_protocol_state_359606", state(&file(MAINNET_STATE))),
    ] {
        let known = &expected[name];
        assert_eq!(text::state_hash(&state_hash(&state)), known["state_hash"], "{name}");
        if let Some(known) = known.get("body_hash_le_hex") {
            assert_eq!(Hash::from(body_hash(&state.body)), digits(known), "{name}");
        }
        assert_eq!(Hash::from(state_hash_above(&state.previous, &body_hash(&state.body))), state_hash(&state));
    }
    // The archive's message has the hash behind the block.
    let breadcrumb = file("v2-current/archive-breadcrumb-devnet-357934.bin");
    assert_eq!(state_hash(&block(&devnet).header.state).as_ref(), &breadcrumb[14_681..14_713]);
}

/// The dummy's known hash is of a VRF output whose last byte is 1, and the file has 3: whoever made the value let only the
/// lowest of the last five bits in. No real output shows it, because theirs end with 0. The Rust node, as the rule is
/// written, lets all five in, and so do we.
#[test]
fn all_bits_of_a_vrf_output_are_hashed() {
    let bytes = file(DUMMY_STATE);
    let mut state = state(&bytes);
    assert_eq!(state.body.consensus.last_vrf_output[31], 3);
    assert_eq!(text::state_hash(&state_hash(&state)), "3NKk8JXTPrARmV26Rw4s6DVKLquvzDcpstWrPRtWPSFVpBWoT5rD");
    state.body.consensus.last_vrf_output[31] = 1;
    assert_eq!(text::state_hash(&state_hash(&state)), expected()["dummy_protocol_state"]["state_hash"]);
    // Three bits of the last byte are none of the output's.
    let known = state_hash(&state);
    state.body.consensus.last_vrf_output[31] |= 0b1110_0000;
    assert_eq!(state_hash(&state), known);
    state.body.consensus.last_vrf_output[31] ^= 0b0001_0000;
    assert_ne!(state_hash(&state), known);
}

#[test]
fn the_body_hash_that_a_peer_proved_with_is_ours() {
    let json = json("v2-current/json/best_tip_with_proof_response.json");
    let known = &json["BestTipWithProof"]["proof"];
    let bytes = file(MAINNET_STATE);
    assert_eq!(body_hash(&state(&bytes).body), element(&known[0][0]));
}

/// What is not hashed does not change the hash; everything else does.
#[test]
fn all_but_the_failures_is_hashed() {
    use polypeer_mina::block::Failure;
    let bytes = file(MAINNET_STATE);
    let known = state_hash(&state(&bytes));
    let mut altered = state(&bytes);
    let failures = [Failure::Overflow];
    let row = [Seq::of(&failures).expect("few")];
    altered.body.blockchain.statement.source.local.failures = Seq::of(&row).expect("few");
    assert_eq!(state_hash(&altered), known);
    // Every fourth byte, so every element and most numbers.
    for place in (0..bytes.len()).step_by(4) {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        if let Ok(altered) = polypeer_mina::block::ProtocolState::decode(&altered) {
            assert_ne!(state_hash(&altered), known, "byte {place}");
        }
    }
}

#[test]
fn bodies_have_the_references_that_are_known() {
    let bytes = file(BLOCK);
    let block = block(&bytes);
    let known = digits(&expected()["devnet_block_357934"]["body_reference"]);
    assert_eq!(body_reference(block.body.bytes()), known);
}

/// Mainnet's first block did nothing but pay its producer; JSON says so, and the reference follows.
#[test]
fn a_body_that_is_made_has_the_reference_that_is_known() {
    let statuses = [Status::Applied];
    let internals = Seq::of(&statuses).expect("one");
    let first = FirstDiff { coinbase: FirstCoinbase::One(None), internals, ..Body::EMPTY.first };
    let body = Body { first, second: None };
    let bytes = file(MAINNET_STATE);
    assert_eq!(body_reference(&body.encode()).0, state(&bytes).body.blockchain.body_reference);
}

/// Bodies of more than one bitswap block, put together again from the root as a peer would.
#[test]
fn large_bodies_are_found_from_their_references() {
    let full = BITSWAP_BLOCK_BYTES_MAX - 2;
    for length in [0, 1, full - 6, full - 5, full - 4, full, 2 * full, 3 * full - 70, 3 * full + 1, 4 << 20] {
        let body: Vec<u8> = (0..length).map(|index| ((index * index) >> 7) as u8).collect();
        let mut content = u32::try_from(length + 1).expect("short").to_le_bytes().to_vec();
        content.push(0);
        content.extend_from_slice(&body);
        let (blocks, root) = split(&content);
        assert_eq!(body_reference(&body), root, "{length}");
        assert_eq!(joined(&blocks, root), content, "{length}");
    }
}

// From the end: the last block takes what does not fill one, those before it are full, and the first has the links.
fn split(content: &[u8]) -> (BTreeMap<Hash, Vec<u8>>, Hash) {
    let room = BITSWAP_BLOCK_BYTES_MAX - 2;
    let total = if content.len() <= room { 1 } else { (content.len() - 32).div_ceil(room - 32) };
    let last = content.len() - (room - 32) * (total - 1);
    let mut blocks = BTreeMap::new();
    let mut put = |links: &[Hash], data: &[u8]| {
        let count = u16::try_from(links.len()).expect("few").to_le_bytes();
        let links = links.iter().flat_map(|link| link.0).collect::<Vec<u8>>();
        let block = [&count[..], &links, data].concat();
        let hash = blake2b(&[&block]);
        blocks.insert(hash, block);
        hash
    };
    let (mut rest, data) = content.split_at(content.len() - last);
    let mut links = vec![put(&[], data)];
    if total == 1 {
        let root = links[0];
        return (blocks, root);
    }
    for _ in 0..total - 2 {
        let (before, data) = rest.split_at(rest.len() - room);
        links.insert(0, put(&[], data));
        rest = before;
    }
    assert_eq!(rest.len(), room - 32 * links.len(), "the root is full");
    let root = put(&links, rest);
    (blocks, root)
}

fn joined(blocks: &BTreeMap<Hash, Vec<u8>>, root: Hash) -> Vec<u8> {
    let block = &blocks[&root];
    assert!(block.len() <= BITSWAP_BLOCK_BYTES_MAX);
    let count = usize::from(u16::from_le_bytes([block[0], block[1]]));
    let (links, data) = block[2..].split_at(32 * count);
    let links = links.chunks(32).map(|link| Hash(link.try_into().expect("32 bytes")));
    [data.to_vec()].into_iter().chain(links.map(|link| joined(blocks, link))).flatten().collect()
}
