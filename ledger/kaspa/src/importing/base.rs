//! Builds the DAG that an import stands on: all headers that came, in the order of their work, each on those of its
//! parents that came too.

use super::{Staging, TRUSTED, Taken};
use crate::body::{Body, Frame};
use crate::dag::{Dag, GENESIS};
use crate::node::{self, Held, Levels, Node, Number, Rank};
use crate::store::Change;
use crate::taking::Work;
use crate::work::{Work as Amount, from_wire, work as work_of};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::{BlockView, Ghostdag, Header, TrustedBlock};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Staging {
    /// The DAG, its rows and its bodies staged.
    pub(super) fn build(&self, work: &mut Work<'_>) -> Taken<Dag> {
        let params = work.dag.params.clone();
        let mut dag = Dag::new(params.clone(), params.genesis.node(params.level_max));
        crate::founding::first_changes(&params).into_iter().for_each(|change| work.push(change));
        let (point, _) = self.point.as_ref().ok_or(ImportFault::OutOfOrder)?;
        let mut order: Vec<(Amount, Hash)> = self.entries.iter().map(|(hash, it)| (it.blue_work, *hash)).collect();
        order.sort_unstable();
        for (_, hash) in order.iter().filter(|(_, hash)| *hash != params.genesis.hash) {
            self.add(work, &mut dag, *hash)?;
        }
        let base = dag.number(point).ok_or(ImportFault::Blocks)?;
        dag.set_base(base);
        // The pruning point first, so that it leads.
        let mut full: Vec<(u64, Hash)> = self.bases.iter().map(|(hash, place)| (*place, *hash)).collect();
        full.sort_unstable();
        for (place, hash) in full {
            let number = dag.number(&hash).ok_or(ImportFault::Blocks)?;
            if number != base && (dag.is_ancestor(number, base) || dag.is_ancestor(base, number)) {
                return Err(ImportFault::Blocks);
            }
            let bytes = work.kept(super::BLOCKS, place).ok_or(ImportFault::NoRoom)?;
            work.push(Change::Body { number, body: body_of(&bytes, &dag)? });
            dag.fill(number);
        }
        let below =
            (0..dag.count()).find(|number| dag.node(*number).rank == Rank::Trusted && !dag.is_ancestor(*number, base));
        if below.is_some() { Err(ImportFault::Trusted) } else { Ok(dag) }
    }

    /// Adds the next header on those of its parents that are here.
    fn add(&self, work: &mut Work<'_>, dag: &mut Dag, hash: Hash) -> Taken<()> {
        let entry = self.entries.get(&hash).ok_or(ImportFault::Trusted)?;
        let trusted = self.trusted.get(&hash).copied();
        let (part, place) = trusted.map_or((entry.part, entry.place), |place| (TRUSTED, place));
        let header = self.header_of(work, part, place).ok_or(ImportFault::NoRoom)?;
        let is_base = self.bases.contains_key(&hash);
        if is_base {
            name_parents(work, dag, &header);
        }
        let parents = known_parents(dag, &header);
        let ghostdag = match trusted.and_then(|place| work.kept(TRUSTED, place)) {
            Some(bytes) => {
                let block = TrustedBlock::decode(&bytes).map_err(|_| ImportFault::Trusted)?;
                Ghostdag::decode(block.ghostdag).map_err(|_| ImportFault::Trusted)?
            }
            None => Ghostdag::default(),
        };
        let rank = match (is_base, trusted) {
            (true, _) => Rank::Base,
            (false, Some(_)) => Rank::Trusted,
            (false, None) => Rank::Proof,
        };
        let node = imported(dag, &header, hash, entry.level, rank, &ghostdag, parents)?;
        // What is below the base is not served: its header is kept as it came, and not once more.
        let bytes = if rank.is_below() { Bytes::new() } else { header.encode() };
        work.push(Change::Header { number: dag.count(), header: bytes, row: node::encode(&node) });
        let number = dag.restore(node);
        check(dag, number, &header, &ghostdag)
    }
}

/// Makes blocks known that a block at the base names as parents on levels above its own, and of which nothing else came.
fn name_parents(work: &mut Work<'_>, dag: &mut Dag, header: &Header) {
    let above = header.parents.runs().filter(|(levels, _)| *levels > 1).flat_map(|(_, hashes)| hashes);
    let unknown: BTreeSet<Hash> = above.filter(|hash| dag.number(hash).is_none()).copied().collect();
    for hash in unknown {
        let node = Node { hash, rank: Rank::Named, parents: [GENESIS].into(), ..blank() };
        let (number, row) = (dag.count(), node::encode(&node));
        work.push(Change::Header { number, header: Bytes::new(), row });
        dag.add_imported(node);
    }
}

/// Parents on all levels that are here; the first block when there is none.
fn known_parents(dag: &Dag, header: &Header) -> BTreeSet<Number> {
    let listed = header.parents.hashes().iter().filter_map(|hash| dag.number(hash));
    let mut parents: BTreeSet<Number> = listed.collect();
    if parents.is_empty() {
        parents.insert(GENESIS);
    }
    parents
}

