//! Keeps the blocks that are served, and a better chain while it is being fetched.
//!
//! ```text
//!  served    base ──► … ──► tip                        follows gossip, and grows
//!  fetched   base ──► … ┄┄► tip (named, not here yet)  a peer's best chain that does not meet ours above its root
//!                              │ its tip has come, and is better still
//!                              ▼
//!            is served from now on; what was served goes
//! ```
//! A copy shares the blocks, so that a batch works on one and readers keep another.

use crate::node::Node;
use crate::rules::Rules;
use crate::tables::Mark;
use crate::tree::{Moved, Shape, Tree};
use polypeer_mina::ledger::Hash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A chain that is being fetched.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    tree: Tree,
    /// The best chain's end, by name: it comes last.
    tip: Hash,
}

/// The blocks.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    shape: Shape,
    /// Nothing until a first chain has come, where no first block is known.
    served: Option<Tree>,
    fetched: Option<Fetched>,
}

/// What became of a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taken {
    /// How the best chain moved, if it did.
    pub(crate) moved: Option<Moved>,
    /// Blocks that went.
    pub(crate) gone: Vec<Arc<Node>>,
}

impl Window {
    /// One that begins with this block, or with none.
    pub(crate) fn new(shape: Shape, first: Option<Arc<Node>>) -> Self {
        Self { shape, served: first.map(|first| Tree::new(first, shape)), fetched: None }
    }

    /// Puts it together again. Nothing when what is served is not whole.
    pub(crate) fn gather(shape: Shape, all: &BTreeMap<Hash, Arc<Node>>, mark: &Mark) -> Option<Self> {
        let served = match mark.served {
            Some((base, tip)) => Some(Tree::gather(all, &base, &tip, shape)?),
            None => None,
        };
        // Of a chain that was being fetched all but the end is here, or some of it.
        let fetched = mark.fetched.and_then(|(base, tip)| Some((Tree::gather(all, &base, &base, shape)?, tip)));
        Some(Self { shape, served, fetched: fetched.map(|(tree, tip)| Fetched { tree, tip }) })
    }

    /// What the store is told of it.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            commits: 0,
            served: self.served.as_ref().map(|tree| (tree.base().hash, tree.tip().hash)),
            fetched: self.fetched.as_ref().map(|fetched| (fetched.tree.base().hash, fetched.tip)),
        }
    }

    /// What is served.
    pub(crate) fn served(&self) -> Option<&Tree> {
        self.served.as_ref()
    }

    /// The end of the best chain.
    pub(crate) fn tip(&self) -> Option<&Arc<Node>> {
        self.served.as_ref().map(Tree::tip)
    }

    /// A block, of whichever chain.
    pub(crate) fn get(&self, hash: &Hash) -> Option<&Arc<Node>> {
        self.trees().find_map(|tree| tree.get(hash))
    }

    /// Bytes of all blocks; those that both chains have count twice.
    pub(crate) fn bytes(&self) -> u64 {
        self.trees().map(Tree::bytes).sum()
    }

    fn trees(&self) -> impl Iterator<Item = &Tree> {
        self.served.iter().chain(self.fetched.iter().map(|fetched| &fetched.tree))
    }

    /// Whether a block that follows on this one, which is here, may still be taken: no final block is contradicted.
    pub(crate) fn may_follow(&self, parent: &Node) -> bool {
        // A peer's path is about as long as the way to its root.
        let fetched_max = self.shape.k + self.shape.side_max;
        let fetched = self.fetched.as_ref().filter(|fetched| fetched.tree.len() < fetched_max);
        let is_fetched = fetched.is_some_and(|fetched| fetched.tree.get(&parent.hash).is_some());
        let served = self.served.as_ref().filter(|tree| tree.get(&parent.hash).is_some());
        is_fetched || served.is_some_and(|tree| tree.may_follow(parent))
    }

    /// Takes a block whose parent is here and which may follow on it.
    pub(crate) fn take(&mut self, node: &Arc<Node>, rules: &Rules) -> Taken {
        let mut taken = Taken::default();
        if let Some(tree) =
            self.served.as_mut().filter(|tree| tree.get(&node.parent).is_some_and(|parent| tree.may_follow(parent)))
        {
            tree.insert(node.clone());
            if rules.is_better(node, tree.tip()) {
                taken.moved = Some(tree.move_to(&node.hash));
            }
            taken.gone = tree.trim();
        }
        if let Some(fetched) = self.fetched.as_mut().filter(|fetched| fetched.tree.get(&node.parent).is_some()) {
            fetched.tree.insert(node.clone());
            if node.hash == fetched.tip {
                self.switch(rules, &mut taken);
            }
        }
        self.forget_shared(&mut taken.gone);
        taken
    }

    /// Serves the chain that was fetched, if it is better than what is served by now; it is forgotten otherwise.
    fn switch(&mut self, rules: &Rules, taken: &mut Taken) {
        let Some(Fetched { mut tree, tip }) = self.fetched.take() else { return };
        let Some(end) = tree.get(&tip).cloned() else { return };
        if self.tip().is_some_and(|tip| !rules.is_better(&end, tip)) {
            taken.gone.extend(tree.nodes().cloned());
            return;
        }
        let first = tree.base().clone();
        tree.move_to(&tip);
        let done = std::iter::once(first.clone()).chain(tree.path(&first.hash, &tip).unwrap_or_default()).collect();
        taken.gone.extend(tree.trim());
        let moved = taken.moved.get_or_insert_default();
        if let Some(before) = self.served.replace(tree) {
            // What both have is done again.
            let undone = before.main().rev().filter_map(|node| before.get(&node.hash)).cloned().collect();
            *moved = Moved { undone, done };
            taken.gone.extend(before.nodes().cloned());
        } else {
            moved.done = done;
        }
    }

    // What another chain still has stays.
    fn forget_shared(&self, gone: &mut Vec<Arc<Node>>) {
        gone.retain(|node| self.get(&node.hash).is_none());
    }

    /// Begins to fetch a chain: its base is here now, its end is named. What was fetched of another goes.
    pub(crate) fn fetch(&mut self, base: &Arc<Node>, tip: Hash, rules: &Rules) -> Taken {
        let mut taken = Taken::default();
        match self.fetched.as_mut().filter(|fetched| fetched.tree.get(&base.hash).is_some()) {
            // The same chain, which has grown meanwhile.
            Some(fetched) => fetched.tip = tip,
            None => {
                let before = self.fetched.replace(Fetched { tree: Tree::new(base.clone(), self.shape), tip });
                taken.gone = before.map(|before| before.tree.nodes().cloned().collect()).unwrap_or_default();
            }
        }
        if self.fetched.as_ref().is_some_and(|fetched| fetched.tree.get(&tip).is_some()) {
            self.switch(rules, &mut taken);
        }
        self.forget_shared(&mut taken.gone);
        taken
    }

    /// Lets blocks go until so many bytes fit under the limit: first those of branches, then the oldest final ones. False
    /// when they do not.
    pub(crate) fn make_room(&mut self, bytes: u64, bytes_max: u64, gone: &mut Vec<Arc<Node>>) -> bool {
        while self.bytes() + bytes > bytes_max {
            let is_done = self.served.as_mut().is_some_and(|tree| tree.make_room(gone));
            if !is_done {
                return false;
            }
        }
        self.forget_shared(gone);
        true
    }
}
