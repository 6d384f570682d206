//! Holds blocks whose parent is not here yet: bounded, the oldest leaves.

use super::Judged;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;

/// Blocks that are held (Hello spec, section 5).
const COUNT_MAX: usize = 64;
/// Their bytes.
const BYTES_MAX: usize = 32 << 20;

/// Blocks that wait for their parent.
#[derive(Debug, Default)]
pub(crate) struct Orphans {
    blocks: BTreeMap<Hash, Judged>,
    // In the order in which they came.
    order: VecDeque<Hash>,
    bytes: usize,
}

impl Orphans {
    /// Holds a block.
    pub(crate) fn hold(&mut self, judged: Judged) {
        let hash = judged.head.hash;
        if self.blocks.contains_key(&hash) {
            return;
        }
        self.bytes += judged.block.len();
        self.order.push_back(hash);
        self.blocks.insert(hash, judged);
        while self.order.len() > COUNT_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.front().copied() else { break };
            self.take(&oldest);
        }
    }

    /// Whether a block is held.
    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.blocks.contains_key(hash)
    }

    /// Takes a block out.
    pub(crate) fn take(&mut self, hash: &Hash) -> Option<Judged> {
        let judged = self.blocks.remove(hash)?;
        self.bytes -= judged.block.len();
        self.order.retain(|held| held != hash);
        Some(judged)
    }

    /// Takes out the blocks that stand on this one.
    pub(crate) fn take_children(&mut self, parent: &Hash) -> Vec<Judged> {
        let is_child = |(_, judged): (&Hash, &Judged)| (judged.head.parent == *parent).then_some(judged.head.hash);
        let children: Vec<Hash> = self.blocks.iter().filter_map(is_child).collect();
        children.iter().filter_map(|hash| self.take(hash)).collect()
    }

    /// How many there are, and their bytes.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.blocks.len(), self.bytes)
    }
}
