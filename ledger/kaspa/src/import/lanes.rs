//! Hashes the lanes of a network into one root, checks a lane's proof, and says what a sequencing commitment is of
//! (Kaspa spec, sections 4.6.8 and 5.7).
//!
//! The tree has 256 levels, one for each bit of a lane's key. Lanes come in the order of their keys, so that one pass
//! with the left siblings of one path in memory is enough.

use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::blake3;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::{SmtLane, SmtMetadata};
use std::sync::LazyLock;

/// Bits of a key.
const DEPTH: usize = 256;
/// One lane of so many carries a proof: entry 0, this one, and so on.
const PROOF_EVERY: u64 = 1 << 20;

/// The hashes of subtrees without a lane, by their height.
static EMPTY: LazyLock<Vec<Hash>> = LazyLock::new(|| {
    let mut hashes = vec![Hash::ZERO];
    for height in 0..DEPTH {
        let below = hashes[height];
        hashes.push(node(&below, &below));
    }
    hashes
});

fn node(left: &Hash, right: &Hash) -> Hash {
    blake3("SeqCommitActiveNode", &[&left.0, &right.0])
}

/// A subtree at this depth with one lane only.
fn single(key: &Hash, leaf: &Hash, depth: usize) -> Hash {
    // The lowest level has no room for anything but the leaf.
    if depth == DEPTH { *leaf } else { blake3("SeqCommitActiveCollapsedNode", &[&key.0, &leaf.0]) }
}

fn leaf(lane: &SmtLane<'_>) -> Hash {
    blake3("SeqCommitActiveLeaf", &[&lane.tip.0, &lane.blue_score.to_le_bytes()])
}

/// What stands beside a node at this depth when no lane does.
fn empty(depth: usize) -> Hash {
    EMPTY.get(DEPTH.saturating_sub(depth)).copied().unwrap_or(Hash::ZERO)
}

/// Whether a key goes to the right below this depth.
fn is_right(key: &Hash, depth: usize) -> bool {
    key.0.get(depth / 8).is_some_and(|byte| byte >> (7 - depth % 8) & 1 == 1)
}

/// How many bits two keys share from the first on.
fn shared(one: &Hash, other: &Hash) -> usize {
    let bytes = one.0.iter().zip(&other.0).take_while(|(one, other)| one == other).count();
    let differing = one.0.get(bytes).zip(other.0.get(bytes));
    8 * bytes + differing.map_or(0, |(one, other)| (one ^ other).leading_zeros() as usize)
}

/// The lane that came last: what follows says how deep it stands.
#[derive(Clone, Copy, Debug)]
struct Last {
    key: Hash,
    leaf: Hash,
    /// The depth below which it shares nothing with the lane before it.
    depth: usize,
}

/// Lanes as they come in, up to the count that was announced.
#[derive(Clone, Debug)]
pub(crate) struct Lanes {
    root: Hash,
    count: u64,
    taken: u64,
    last: Option<Last>,
    /// Subtrees whose right sibling is not whole yet, with their depths, ascending.
    left: Vec<(usize, Hash)>,
}

impl Lanes {
    /// As many lanes with this root.
    pub(crate) fn new(root: Hash, count: u64) -> Self {
        Self { root, count, taken: 0, last: None, left: Vec::new() }
    }

    /// Takes the next lane.
    pub(crate) fn take(&mut self, lane: &SmtLane<'_>) -> Result<(), ImportFault> {
        if self.taken == self.count || self.last.is_some_and(|last| last.key >= lane.key) {
            return Err(ImportFault::Lanes);
        }
        let leaf = leaf(lane);
        let is_proved = self.taken.is_multiple_of(PROOF_EVERY);
        if is_proved != proves(&self.root, &lane.key, &leaf, lane.proof) || is_proved == lane.proof.is_empty() {
            return Err(ImportFault::LaneProof);
        }
        let mut depth = 0;
        if let Some(last) = self.last {
            let common = shared(&last.key, &lane.key);
            let whole = self.rise(&last, common + 1);
            self.left.push((common + 1, whole));
            depth = common + 1;
        }
        self.last = Some(Last { key: lane.key, leaf, depth });
        self.taken += 1;
        Ok(())
    }

