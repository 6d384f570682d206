//! Keeps blocks that follow from one base: the best chain, and branches off it as long as they could still become that.
//!
//! ```text
//!  base ──► … ──► root ──► … ──► tip       the best chain: `kept` blocks, of which `k` behind the root are not final
//!                  │ └──► side             branches fork off at the root or above it
//! ```

use crate::node::Node;
use polypeer_mina::ledger::Hash;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How much of a tree is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Blocks until one is final.
    pub(crate) k: usize,
    /// Blocks of the best chain behind the base, at least `k`.
    pub(crate) kept: usize,
    /// Blocks off the best chain. A real network has a handful within `k`.
    pub(crate) side_max: usize,
}

/// A move of the best chain's end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Blocks that the best chain lost, the newest first.
    pub(crate) undone: Vec<Arc<Node>>,
    /// Blocks that it won, the oldest first.
    pub(crate) done: Vec<Arc<Node>>,
}

/// Blocks that follow from one. A copy shares them.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    shape: Shape,
    nodes: BTreeMap<Hash, Arc<Node>>,
    /// Parent and child.
    children: BTreeSet<(Hash, Hash)>,
    /// The best chain, from the base to the tip, neither of which is ever missing.
    base: Arc<Node>,
    tip: Arc<Node>,
    main: VecDeque<Hash>,
    /// Below this length nothing forks off the best chain any more.
    settled: u32,
    bytes: u64,
}

impl Tree {
    pub(crate) fn new(base: Arc<Node>, shape: Shape) -> Self {
        let (hash, bytes, settled) = (base.hash, u64::from(base.block_bytes), base.length);
        Self {
            shape,
            nodes: BTreeMap::from([(hash, base.clone())]),
            children: BTreeSet::new(),
            tip: base.clone(),
            base,
            main: VecDeque::from([hash]),
            settled,
            bytes,
        }
    }

    /// Puts it together again: all that follows from `base`, with the best chain up to `tip`. Nothing when one of the two
    /// is not there, or not connected.
    pub(crate) fn gather(all: &BTreeMap<Hash, Arc<Node>>, base: &Hash, tip: &Hash, shape: Shape) -> Option<Self> {
        let mut children: BTreeMap<Hash, Vec<&Arc<Node>>> = BTreeMap::new();
        for node in all.values().filter(|node| node.hash != *base) {
            children.entry(node.parent).or_default().push(node);
        }
        let mut tree = Self::new(all.get(base)?.clone(), shape);
        let mut open = vec![*base];
        while let Some(parent) = open.pop() {
            for node in children.remove(&parent).unwrap_or_default() {
                tree.insert(node.clone());
                open.push(node.hash);
            }
        }
        tree.get(tip)?;
        tree.move_to(tip);
        Some(tree)
    }

