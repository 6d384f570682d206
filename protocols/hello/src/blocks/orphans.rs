//! Holds blocks whose parent is not here yet: bounded, the oldest leaves.

use super::Judged;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use polypeer_engine::kit::chain::Hash;
use polypeer_engine::{Stock, Stocks};

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
    pub(crate) fn stock(&self, stocks: &mut Stocks) {
        stocks.push(Stock::kept("orphans", self.blocks.len(), COUNT_MAX));
        stocks.push(Stock::kept("orphans, bytes", self.bytes, BYTES_MAX));
    }

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use polypeer_engine::kit::chain::Head;
    use polypeer_engine::{ConnectionId, Direction};

    fn orphan(number: u8, parent: u8, bytes: usize) -> Judged {
        let head = Head { hash: Hash([number; 32]), parent: Hash([parent; 32]), height: u64::from(number) };
        let block = Bytes::from(alloc::vec![number; bytes]);
        Judged { head, block, sender: ConnectionId::nth(Direction::Inbound, 0) }
    }

    #[test]
    fn holds_64_blocks_and_32_mebibytes_and_the_oldest_leave() {
        let mut orphans = Orphans::default();
        for number in 0..70 {
            orphans.hold(orphan(number, 200, 10));
        }
        assert_eq!((orphans.blocks.len(), orphans.order.len(), orphans.bytes), (64, 64, 640));
        assert!(!orphans.contains(&Hash([5; 32])) && orphans.contains(&Hash([6; 32])));
        for number in 100..120 {
            orphans.hold(orphan(number, 200, 3 << 20));
        }
        assert_eq!((orphans.blocks.len(), orphans.bytes), (10, 30 << 20));
        assert!(orphans.contains(&Hash([119; 32])));
    }

    #[test]
    fn children_leave_with_their_parent_and_nothing_is_counted_twice() {
        let mut orphans = Orphans::default();
        for (number, parent) in [(1, 9), (2, 9), (3, 1), (1, 9)] {
            orphans.hold(orphan(number, parent, 10));
        }
        let children: Vec<_> = orphans.take_children(&Hash([9; 32])).iter().map(|child| child.head.height).collect();
        assert_eq!((children, orphans.bytes, orphans.order.len()), (alloc::vec![1, 2], 10, 1));
    }
}
