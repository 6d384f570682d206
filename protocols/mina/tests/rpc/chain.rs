//! Chains of blocks, made of a real one: each follows from the one before and keeps every cheap rule.

use crate::stage::file;
use bytes::Bytes;
use polypeer_engine::Now;
use polypeer_mina::block::Block;
use polypeer_mina::checks::Rules;
use polypeer_mina::config::{Config, Constants};
use polypeer_mina::hash::{Hash, body_hash, state_hash};
use polypeer_mina::keys::PeerId;
use polypeer_mina::rpc::ProvenBlock;
use std::sync::OnceLock;

/// Where the real block has what is changed (Mina spec, section 6.2, and what follows the proof).
const LENGTH_AT: usize = 1067;
const DELTA_PROOF_AT: usize = 1_544 + 11_138;
/// A day after the real block.
pub(crate) const UNIX_MS: u64 = 1_729_191_060_000 + 86_400_000;

/// One block.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) hash: Hash,
    pub(crate) body_hash: Hash,
    pub(crate) bytes: Bytes,
}

pub(crate) fn real() -> Vec<u8> {
    file("v2-current/derived/block-devnet-357934.bin")
}

pub(crate) fn made(previous: &Hash, length: u32) -> Made {
    let mut bytes = real();
    bytes[..32].copy_from_slice(&previous.0);
    bytes[DELTA_PROOF_AT..DELTA_PROOF_AT + 32].copy_from_slice(&previous.0);
    assert_eq!(bytes[LENGTH_AT], 0xfd);
    bytes[LENGTH_AT + 1..LENGTH_AT + 5].copy_from_slice(&length.to_le_bytes());
    let (block, _) = Block::open(&bytes).expect("a block");
    let state = &block.header.state;
    Made { hash: state_hash(state), body_hash: body_hash(&state.body).into(), bytes: bytes.clone().into() }
}

/// A root and so many blocks above it. `branch` makes chains that share nothing; the first, which is long, is hashed once.
pub(crate) fn chain(branch: u8, count: u32) -> Vec<Made> {
    static FIRST: OnceLock<Vec<Made>> = OnceLock::new();
    if branch == 1 {
        return FIRST.get_or_init(|| hashed(1, 40))[..=count as usize].to_vec();
    }
    hashed(branch, count)
}

fn hashed(branch: u8, count: u32) -> Vec<Made> {
    let mut previous = Hash([0; 32]);
    previous.0[0] = branch;
    let mut chain = Vec::new();
    for number in 0..=count {
        let block = made(&previous, 357_934 + number);
        previous = block.hash;
        chain.push(block);
    }
    chain
}

/// The answer to `get_best_tip` of whoever has this chain.
pub(crate) fn best_tip(chain: &[Made]) -> ProvenBlock {
    let [root, rest @ ..] = chain else { panic!("a root") };
    let tip = rest.last().unwrap_or(root);
    ProvenBlock {
        block: tip.bytes.clone(),
        bodies: rest.iter().map(|block| block.body_hash).collect(),
        root: root.bytes.clone(),
    }
}

/// The rules of the real block's network.
pub(crate) fn rules() -> Rules {
    let real = real();
    let (block, _) = Block::open(&real).expect("a block");
    let genesis = block.header.state.body.genesis.into();
    Rules::of(&Config::new(PeerId::of_key([1; 32]), &"0".repeat(64), genesis, Constants::DEVNET))
}

pub(crate) fn now() -> Now {
    Now { unix_ms: UNIX_MS, ..Now::default() }
}
