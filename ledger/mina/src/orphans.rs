//! Keeps a few blocks whose parents are not here yet.

use crate::store::Held;
use polypeer_mina::ledger::Hash;
use std::collections::{BTreeMap, VecDeque};

/// Blocks that wait for a parent: more than a gap in gossip has. Whoever is further behind fetches a chain.
const COUNT_MAX: usize = 64;
/// Their bytes: 16 of the largest blocks that are relayed (Mina spec, section 4.4), or all of usual ones.
const BYTES_MAX: usize = 64 << 20;

/// Blocks that wait for their parents. The oldest make room.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    waiting: BTreeMap<Hash, Held>,
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Orphans {
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.waiting.contains_key(hash)
    }

    pub(crate) fn put(&mut self, held: Held) {
        let hash = held.node.hash;
        self.take(&hash);
        self.bytes += held.block.len();
        self.order.push_back(hash);
        self.waiting.insert(hash, held);
        while self.waiting.len() > COUNT_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.front().copied() else { break };
            self.take(&oldest);
        }
    }

    /// The block that is missing below this one.
    pub(crate) fn missing(&self, hash: &Hash) -> Option<Hash> {
        let mut missing = self.waiting.get(hash)?.node.parent;
        while let Some(held) = self.waiting.get(&missing) {
            missing = held.node.parent;
        }
        Some(missing)
    }

    /// Those that follow on this block; they wait no longer.
    pub(crate) fn children(&mut self, parent: &Hash) -> Vec<Held> {
        let children = self.waiting.values().filter(|held| held.node.parent == *parent);
        let hashes = children.map(|held| held.node.hash).collect::<Vec<_>>();
        hashes.iter().filter_map(|hash| self.take(hash)).collect()
    }

    fn take(&mut self, hash: &Hash) -> Option<Held> {
        let held = self.waiting.remove(hash)?;
        self.order.retain(|other| other != hash);
        self.bytes -= held.block.len();
        Some(held)
    }
}
