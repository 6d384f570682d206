//! Colours what a block merges: blue what its network saw in time, red the rest. From that follow blue score and blue
//! work, by which chains are compared.

use crate::dag::{Dag, GENESIS};
use crate::node::Number;
use crate::work::Work;
use polypeer_kaspa::ledger::Fault;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What follows from a block's parents.
#[derive(Clone, Debug)]
pub(crate) struct Colouring {
    pub(crate) selected_parent: Number,
    /// The selected parent, then the others, ascending.
    pub(crate) blues: Vec<Number>,
    /// Ascending.
    pub(crate) reds: Vec<Number>,
    /// Blue blocks whose blue anticone changed, and its size.
    pub(crate) anticones: BTreeMap<Number, u16>,
    pub(crate) blue_score: u64,
    pub(crate) blue_work: Work,
}

impl Colouring {
    /// The merge set but for the selected parent, from the highest down.
    pub(crate) fn merged_descending(&self, dag: &Dag) -> Vec<Number> {
        let mut merged: Vec<Number> = self.blues.iter().skip(1).chain(&self.reds).copied().collect();
        merged.sort_unstable_by(|one, other| dag.compare(*other, *one));
        merged
    }
}

impl Dag {
    /// Colours the merge set of a block with these parents, none of which is in the past of another.
    ///
    /// A merge set beyond the limit is refused before it is coloured, so that no block asks for more work than the
    /// largest valid one.
    pub(crate) fn colour(&self, parents: &[Number]) -> Result<Colouring, Fault> {
        let selected = parents.iter().copied().max_by(|one, other| self.compare(*one, *other));
        let selected_parent = selected.ok_or(Fault::Parents)?;
        let merged = self.merged(selected_parent, parents)?;
        let mut colouring = Colouring {
            selected_parent,
            blues: vec![selected_parent],
            reds: Vec::new(),
            anticones: BTreeMap::from([(selected_parent, 0)]),
            blue_score: 0,
            blue_work: Work::ZERO,
        };
        for candidate in merged {
            match self.blue_anticones(&colouring, candidate) {
                Some(changed) => {
                    let own = changed.len() as u16;
                    colouring.anticones.extend(changed.into_iter().map(|(block, size)| (block, size + 1)));
                    colouring.anticones.insert(candidate, own);
                    colouring.blues.push(candidate);
                }
                None => colouring.reds.push(candidate),
            }
        }
        let parent = self.node(selected_parent);
        colouring.blue_score = parent.blue_score + colouring.blues.len() as u64;
        let added = colouring.blues.iter().map(|blue| self.node(*blue).work);
        colouring.blue_work = added.fold(parent.blue_work, Work::saturating_add);
        Ok(colouring)
    }

    /// What is in the past of the parents and not in that of the selected one, ascending, the selected one left out.
    fn merged(&self, selected_parent: Number, parents: &[Number]) -> Result<Vec<Number>, Fault> {
        let mut queue: VecDeque<Number> = parents.iter().copied().filter(|it| *it != selected_parent).collect();
        let mut merged: BTreeSet<Number> = queue.iter().copied().collect();
        while let Some(block) = queue.pop_front() {
            // The selected parent is one of the set.
            if merged.len() >= self.params.rate.merge_set_max {
                return Err(Fault::MergeSet);
            }
            for parent in &self.node(block).parents {
                let is_seen = self.is_past_of(*parent, selected_parent);
                if !is_seen && !merged.contains(parent) {
                    merged.insert(*parent);
                    queue.push_back(*parent);
                }
            }
        }
        let mut merged: Vec<Number> = merged.into_iter().collect();
        merged.sort_unstable_by(|one, other| self.compare(*one, *other));
        Ok(merged)
    }

    /// Whether a block is in the past of a selected parent. What is below the base is in the base's.
    fn is_past_of(&self, block: Number, selected_parent: Number) -> bool {
        let is_below = self.node(block).rank.is_below() && self.is_ancestor(self.base(), selected_parent);
        is_below || self.is_ancestor(block, selected_parent)
    }

    /// The blue blocks that are parallel to the candidate, each with the size of its blue anticone so far; nothing when
    /// with the candidate some blue block would have more than k parallel ones, or the candidate has.
    fn blue_anticones(&self, colouring: &Colouring, candidate: Number) -> Option<Vec<(Number, u16)>> {
        let k = self.params.rate.k;
        if colouring.blues.len() > usize::from(k) {
            return None;
        }
        let mut parallel = Vec::new();
        let mut blues = &colouring.blues[..];
        let mut chain_block = colouring.selected_parent;
        loop {
            for blue in blues.iter().filter(|blue| !self.is_ancestor(**blue, candidate)) {
                let size = self.blue_anticone(colouring, *blue);
                if parallel.len() >= usize::from(k) || size >= k {
                    return None;
                }
                parallel.push((*blue, size));
            }
            // All further blue blocks are in its past, and so in the candidate's.
            if self.is_ancestor(chain_block, candidate) || chain_block == GENESIS {
                return Some(parallel);
            }
            let node = self.node(chain_block);
            (blues, chain_block) = (node.blues(), node.selected_parent);
        }
    }