fn imported(
    dag: &Dag,
    header: &Header,
    hash: Hash,
    level: u8,
    rank: Rank,
    ghostdag: &Ghostdag,
    parents: BTreeSet<Number>,
) -> Taken<Node> {
    let known = |hashes: &[Hash]| hashes.iter().filter_map(|hash| dag.number(hash)).collect::<Vec<Number>>();
    let highest = parents.iter().copied().filter(|parent| dag.node(*parent).rank != Rank::Named);
    let highest = highest.max_by(|one, other| dag.compare(*one, *other)).unwrap_or(GENESIS);
    let selected = dag.number(&ghostdag.selected_parent).filter(|_| !ghostdag.blues.is_empty());
    // Its merge set is worth something only on its selected parent.
    let (blues, reds) = match selected {
        Some(_) => (known(&ghostdag.blues), known(&ghostdag.reds)),
        None => (Vec::new(), Vec::new()),
    };
    let sizes = ghostdag.anticone_sizes.iter().filter_map(|(blue, size)| Some((dag.number(blue)?, *size)));
    let mut anticones: Vec<(Number, u16)> = sizes.collect();
    anticones.sort_unstable();
    let levels = if rank == Rank::Base { levels(dag, header) } else { Levels::default() };
    Ok(Node {
        hash,
        timestamp: header.timestamp,
        bits: header.bits,
        daa_score: header.daa_score,
        blue_score: header.blue_score,
        blue_work: from_wire(&header.blue_work),
        selected_parent: selected.unwrap_or(highest),
        level,
        rank,
        blues: u16::try_from(blues.len()).map_err(|_| ImportFault::Trusted)?,
        merge_set: blues.into_iter().chain(reds).collect(),
        parents: parents.into_iter().collect(),
        levels,
        anticones: anticones.into(),
        ..blank()
    })
}

/// The parents on each level, all of them known by now but for those on level 0.
fn levels(dag: &Dag, header: &Header) -> Levels {
    let known = |hashes: &[Hash]| hashes.iter().filter_map(|hash| dag.number(hash)).collect();
    Levels::of_runs(header.parents.runs().map(|(end, hashes)| (u32::from(end), known(hashes))))
}

/// Whether what GHOSTDAG made of a block fits together, where all that it merges is here; and, at the base, its bits and
/// its score by its window.
fn check(dag: &Dag, number: Number, header: &Header, ghostdag: &Ghostdag) -> Taken<()> {
    let node = dag.node(number);
    let count = ghostdag.blues.len() + ghostdag.reds.len();
    let parent = dag.node(node.selected_parent);
    let is_on_window =
        parent.rank != Rank::Proof && dag.number(&ghostdag.selected_parent) == Some(node.selected_parent);
    if node.rank == Rank::Base && !is_on_window {
        return Err(ImportFault::Trusted);
    }
    // A block that is merged late is below the windows, and does not come.
    if !is_on_window || node.merge_set.len() < count {
        return Ok(());
    }
    let works = node.blues().iter().map(|blue| dag.node(*blue).work);
    let blue_work = works.fold(parent.blue_work, Amount::saturating_add);
    let adds_up = node.blue_score == parent.blue_score + u64::from(node.blues) && node.blue_work == blue_work;
    if !adds_up || usize::from(node.blues) > usize::from(dag.params.rate.k) + 1 {
        return Err(ImportFault::Trusted);
    }
    if node.rank == Rank::Base {
        let mut merged: Vec<Number> =
            node.merge_set.iter().copied().filter(|block| *block != node.selected_parent).collect();
        merged.sort_unstable_by(|one, other| dag.compare(*other, *one));
        let outlook = dag.look_back(node.selected_parent, node.blue_score, &merged);
        if outlook.daa_score != header.daa_score || outlook.bits != header.bits {
            return Err(ImportFault::Trusted);
        }
    }
    Ok(())
}

fn body_of(block: &Bytes, dag: &Dag) -> Taken<Bytes> {
    let view = BlockView::decode(block).map_err(|_| ImportFault::Body)?;
    let header = view.header().map_err(|_| ImportFault::Body)?;
    let (blue_score, daa_score) = (header.blue_score, header.daa_score);
    let frame = Frame { merkle_root: header.hash_merkle_root, blue_score, daa_score, median_time: u64::MAX };
    Body::judge(view.transactions(), &frame, &dag.params).map(|body| body.bytes).map_err(|_| ImportFault::Body)
}

/// A block of which nothing is known.
fn blank() -> Node {
    Node {
        hash: Hash::ZERO,
        timestamp: 0,
        bits: 0,
        work: work_of(0x207f_ffff),
        daa_score: 0,
        blue_score: 0,
        blue_work: Amount::ZERO,
        selected_parent: GENESIS,
        depth: 0,
        jump: GENESIS,
        level: 0,
        rank: Rank::Named,
        held: Held::Header,
        blues: 0,
        merge_set: [].into(),
        parents: [].into(),
        levels: Levels::default(),
        anticones: [].into(),
        difficulty: Arc::default(),
        median: Arc::default(),
    }
}
