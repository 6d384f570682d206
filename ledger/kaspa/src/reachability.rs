//! Answers at once whether one block is in the past of another.
//!
//! Selected parents make a tree. Each block has an opening and a closing place in a list, like brackets; one block is a
//! chain ancestor of another when its brackets are around it. For the rest of its future a block remembers the blocks
//! that merged it: the lowest ones on their chains. Another block is in its future when one of these is a chain ancestor
//! of it.

use crate::order::Order;

/// The order of the DAG so far. Blocks are numbered from 0, the root, as they are added.
pub(crate) struct Reachability {
    order: Order,
    /// For each block those that merged it, by their opening places.
    mergers: Vec<Vec<u32>>,
}

impl Reachability {
    /// A DAG of one block.
    pub(crate) fn new() -> Self {
        let mut order = Order::new();
        order.insert_after(0);
        Self { order, mergers: vec![Vec::new()] }
    }

    /// Adds the next block: on its selected parent, and merging blocks that the selected parent has not in its past.
    pub(crate) fn add(&mut self, selected_parent: u32, merged: impl IntoIterator<Item = u32>) {
        let block = self.mergers.len() as u32;
        let opening = self.order.insert_after(2 * selected_parent);
        self.order.insert_after(opening);
        self.mergers.push(Vec::new());
        for merged in merged {
            let (at, covered) = self.find(merged, block);
            if !covered && let Some(mergers) = self.mergers.get_mut(merged as usize) {
                mergers.insert(at, block);
            }
        }
    }

    /// Whether `block` is `other` or stands on its selected chain.
    pub(crate) fn is_chain_ancestor(&self, block: u32, other: u32) -> bool {
        let [opening, closing] = [2 * block, 2 * block + 1].map(|place| self.order.label(place));
        let label = self.opening(other);
        opening <= label && label < closing
    }

    /// Whether `block` is `other` or in its past.
    pub(crate) fn is_ancestor(&self, block: u32, other: u32) -> bool {
        self.is_chain_ancestor(block, other) || self.find(block, other).1
    }

    /// Whether `block` is one of `others` or in the past of one.
    pub(crate) fn is_ancestor_of_any(&self, block: u32, others: impl IntoIterator<Item = u32>) -> bool {
        others.into_iter().any(|other| self.is_ancestor(block, other))
    }

    fn opening(&self, block: u32) -> u64 {
        self.order.label(2 * block)
    }

    /// Where `other` would stand among the mergers of `block`, and whether one of them is a chain ancestor of it.
    fn find(&self, block: u32, other: u32) -> (usize, bool) {
        let Some(mergers) = self.mergers.get(block as usize) else { return (0, false) };
        let label = self.opening(other);
        let at = mergers.partition_point(|merger| self.opening(*merger) <= label);
        // None is a chain ancestor of another, so that only the nearest one can be around it.
        let nearest = at.checked_sub(1).and_then(|at| mergers.get(at));
        (at, nearest.is_some_and(|nearest| self.is_chain_ancestor(*nearest, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polypeer_engine::Random;
    use std::collections::BTreeSet;

    /// A DAG that is kept in the slow way too.
    struct Model {
        quick: Reachability,
        parents: Vec<Vec<u32>>,
        pasts: Vec<BTreeSet<u32>>,
        chains: Vec<BTreeSet<u32>>,
    }

    impl Model {
        fn new() -> Self {
            let root = || vec![BTreeSet::from([0])];
            Self { quick: Reachability::new(), parents: vec![Vec::new()], pasts: root(), chains: root() }
        }

        /// Adds a block; its first parent is the selected one.
        fn add(&mut self, parents: Vec<u32>) {
            let block = self.pasts.len() as u32;
            let past = |of: &u32| &self.pasts[*of as usize];
            let all: BTreeSet<u32> = parents.iter().flat_map(past).copied().collect();
            self.quick.add(parents[0], all.difference(past(&parents[0])).copied());
            let mut chain = self.chains[parents[0] as usize].clone();
            chain.insert(block);
            self.chains.push(chain);
            self.pasts.push(all.into_iter().chain([block]).collect());
            self.parents.push(parents);
        }

        fn check(&self) {
            for other in 0..self.pasts.len() {
                for block in 0..self.pasts.len() as u32 {
                    let of = other as u32;
                    assert_eq!(self.quick.is_ancestor(block, of), self.pasts[other].contains(&block), "{block} {of}");
                    assert_eq!(self.quick.is_chain_ancestor(block, of), self.chains[other].contains(&block));
                }
            }
        }
    }

    #[test]
    fn ancestors_are_those_that_a_walk_finds() {
        for seed in 0..12 {
            let mut random = Random::new([seed; 32]);
            let mut model = Model::new();
            let reach = 2 + random.below(30);
            for block in 1..220 {
                let mut parents: Vec<u32> = Vec::new();
                for _ in 0..=random.below(5) {
                    let parent = (block - 1 - random.below(reach.min(block))) as u32;
                    let related =
                        |it: &u32| model.quick.is_ancestor(*it, parent) || model.quick.is_ancestor(parent, *it);
                    if !parents.iter().any(related) {
                        parents.push(parent);
                    }
                }
                model.add(parents);
            }
            model.check();
        }
    }
}