    /// Whether all that were announced are here.
    pub(crate) fn is_whole(&self) -> bool {
        self.taken == self.count
    }

    /// Whether the lanes give the root.
    pub(crate) fn judge(&mut self) -> Result<(), ImportFault> {
        let root = match self.last {
            None => empty(0),
            Some(last) => self.rise(&last, 0),
        };
        if root == self.root { Ok(()) } else { Err(ImportFault::Lanes) }
    }

    /// The subtree at `to` that ends with the last lane.
    fn rise(&mut self, last: &Last, to: usize) -> Hash {
        let mut depth = last.depth.max(to);
        let mut hash = single(&last.key, &last.leaf, depth);
        while depth > to {
            let sibling = self.left.pop_if(|(other, _)| *other == depth);
            hash = match sibling {
                Some((_, left)) => node(&left, &hash),
                None if is_right(&last.key, depth - 1) => node(&empty(depth), &hash),
                None => node(&hash, &empty(depth)),
            };
            depth -= 1;
        }
        hash
    }
}

/// Whether a proof leads from a lane to the root: a bitmap in which a set bit means that the sibling at that depth is
/// empty, a tag, and the other siblings from above.
fn proves(root: &Hash, key: &Hash, leaf: &Hash, proof: &[u8]) -> bool {
    rise_by_proof(key, leaf, proof) == Some(*root)
}

fn rise_by_proof(key: &Hash, leaf: &Hash, proof: &[u8]) -> Option<Hash> {
    let (bitmap, rest) = proof.split_first_chunk::<32>()?;
    let (depth, rest) = match rest.split_first()? {
        (0, rest) => (DEPTH, rest),
        (1, rest) => rest.split_first().map(|(depth, rest)| (usize::from(*depth), rest))?,
        // Another lane's place, or no tag at all.
        _ => return None,
    };
    let (siblings, []) = rest.as_chunks::<32>() else { return None };
    let mut siblings = siblings.iter().rev();
    let mut hash = single(key, leaf, depth);
    for at in (0..depth).rev() {
        let is_empty = bitmap.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1);
        let sibling = if is_empty { empty(at + 1) } else { Hash(*siblings.next()?) };
        hash = if is_right(key, at) { node(&sibling, &hash) } else { node(&hash, &sibling) };
    }
    siblings.next().is_none().then_some(hash)
}