    pub(crate) fn get(&self, hash: &Hash) -> Option<&Arc<Node>> {
        self.nodes.get(hash)
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.nodes.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes of its blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest block that is kept.
    pub(crate) fn base(&self) -> &Arc<Node> {
        &self.base
    }

    /// The end of the best chain.
    pub(crate) fn tip(&self) -> &Arc<Node> {
        &self.tip
    }

    /// The newest block that is final; the base while there is none.
    pub(crate) fn root(&self) -> &Arc<Node> {
        let place = (self.main.len() - 1).saturating_sub(self.shape.k);
        self.main.get(place).and_then(|hash| self.nodes.get(hash)).unwrap_or(&self.base)
    }

    /// The best chain, the oldest block first.
    pub(crate) fn main(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.main.iter().filter_map(|hash| self.nodes.get(hash)).map(|node| &**node)
    }

    /// The best chain's block of this length.
    pub(crate) fn at(&self, length: u32) -> Option<&Arc<Node>> {
        let place = length.checked_sub(self.base.length)?;
        self.nodes.get(self.main.get(place as usize)?)
    }

    /// Whether the best chain leads through it.
    pub(crate) fn is_on_main(&self, node: &Node) -> bool {
        self.at(node.length).is_some_and(|found| found.hash == node.hash)
    }

    /// Whether a block may still follow on this one: it is the root, or above it.
    pub(crate) fn may_follow(&self, parent: &Node) -> bool {
        parent.length >= self.root().length.max(self.settled)
    }

    /// From the block behind `ancestor` to this one. Nothing when it does not descend from it here.
    pub(crate) fn path(&self, ancestor: &Hash, hash: &Hash) -> Option<Vec<Arc<Node>>> {
        let mut path = Vec::new();
        let mut at = *hash;
        while at != *ancestor {
            let node = self.nodes.get(&at)?;
            path.push(node.clone());
            at = node.parent;
        }
        path.reverse();
        Some(path)
    }

    /// Takes a block whose parent is here.
    pub(crate) fn insert(&mut self, node: Arc<Node>) {
        self.bytes += u64::from(node.block_bytes);
        self.children.insert((node.parent, node.hash));
        self.nodes.insert(node.hash, node);
    }

    /// Makes the chain up to this block, which is here, the best one.
    pub(crate) fn move_to(&mut self, hash: &Hash) -> Moved {
        let mut moved = Moved::default();
        let mut at = self.nodes.get(hash).cloned();
        while let Some(node) = at.take_if(|node| !self.is_on_main(node)) {
            at = self.nodes.get(&node.parent).cloned();
            moved.done.push(node);
        }
        moved.done.reverse();
        // Every block here descends from the base.
        let fork = at.unwrap_or_else(|| self.base.clone());
        while self.main.back().is_some_and(|last| *last != fork.hash) {
            moved.undone.extend(self.main.pop_back().and_then(|last| self.nodes.get(&last)).cloned());
        }
        self.main.extend(moved.done.iter().map(|node| node.hash));
        self.tip = moved.done.last().cloned().unwrap_or(fork);
        moved
    }

    /// Lets go of what can no longer become part of the best chain, of the lowest branches when there are too many, and of
    /// the oldest blocks. Those that went.
    pub(crate) fn trim(&mut self) -> Vec<Arc<Node>> {
        let mut gone = Vec::new();
        for length in self.settled..self.root().length {
            self.drop_branches(length, &mut gone);
        }
        self.settled = self.settled.max(self.root().length);
        while self.nodes.len() - self.main.len() > self.shape.side_max {
            if !self.drop_lowest_leaf(&mut gone) {
                break;
            }
        }
        while self.main.len() > self.shape.kept.max(self.shape.k) + 1 {
            self.drop_base(&mut gone);
        }
        gone
    }

    /// Lets one block go for the sake of its bytes: of a branch, or the oldest one that is final. False when there is none.
    pub(crate) fn make_room(&mut self, gone: &mut Vec<Arc<Node>>) -> bool {
        if self.nodes.len() > self.main.len() {
            return self.drop_lowest_leaf(gone);
        }
        let has_history = self.base.length < self.root().length;
        if has_history {
            self.drop_base(gone);
        }
        has_history
    }

    /// Drops what forks off the best chain at this length.
    fn drop_branches(&mut self, length: u32, gone: &mut Vec<Arc<Node>>) {
        let (Some(node), next) = (self.at(length), self.at(length.saturating_add(1))) else { return };
        let (hash, next) = (node.hash, next.map(|next| next.hash));
        let branches = self.children_of(&hash).filter(|child| Some(*child) != next).collect::<Vec<_>>();
        for mut open in branches.into_iter().map(|branch| vec![branch]) {
            while let Some(hash) = open.pop() {
                open.extend(self.children_of(&hash));
                gone.extend(self.remove(&hash));
            }
        }
    }

    fn drop_lowest_leaf(&mut self, gone: &mut Vec<Arc<Node>>) -> bool {
        let is_leaf = |node: &&Arc<Node>| !self.is_on_main(node) && self.children_of(&node.hash).next().is_none();
        let lowest = self.nodes.values().filter(is_leaf).min_by_key(|node| (node.length, node.hash));
        let Some(hash) = lowest.map(|node| node.hash) else { return false };
        gone.extend(self.remove(&hash));
        true
    }

    /// The base goes, the best chain's next block is that now.
    fn drop_base(&mut self, gone: &mut Vec<Arc<Node>>) {
        let Some(next) = self.main.get(1).and_then(|hash| self.nodes.get(hash)).cloned() else { return };
        self.drop_branches(self.base.length, gone);
        gone.extend(self.remove(&self.base.hash.clone()));
        self.children.remove(&(self.base.hash, next.hash));
        self.main.pop_front();
        self.base = next;
        self.settled = self.settled.max(self.base.length);
    }

    fn children_of(&self, hash: &Hash) -> impl Iterator<Item = Hash> + use<'_> {
        let (first, last) = ((*hash, Hash([0; 32])), (*hash, Hash([0xff; 32])));
        self.children.range(first..=last).map(|(_, child)| *child)
    }

    fn remove(&mut self, hash: &Hash) -> Option<Arc<Node>> {
        let node = self.nodes.remove(hash)?;
        self.children.remove(&(node.parent, node.hash));
        self.bytes -= u64::from(node.block_bytes);
        Some(node)
    }
}
