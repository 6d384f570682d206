//! The root over a body's transactions (Kaspa spec, section 5.4).

use super::blake2b;
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;

/// A merkle tree that grows leaf by leaf and keeps one hash per level.
#[derive(Clone, Debug, Default)]
pub struct MerkleTree {
    // For each level from the leaves up, the left sibling that waits for a right one.
    waiting: Vec<Option<Hash>>,
}

impl MerkleTree {
    /// Takes the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for left in &mut self.waiting {
            match left.take() {
                Some(left) => hash = branch(&left, &hash),
                None => {
                    *left = Some(hash);
                    return;
                }
            }
        }
        self.waiting.push(Some(hash));
    }

    /// The root: of no leaves, zero. A right sibling that is missing counts as zero.
    pub fn root(&self) -> Hash {
        let mut root: Option<Hash> = None;
        for (level, left) in self.waiting.iter().enumerate() {
            let is_top = level + 1 == self.waiting.len();
            root = match (left, root) {
                (Some(left), Some(right)) => Some(branch(left, &right)),
                (Some(left), None) if is_top => Some(*left),
                (Some(left), None) => Some(branch(left, &Hash::ZERO)),
                (None, Some(left)) => Some(branch(&left, &Hash::ZERO)),
                (None, None) => None,
            };
        }
        root.unwrap_or(Hash::ZERO)
    }
}

/// The root over these transaction hashes, in block order.
pub fn merkle_root(leaves: impl IntoIterator<Item = Hash>) -> Hash {
    let mut tree = MerkleTree::default();
    leaves.into_iter().for_each(|leaf| tree.push(leaf));
    tree.root()
}

fn branch(left: &Hash, right: &Hash) -> Hash {
    blake2b("MerkleBranchHash", &[&left.0, &right.0])
}
