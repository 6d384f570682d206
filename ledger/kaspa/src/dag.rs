//! Keeps the DAG of headers in memory: who is whose parent, what lies on which chain, where the sink is.

use crate::node::{Held, Node, Number, Rank};
use crate::params::Params;
use crate::reachability::Reachability;
use crate::work::{Work, to_wire};
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::Standing;
use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

/// The first block's number.
pub(crate) const GENESIS: Number = 0;

/// All headers that are held.
pub(crate) struct Dag {
    pub(crate) params: Params,
    nodes: Vec<Node>,
    numbers: HashMap<Hash, Number>,
    reachability: Reachability,
    /// Headers that wait for their bodies.
    bodiless: BTreeSet<Number>,
    /// Full blocks without full children.
    tips: BTreeSet<Number>,
    /// The sink's selected chain, by depth.
    chain: Vec<Number>,
    header_tip: Number,
    /// The pruning point: the first block, or what an import brought. Below it nothing is held.
    base: Number,
    /// How many are below it.
    below: Number,
}

impl Dag {
    /// A DAG of the first block, which is full.
    pub(crate) fn new(params: Params, mut genesis: Node) -> Self {
        (genesis.depth, genesis.jump, genesis.held) = (0, GENESIS, Held::Full);
        Self {
            params,
            numbers: HashMap::from([(genesis.hash, GENESIS)]),
            nodes: vec![genesis],
            reachability: Reachability::new(),
            bodiless: BTreeSet::new(),
            tips: BTreeSet::from([GENESIS]),
            chain: vec![GENESIS],
            header_tip: GENESIS,
            base: GENESIS,
            below: 0,
        }
    }

    /// How many headers there are.
    pub(crate) fn count(&self) -> Number {
        self.nodes.len() as Number
    }

    /// How many of them are held: those below the base are not.
    pub(crate) fn held_count(&self) -> Number {
        self.count() - self.below
    }

    /// What is known of a block. Numbers come from [`Dag::number`] and from other blocks, so that there is one.
    pub(crate) fn node(&self, number: Number) -> &Node {
        &self.nodes[number as usize]
    }

    pub(crate) fn number(&self, hash: &Hash) -> Option<Number> {
        self.numbers.get(hash).copied()
    }

    /// The number of a block that is held: not one below the base.
    pub(crate) fn held(&self, hash: &Hash) -> Option<Number> {
        self.number(hash).filter(|number| !self.node(*number).rank.is_below())
    }

    /// The pruning point.
    pub(crate) fn base(&self) -> Number {
        self.base
    }

    /// Whether the pruning point is on a block's selected chain, so that it may lead.
    fn is_above_base(&self, block: Number) -> bool {
        self.base < self.count() && self.is_chain_ancestor(self.base, block)
    }

    pub(crate) fn is_ancestor(&self, block: Number, other: Number) -> bool {
        self.reachability.is_ancestor(block, other)
    }

    pub(crate) fn is_chain_ancestor(&self, block: Number, other: Number) -> bool {
        self.reachability.is_chain_ancestor(block, other)
    }

    pub(crate) fn is_ancestor_of_any(&self, block: Number, others: impl IntoIterator<Item = Number>) -> bool {
        self.reachability.is_ancestor_of_any(block, others)
    }

    /// Compares as the network does: by blue work, then by hash.
    pub(crate) fn compare(&self, one: Number, other: Number) -> Ordering {
        let (one, other) = (self.node(one), self.node(other));
        one.blue_work.cmp(&other.blue_work).then_with(|| one.hash.cmp(&other.hash))
    }

    /// Adds the next header, whose parents are here.
    pub(crate) fn add(&mut self, mut node: Node) -> Number {
        let number = self.count();
        let (depth, jump) = self.above(node.selected_parent);
        (node.depth, node.jump) = (depth, jump);
        let (hash, selected_parent) = (node.hash, node.selected_parent);
        let merged = node.merge_set.iter().copied().filter(|merged| *merged != selected_parent);
        self.reachability.add(selected_parent, merged);
        // What stands on an invalid block can never be full.
        let is_lost = node.parents.iter().any(|parent| self.node(*parent).held == Held::Invalid);
        node.held = if is_lost { Held::Invalid } else { Held::Header };
        self.nodes.push(node);
        self.numbers.insert(hash, number);
        if !is_lost {
            self.bodiless.insert(number);
            if self.is_above_base(number) && self.compare(number, self.header_tip).is_gt() {
                self.header_tip = number;
            }
        }
        number
    }