    /// How many blue blocks are parallel to a blue block, as the block in the making sees it.
    fn blue_anticone(&self, colouring: &Colouring, blue: Number) -> u16 {
        if let Some(size) = colouring.anticones.get(&blue) {
            return *size;
        }
        let mut chain_block = colouring.selected_parent;
        while chain_block != GENESIS {
            let node = self.node(chain_block);
            if let Some(size) = node.anticone(blue) {
                return size;
            }
            chain_block = node.selected_parent;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Held, Levels, Node, Rank};
    use crate::params::{Params, Rate};
    use polypeer_engine::Random;
    use polypeer_engine::kit::chain::Hash;
    use std::sync::Arc;

    /// A DAG whose colours are found a second time by their definition.
    struct Model {
        dag: Dag,
        pasts: Vec<BTreeSet<Number>>,
        /// Of each block: the blue blocks in its past, as it sees them.
        blues: Vec<BTreeSet<Number>>,
    }

    impl Model {
        fn new(k: u16) -> Self {
            let mut params = Params::simnet();
            params.rate = Rate { k, merge_set_max: 4_096, ..params.rate };
            let genesis = params.genesis.node(250);
            let empty = || vec![BTreeSet::new()];
            Self { dag: Dag::new(params, genesis), pasts: empty(), blues: empty() }
        }

        fn is_parallel(&self, one: Number, other: Number) -> bool {
            let is_below = |below: Number, above: Number| self.pasts[above as usize].contains(&below);
            one != other && !is_below(one, other) && !is_below(other, one)
        }

        /// The blue blocks in a new block's past: those of its selected parent, itself, and then each merged block with
        /// which no blue one has more than k parallel blue ones.
        fn blues(&self, selected: Number, past: &BTreeSet<Number>, k: u16) -> BTreeSet<Number> {
            let mut blues = self.blues[selected as usize].clone();
            blues.insert(selected);
            let known = &self.pasts[selected as usize];
            let mut merged: Vec<Number> =
                past.iter().copied().filter(|it| *it != selected && !known.contains(it)).collect();
            merged.sort_unstable_by(|one, other| self.dag.compare(*one, *other));
            let mut added = 0;
            for block in merged {
                blues.insert(block);
                let count = |of: Number| blues.iter().filter(|blue| self.is_parallel(of, **blue)).count();
                let is_blue = blues.iter().all(|blue| count(*blue) <= usize::from(k)) && added < k;
                if is_blue {
                    added += 1;
                } else {
                    blues.remove(&block);
                }
            }
            blues
        }

        fn add(&mut self, parents: &[Number], random: &mut Random) {
            let k = self.dag.params.rate.k;
            let colouring = self.dag.colour(parents).expect("within the limit");
            let past = |of: &Number| self.pasts[*of as usize].iter().copied().chain([*of]);
            let past: BTreeSet<Number> = parents.iter().flat_map(past).collect();
            let blues = self.blues(colouring.selected_parent, &past, k);
            let merged: BTreeSet<Number> = colouring.blues.iter().chain(&colouring.reds).copied().collect();
            assert!(colouring.blues.iter().all(|blue| blues.contains(blue)));
            assert!(colouring.reds.iter().all(|red| !blues.contains(red)));
            assert_eq!(colouring.blue_score, blues.len() as u64);
            assert_eq!(colouring.blue_work, Work::from_u64(2 * blues.len() as u64));
            let mut hash = Hash::ZERO;
            hash.0[..8].copy_from_slice(&random.number().to_le_bytes());
            self.dag.add(Node {
                hash,
                rank: Rank::Judged,
                held: Held::Header,
                blue_score: colouring.blue_score,
                blue_work: colouring.blue_work,
                selected_parent: colouring.selected_parent,
                blues: colouring.blues.len() as u16,
                merge_set: colouring.blues.iter().chain(&colouring.reds).copied().collect(),
                parents: parents.into(),
                levels: Levels::default(),
                anticones: colouring.anticones.into_iter().collect(),
                difficulty: Arc::default(),
                median: Arc::default(),
                ..self.dag.node(GENESIS).clone()
            });
            assert_eq!(merged.len(), colouring.blues.len() + colouring.reds.len());
            self.pasts.push(past);
            self.blues.push(blues);
        }
    }

    #[test]
    fn colours_are_those_of_the_definition() {
        let mut reds = 0;
        for seed in 0..24 {
            let mut random = Random::new([seed; 32]);
            let mut model = Model::new(1 + u16::from(seed % 4));
            for _ in 0..120 {
                let count = model.dag.count();
                let mut parents: Vec<Number> = Vec::new();
                for _ in 0..=random.below(4) {
                    let parent = count - 1 - random.below(12.min(count as usize)) as Number;
                    if parents.iter().all(|other| model.is_parallel(*other, parent)) {
                        parents.push(parent);
                    }
                }
                model.add(&parents, &mut random);
            }
            let all = (1..model.dag.count()).map(|block| model.dag.node(block));
            reds += all.map(|node| node.merge_set.len() - node.blues().len()).sum::<usize>();
        }
        assert!(reds > 500, "{reds} red blocks");
    }
}
