//! Checks that a best tip follows from its root, as its peer says (Mina spec, section 5.5, step 2).

use crate::binprot::{BinprotError, Fp};
use crate::block::Block;
use crate::checks::{Objection, Rules};
use crate::hash::{state_hash, state_hash_above};
use crate::ledger::{Hash, Origin};
use crate::rpc::ProvenBlock;
use alloc::vec::Vec;
use bytes::Bytes;

/// A best tip whose path is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The tip's state hash.
    pub hash: Hash,
    /// The tip.
    pub tip: Bytes,
    /// Blocks from genesis to it.
    pub length: u32,
    /// The block from which the path begins.
    pub root: Bytes,
    /// State hashes from the block behind the root to the tip.
    pub path: Vec<Hash>,
}

/// Why a best tip is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// It does not decode.
    Malformed(BinprotError),
    /// The tip does not follow from the root, or the path is longer than blocks take to be final.
    Broken,
    /// Tip or root break a rule that every node checks.
    Rule(Objection),
    /// The tip is of a slot that is still to come: one of two clocks is wrong.
    NotYet,
}

impl From<BinprotError> for Unproven {
    fn from(error: BinprotError) -> Self {
        Self::Malformed(error)
    }
}

/// Checks the answer to `get_best_tip`, behind its option byte: hashes what stands between root and tip, from the root
/// on, and compares.
pub fn prove(answer: &Bytes, rules: &Rules, unix_ms: u64) -> Result<Proven, Unproven> {
    let ProvenBlock { block: tip, bodies, root } = ProvenBlock::decode(answer)?;
    if bodies.len() > rules.constants.k as usize {
        return Err(Unproven::Broken);
    }
    let (root_block, tip_block) = (Block::open(&root)?.0, Block::open(&tip)?.0);
    let hash = state_hash(&tip_block.header.state);
    let mut last = state_hash(&root_block.header.state);
    for (block, hash) in [(&root_block, last), (&tip_block, hash)] {
        // The first block of all names no genesis but what it follows on; its hash says that it is right.
        if hash == rules.genesis {
            continue;
        }
        rules.check_block(block, unix_ms, Origin::Sync).map_err(|objection| match objection {
            Objection::Future | Objection::Late => Unproven::NotYet,
            other => Unproven::Rule(other),
        })?;
    }
    // Where tip and root are one block there is nothing to follow from: real nodes then list that block's own body.
    let bodies = if last == hash { Vec::new() } else { bodies };
    let mut path = Vec::with_capacity(bodies.len());
    for body in bodies {
        let (above, body) = (element(&last)?, element(&body)?);
        last = state_hash_above(&above, &body).into();
        path.push(last);
    }
    if last != hash {
        return Err(Unproven::Broken);
    }
    let length = tip_block.header.state.body.consensus.blockchain_length;
    Ok(Proven { hash, tip, length, root, path })
}

fn element(hash: &Hash) -> Result<Fp, BinprotError> {
    Fp::checked(hash.0).ok_or(BinprotError::Element)
}