    /// Adds a block that an import brought. It is not judged, and waits for no body.
    pub(crate) fn add_imported(&mut self, mut node: Node) -> Number {
        let number = self.count();
        (node.depth, node.jump) = self.above(node.selected_parent);
        let merged = self.unseen(node.selected_parent, &node.parents);
        self.reachability.add(node.selected_parent, merged);
        node.held = Held::Header;
        self.below += Number::from(node.rank.is_below());
        self.numbers.insert(node.hash, number);
        self.nodes.push(node);
        number
    }

    /// What is in the past of the parents and not in that of the selected one.
    fn unseen(&self, selected_parent: Number, parents: &[Number]) -> BTreeSet<Number> {
        let mut queue = parents.to_vec();
        let mut unseen = BTreeSet::new();
        while let Some(block) = queue.pop() {
            if !self.is_ancestor(block, selected_parent) && unseen.insert(block) {
                queue.extend(&self.node(block).parents);
            }
        }
        unseen
    }

    /// Makes a block the pruning point. It need not be here yet.
    pub(crate) fn set_base(&mut self, base: Number) {
        (self.base, self.header_tip) = (base, base);
        if base != GENESIS {
            // What stands on it is not here, so that nothing would ever say that it is no tip.
            self.tips.remove(&GENESIS);
        }
    }

    /// Makes a block that is here the pruning point, and what leads. Its body follows.
    pub(crate) fn rebase(&mut self, base: Number) {
        self.base = base;
        self.leave_below();
        let leading = self.bodiless.iter().copied().filter(|block| self.is_above_base(*block));
        self.header_tip = leading.max_by(|one, other| self.compare(*one, *other)).unwrap_or(base);
        self.lead(base);
    }

    /// Waits no longer for bodies below the pruning point, and builds on nothing there.
    pub(crate) fn leave_below(&mut self) {
        let (base, reachability) = (self.base, &self.reachability);
        if base != GENESIS {
            self.bodiless.retain(|block| *block == base || !reachability.is_ancestor(*block, base));
            self.tips.retain(|tip| *tip == base || !reachability.is_ancestor(*tip, base));
        }
    }

    /// Whether a block is in the pruning point's past, where no body is waited for.
    pub(crate) fn is_left(&self, block: Number) -> bool {
        self.base < self.count() && block != self.base && self.is_ancestor(block, self.base)
    }

    /// Depth and jump of a block on this selected parent: the jumps of two neighbours that are equally long become one.
    fn above(&self, parent: Number) -> (u32, Number) {
        let node = self.node(parent);
        let (once, twice) = (self.node(node.jump), self.node(self.node(node.jump).jump));
        let equal = node.depth - once.depth == once.depth - twice.depth;
        (node.depth + 1, if equal { once.jump } else { parent })
    }

    /// The lowest block of a block's selected chain, itself included, of which `holds` is true; it is true of all above
    /// that one, and of the block itself.
    pub(crate) fn lowest(&self, from: Number, holds: impl Fn(&Node) -> bool) -> Number {
        let mut number = from;
        while number != GENESIS {
            let node = self.node(number);
            if holds(self.node(node.jump)) {
                number = node.jump;
            } else if holds(self.node(node.selected_parent)) {
                number = node.selected_parent;
            } else {
                break;
            }
        }
        number
    }

    /// The block of this depth on a block's selected chain.
    pub(crate) fn at_depth(&self, from: Number, depth: u32) -> Number {
        self.lowest(from, |node| node.depth >= depth)
    }

    /// Notes that a block's body came; the bodies of its parents are here. The sink may move.
    pub(crate) fn fill(&mut self, number: Number) {
        self.nodes[number as usize].held = Held::Full;
        self.bodiless.remove(&number);
        for parent in &self.nodes[number as usize].parents {
            self.tips.remove(parent);
        }
        if !self.is_left(number) {
            self.tips.insert(number);
        }
        if self.is_above_base(number) && self.compare(number, self.sink()).is_gt() {
            self.lead(number);
        }
    }