/// The sequencing commitment that metadata stand for, with the commitment of the block from which on a lane counts as
/// active.
pub(crate) fn commitment(metadata: &SmtMetadata, shortcut: &Hash) -> Hash {
    let branch = |left: &Hash, right: &Hash| blake3("SeqCommitmentMerkleBranchHash", &[&left.0, &right.0]);
    let activity = blake3("SeqCommitActivityRoot", &[&shortcut.0, &metadata.lanes_root.0]);
    branch(&metadata.parent_commitment, &branch(&activity, &metadata.payload_and_context))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Random;
    use polypeer_engine::kit::chain::Hash;

    const TIP: Hash = Hash([9; 32]);

    fn lane(key: Hash, proof: &[u8]) -> SmtLane<'_> {
        SmtLane { key, tip: TIP, blue_score: 7, proof }
    }

    /// The root by the definition.
    fn slowly(keys: &[Hash], depth: usize) -> Hash {
        match keys {
            [] => empty(depth),
            [key] => single(key, &leaf(&lane(*key, &[])), depth),
            keys => {
                let (left, right): (Vec<Hash>, Vec<Hash>) = keys.iter().partition(|key| !is_right(key, depth));
                node(&slowly(&left, depth + 1), &slowly(&right, depth + 1))
            }
        }
    }

    /// The proof of a lane by the definition.
    fn proof(keys: &[Hash], key: &Hash) -> Vec<u8> {
        let (mut bitmap, mut siblings, mut depth) = ([0xff_u8; 32], Vec::new(), 0);
        let mut keys = keys.to_vec();
        while keys.len() > 1 {
            let (own, others): (Vec<Hash>, Vec<Hash>) =
                keys.iter().partition(|other| is_right(other, depth) == is_right(key, depth));
            if !others.is_empty() {
                bitmap[depth / 8] &= !(1 << (depth % 8));
                siblings.extend(slowly(&others, depth + 1).0);
            }
            (keys, depth) = (own, depth + 1);
        }
        let tag = if depth == DEPTH { vec![0] } else { vec![1, depth as u8] };
        [&bitmap[..], &tag, &siblings].concat()
    }

    fn check(mut keys: Vec<Hash>) {
        keys.sort_unstable();
        keys.dedup();
        let root = slowly(&keys, 0);
        let proof = keys.first().map(|key| proof(&keys, key)).unwrap_or_default();
        let mut lanes = Lanes::new(root, keys.len() as u64);
        for (key, at) in keys.iter().zip(0..) {
            assert!(!lanes.is_whole());
            lanes.take(&lane(*key, if at == 0 { &proof } else { &[] })).unwrap();
        }
        assert!(lanes.is_whole());
        assert_eq!(lanes.clone().judge(), Ok(()));
        lanes.root.0[0] ^= 1;
        assert_eq!(lanes.judge(), Err(ImportFault::Lanes));
    }

    #[test]
    fn one_pass_gives_the_root_of_the_definition() {
        let mut random = Random::new([8; 32]);
        let mut near = Hash([0x55; 32]);
        check(Vec::new());
        check(vec![near]);
        for count in 2..60 {
            let mut any = |bytes: usize| {
                let mut key = near;
                (0..bytes).for_each(|_| key.0[random.below(32)] = random.number() as u8);
                key
            };
            let keys = (0..count).map(|at| any(1 + at % 32)).collect();
            check(keys);
            near.0[count % 32] ^= 1;
        }
        let [one, mut other] = [near; 2];
        other.0[31] ^= 1;
        check(vec![one, other]);
    }

    #[test]
    fn lanes_that_do_not_ascend_are_refused() {
        let keys = [Hash([1; 32]), Hash([2; 32])];
        let proof = proof(&keys, &keys[1]);
        let mut lanes = Lanes::new(slowly(&keys, 0), 2);
        lanes.take(&lane(keys[1], &proof)).unwrap();
        assert_eq!(lanes.take(&lane(keys[1], &[])), Err(ImportFault::Lanes));
        assert_eq!(lanes.take(&lane(keys[0], &[])), Err(ImportFault::Lanes));
        let mut lanes = Lanes::new(slowly(&keys, 0), 0);
        assert_eq!(lanes.take(&lane(keys[1], &proof)), Err(ImportFault::Lanes), "more than were announced");
    }

    #[test]
    fn a_proof_is_wanted_of_the_first_lane_and_of_no_other() {
        let keys = [Hash([1; 32]), Hash([2; 32])];
        let root = slowly(&keys, 0);
        let right = proof(&keys, &keys[0]);
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            // A bit beyond the lane's depth says nothing.
            let is_idle = at < 32 && 8 * at >= usize::from(right[33]);
            let taken = Lanes::new(root, 2).take(&lane(keys[0], &wrong));
            assert_eq!(taken.is_ok(), is_idle, "byte {at}");
            assert!(Lanes::new(root, 2).take(&lane(keys[0], &right[..at])).is_err());
        }
        let mut lanes = Lanes::new(root, 2);
        lanes.take(&lane(keys[0], &right)).unwrap();
        assert_eq!(lanes.take(&lane(keys[1], &proof(&keys, &keys[1]))), Err(ImportFault::LaneProof));
    }
}
