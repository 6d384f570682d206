//! Finds a block's parents on each level: the lowest-lying blocks of at least that level that its past ends in.

use crate::dag::{Dag, GENESIS};
use crate::node::{Number, Rank};

impl Dag {
    /// The parents on each level from 0 up, up to the highest one on which they are not the first block alone. The
    /// first list is the direct parents as they are given.
    pub(crate) fn parents_by_level(&self, parents: &[Number]) -> Vec<Vec<Number>> {
        // One that has the pruning point in its past comes first: below that only its word counts.
        let mut from_base = parents.to_vec();
        if let Some(first) = parents.iter().position(|parent| self.is_ancestor(self.base(), *parent)) {
            from_base.swap(0, first);
        }
        let mut lists: Vec<Vec<Number>> = vec![parents.to_vec()];
        for level in 1..=self.params.level_max {
            let list = self.parents_at_level(&from_base, level);
            if list == [GENESIS] {
                break;
            }
            lists.push(list);
        }
        lists
    }

    fn parents_at_level(&self, parents: &[Number], level: u8) -> Vec<Number> {
        // Direct parents are parallel to each other: all of this level are parents on it.
        let (mut found, below): (Vec<Number>, Vec<Number>) =
            parents.iter().partition(|parent| level <= self.node(**parent).level);
        // For those below it their own parents on it stand in. Of one block these are parallel.
        let mut stand_ins = below.iter();
        if found.is_empty() {
            let first = stand_ins.next().map(|parent| self.listed(*parent, level));
            found.extend(first.unwrap_or_default());
        }
        for stand_in in stand_ins.flat_map(|parent| self.listed(*parent, level)) {
            self.offer(&mut found, *stand_in);
        }
        found
    }

    /// Takes a block into a list of parallel ones: in place of those in its past, unless it is in the past of one.
    fn offer(&self, found: &mut Vec<Number>, block: Number) {
        // Of what is only named it is not known what is above it.
        if found.contains(&block) || self.node(block).rank == Rank::Named {
            return;
        }
        let before = found.len();
        found.retain(|other| !self.is_ancestor(*other, block));
        if found.len() < before || !self.is_ancestor_of_any(block, found.iter().copied()) {
            found.push(block);
        }
    }

    /// A block's own parents on a level. Above the highest that its header lists, that is the first block.
    fn listed(&self, block: Number, level: u8) -> &[Number] {
        let node = self.node(block);
        match node.levels.at(u32::from(level)) {
            Some(list) => list,
            None if block == GENESIS => &[],
            None => &[GENESIS],
        }
    }
}