    /// Notes that a block can never be full, nor what stands on it. What became of it and of them is told.
    pub(crate) fn condemn(&mut self, number: Number) -> Vec<Number> {
        let above = self.bodiless.range(number..).copied();
        let lost: Vec<Number> = above.filter(|other| self.is_ancestor(number, *other)).collect();
        for number in &lost {
            self.bodiless.remove(number);
            self.nodes[*number as usize].held = Held::Invalid;
        }
        if lost.contains(&self.header_tip) {
            let others = self.bodiless.iter().copied().chain([self.sink()]);
            let leading = others.filter(|block| self.is_above_base(*block));
            self.header_tip = leading.max_by(|one, other| self.compare(*one, *other)).unwrap_or(self.base);
        }
        lost
    }

    /// Makes a block the sink.
    fn lead(&mut self, number: Number) {
        let depth = self.node(number).depth as usize;
        self.chain.truncate(depth + 1);
        let (mut new, mut walk) = (Vec::new(), number);
        while self.chain.get(self.node(walk).depth as usize) != Some(&walk) {
            new.push(walk);
            walk = self.node(walk).selected_parent;
        }
        self.chain.truncate(self.node(walk).depth as usize + 1);
        self.chain.extend(new.into_iter().rev());
    }

    /// The full block of the highest blue work.
    pub(crate) fn sink(&self) -> Number {
        self.chain.last().copied().unwrap_or(GENESIS)
    }

    /// The header of the highest blue work that is not known to be lost.
    pub(crate) fn header_tip(&self) -> Number {
        if self.compare(self.sink(), self.header_tip).is_gt() { self.sink() } else { self.header_tip }
    }

    /// The sink's selected chain, by depth.
    pub(crate) fn chain(&self) -> &[Number] {
        &self.chain
    }

    /// Whether a block stands on the sink's selected chain.
    pub(crate) fn is_on_chain(&self, number: Number) -> bool {
        self.chain.get(self.node(number).depth as usize) == Some(&number)
    }

    /// Full blocks without full children.
    pub(crate) fn tips(&self) -> &BTreeSet<Number> {
        &self.tips
    }

    /// Headers that wait for their bodies, parents before children.
    pub(crate) fn bodiless(&self) -> &BTreeSet<Number> {
        &self.bodiless
    }

    /// Blue work that a new block must exceed for it to be merged by anything on the sink.
    pub(crate) fn work_min(&self) -> Work {
        let sink = self.node(self.sink());
        self.merge_root(self.sink(), sink.blue_score).map_or(Work::ZERO, |root| self.node(root).blue_work)
    }

    /// The highest block of `parent`'s chain that is further than the merge depth below `blue_score`; nothing where
    /// there is none above the pruning point.
    pub(crate) fn merge_root(&self, parent: Number, blue_score: u64) -> Option<Number> {
        let required = blue_score.checked_sub(self.params.rate.merge_depth)?;
        if required < self.node(self.base).blue_score || !self.is_above_base(parent) {
            return None;
        }
        let above = self.lowest(parent, |node| node.blue_score >= required);
        let node = self.node(above);
        if node.blue_score < required { Some(above) } else { Some(node.selected_parent) }
    }

    /// As it is told.
    pub(crate) fn standing(&self, number: Number) -> Standing {
        let node = self.node(number);
        Standing {
            hash: node.hash,
            blue_score: node.blue_score,
            blue_work: to_wire(node.blue_work),
            daa_score: node.daa_score,
            timestamp: node.timestamp,
        }
    }

    /// Goes back to the first `count` headers, of which those numbered are without body again.
    pub(crate) fn truncate(&mut self, count: Number, emptied: &[Number]) {
        let mut nodes = std::mem::take(&mut self.nodes).into_iter().take(count as usize);
        let Some(genesis) = nodes.next() else { return };
        let mut back = Self::new(self.params.clone(), genesis);
        back.set_base(self.base);
        for node in nodes {
            let held = node.held;
            let number = if node.rank == Rank::Judged { back.add(node) } else { back.add_imported(node) };
            match held {
                Held::Full if !emptied.contains(&number) => back.fill(number),
                Held::Invalid => drop(back.condemn(number)),
                _ => {}
            }
        }
        if back.base < count {
            back.leave_below();
        }
        *self = back;
    }
}
