//! Keeps what is off the main chain: a bounded forest of branches whose parents are always held (ledger spec, section
//! "Limits on what is kept").

use crate::block::header_hash;
use crate::tables::{Look, Result, Side, torn};
use crate::writing::Writing;
use polypeer_engine::kit::chain::{BlockFault, Hash};
use redb::ReadableTable;

impl Writing<'_> {
    /// Puts a stored block off the main chain.
    pub(crate) fn add_side(&mut self, number: u64, side: Side) -> Result<()> {
        self.side.insert(number, (side.height, side.bytes, side.parent, side.verified))?;
        self.counters.side_bytes += side.bytes;
        self.children.insert((side.parent, number), ())?;
        if let Some(parent) = self.side(side.parent)? {
            self.leaves.remove(leaf(side.parent, &parent))?;
        }
        if self.is_childless(number)? {
            self.leaves.insert(leaf(number, &side), ())?;
        }
        self.changed = true;
        Ok(())
    }

    /// Takes a block out of the forest: it joins the main chain, or goes for good.
    pub(crate) fn remove_side(&mut self, number: u64) -> Result<Side> {
        let row = self.side.remove(number)?.map(|row| Side::from(row.value()));
        let side = row.ok_or_else(|| torn("a branch's block"))?;
        self.counters.side_bytes -= side.bytes;
        self.children.remove((side.parent, number))?;
        self.leaves.remove(leaf(number, &side))?;
        if let Some(parent) = self.side(side.parent)?
            && self.is_childless(side.parent)?
        {
            self.leaves.insert(leaf(side.parent, &parent), ())?;
        }
        self.changed = true;
        Ok(side)
    }

    fn is_childless(&self, number: u64) -> Result<bool> {
        Ok(self.children.range((number, 0)..=(number, u64::MAX))?.next().transpose()?.is_none())
    }

    /// Removes branches' ends, the least work first, until what is left fits. `growing` says that a branch is being
    /// collected: the one with most work then stays whatever its size, since it may be the next main chain and would
    /// otherwise never become it. It cannot outgrow the main chain before that happens.
    pub(crate) fn trim_side(&mut self, bytes_max: u64, growing: bool) -> Result<()> {
        while self.counters.side_bytes > bytes_max {
            let Some(least) = self.leaves.first()?.map(|(leaf, _)| leaf.value()) else { return Ok(()) };
            let most = self.leaves.last()?.map(|(leaf, _)| leaf.value());
            if growing && most == Some(least) {
                return Ok(());
            }
            self.discard(leaf_number(least))?;
        }
        Ok(())
    }

    /// Forgets a branch's last block.
    fn discard(&mut self, number: u64) -> Result<Hash> {
        self.remove_side(number)?;
        let hash = header_hash(&self.header(number)?.encode());
        self.remove_block(&hash, number)?;
        Ok(hash)
    }

    /// Forgets an invalid block and everything on top of it, but not their hashes.
    pub(crate) fn purge(&mut self, root: u64) -> Result<()> {
        // Parents before children; the way back takes the ends first.
        let mut doomed = vec![root];
        let mut at = 0;
        while let Some(number) = doomed.get(at).copied() {
            at += 1;
            for child in self.children.range((number, 0)..=(number, u64::MAX))? {
                doomed.push(child?.0.value().1);
            }
        }
        for number in doomed.into_iter().rev() {
            let hash = self.discard(number)?;
            self.remember_invalid(&hash, BlockFault::State)?;
        }
        Ok(())
    }
}

/// The key that sorts a branch's end by work and, among equals, puts the newest first, so that it leaves first.
fn leaf(number: u64, side: &Side) -> (u64, u64) {
    (side.height, u64::MAX - number)
}

fn leaf_number((_, complement): (u64, u64)) -> u64 {
    u64::MAX - complement
}
