//! The lanes at a pruning point and what they commit to (Kaspa spec, sections 4.6.8 and 5.7).

use super::blake3;
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;

/// Levels of the tree: a lane's place is its key, the most significant bit of the first byte first.
const DEPTH: u16 = 256;
/// What a proof says of where it ends: at the tree's bottom.
const FULL: u8 = 0;
/// Where the lane is alone in its subtree.
const COLLAPSED: u8 = 1;

/// A lane's leaf.
pub fn lane_leaf(tip: &Hash, blue_score: u64) -> Hash {
    blake3("SeqCommitActiveLeaf", &[&tip.0, &blue_score.to_le_bytes()])
}

/// What a pruning point's `acceptedIdMerkleRoot` must be. The shortcut is that of the highest chain block whose blue
/// score is at most the pruning point's less the finality depth less one.
pub fn sequencing_commitment(shortcut: &Hash, lanes_root: &Hash, payload_and_context: &Hash, parent: &Hash) -> Hash {
    let activity = blake3("SeqCommitActivityRoot", &[&shortcut.0, &lanes_root.0]);
    let state = branch(&activity, payload_and_context);
    branch(parent, &state)
}

fn branch(left: &Hash, right: &Hash) -> Hash {
    blake3("SeqCommitmentMerkleBranchHash", &[&left.0, &right.0])
}

/// The tree over all lanes, which come in ascending order of their keys; it keeps one hash per level at most.
#[derive(Clone, Debug)]
pub struct LanesTree {
    empty: Empty,
    // Left subtrees that wait for their right ones, from the top down: where they part, and the left one's hash.
    open: Vec<(u16, Hash)>,
    last: Option<Subtree>,
}

// A subtree's hash, where its top is, and a key in it. One that holds a single lane has no place yet: it is as high
// as its neighbours let it be.
#[derive(Clone, Debug)]
struct Subtree {
    key: Hash,
    hash: Hash,
    depth: Option<u16>,
}

impl Default for LanesTree {
    fn default() -> Self {
        Self { empty: Empty::new(), open: Vec::new(), last: None }
    }
}

impl LanesTree {
    /// Takes the next lane; says whether its key is above the one before.
    pub fn push(&mut self, key: &Hash, leaf: &Hash) -> bool {
        if let Some(last) = self.last.take() {
            if last.key >= *key {
                self.last = Some(last);
                return false;
            }
            let parting = common_bits(&last.key, key);
            let left = self.close(last, parting + 1);
            self.open.push((parting, left));
        }
        self.last = Some(Subtree { key: *key, hash: collapsed(key, leaf), depth: None });
        true
    }

    /// The root.
    pub fn root(mut self) -> Hash {
        match self.last.take() {
            Some(last) => self.close(last, 0),
            None => self.empty.at(0),
        }
    }

    // Joins everything that is open at `depth` or below into one hash at `depth`.
    fn close(&mut self, mut last: Subtree, depth: u16) -> Hash {
        while let Some((parting, left)) = self.open.pop_if(|(parting, _)| *parting >= depth) {
            let right = self.lift(&last, parting + 1);
            last = Subtree { hash: node(&left, &right), depth: Some(parting), ..last };
        }
        self.lift(&last, depth)
    }

    // The hash of the subtree that has nothing but this one in it, up at `depth`.
    fn lift(&self, subtree: &Subtree, depth: u16) -> Hash {
        let Some(top) = subtree.depth else { return subtree.hash };
        (depth..top).rev().fold(subtree.hash, |hash, at| join(&subtree.key, at, &hash, &self.empty.at(at + 1)))
    }
}

/// The root that a lane's proof leads to, or nothing if it proves nothing: a bitmap of empty siblings, where it ends,
/// and the other siblings from the top down.
pub fn lane_proof_root(key: &Hash, leaf: &Hash, proof: &[u8]) -> Option<Hash> {
    let (bitmap, rest) = proof.split_first_chunk::<32>()?;
    let (depth, siblings) = match rest {
        [FULL, siblings @ ..] => (DEPTH, siblings),
        [COLLAPSED, depth, siblings @ ..] => (u16::from(*depth), siblings),
        _ => return None,
    };
    let is_empty = |depth: u16| bitmap.get(usize::from(depth / 8)).is_some_and(|byte| byte >> (depth % 8) & 1 == 1);
    let (mut siblings, []) = siblings.as_chunks::<32>() else { return None };
    let empty = Empty::new();
    let mut hash = collapsed(key, leaf);
    for at in (0..depth).rev() {
        let sibling = if is_empty(at) {
            empty.at(at + 1)
        } else {
            let (last, before) = siblings.split_last()?;
            siblings = before;
            Hash(*last)
        };
        hash = join(key, at, &hash, &sibling);
    }
    // Nothing else may be said of where nothing is.
    let is_whole = siblings.is_empty() && (depth..DEPTH).all(is_empty);
    is_whole.then_some(hash)
}

// The hashes of subtrees without a lane, the lowest first.
#[derive(Clone, Debug)]
struct Empty(Vec<Hash>);

impl Empty {
    fn new() -> Self {
        let next = |hash: &Hash| Some(node(hash, hash));
        Self(core::iter::successors(Some(Hash::ZERO), next).take(usize::from(DEPTH) + 1).collect())
    }

    fn at(&self, depth: u16) -> Hash {
        self.0.get(usize::from(DEPTH.saturating_sub(depth))).copied().unwrap_or(Hash::ZERO)
    }
}

// The node at `depth` on the way to `key`, of the child on that way and the other one.
fn join(key: &Hash, depth: u16, child: &Hash, sibling: &Hash) -> Hash {
    if is_right(key, depth) { node(sibling, child) } else { node(child, sibling) }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    blake3("SeqCommitActiveNode", &[&left.0, &right.0])
}

fn collapsed(key: &Hash, leaf: &Hash) -> Hash {
    blake3("SeqCommitActiveCollapsedNode", &[&key.0, &leaf.0])
}

fn is_right(key: &Hash, depth: u16) -> bool {
    key.0.get(usize::from(depth / 8)).is_some_and(|byte| byte << (depth % 8) & 0x80 != 0)
}

fn common_bits(one: &Hash, other: &Hash) -> u16 {
    let mut bits = 0;
    for (a, b) in one.0.iter().zip(&other.0) {
        let same = (a ^ b).leading_zeros() as u16;
        bits += same;
        if same < 8 {
            break;
        }
    }
    bits
}
