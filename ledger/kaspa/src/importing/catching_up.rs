//! Puts the state at a new pruning point on top of the headers that are served (Kaspa spec, sections 4.6.3 and 4.6.4, the
//! kind CatchUp).
//!
//! What a full node also does and a ledger without outputs has no use for: its virtual block and its set of outputs begin
//! anew at the pruning point. What it need not do and we must: keep a proof and trusted blocks as they came, since it
//! makes those that it serves from stores that are not here. They are judged as those of an import are.

use super::{BODIES, MARKS, Staging, Step, Taken, Turn, Way};
use crate::body::{Body, Frame};
use crate::dag::GENESIS;
use crate::node::{Held, Number};
use crate::store::{Change, Write};
use crate::taking::Work;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::{BlockOutcome, Branch, Fault, ImportFault, Progress};
use polypeer_kaspa::wire::{BlockBody, Header};
use std::collections::BTreeMap;

/// Blocks without bodies at the pruning point: each in a DAG of the main network's rate has some hundred beside it.
const AT_POINT_MAX: usize = 4_096;

/// Blocks at the pruning point whose bodies are not held, by their hash: number and merkle root.
pub(super) type AtPoint = BTreeMap<Hash, (Number, Hash)>;

impl Turn<'_> {
    /// Which kind of sync it takes with a peer whose chain is shared up to a block.
    pub(super) fn compare(&self, known: &Hash, point: &Hash) -> Branch {
        let (dag, base) = (&*self.work.dag, self.work.dag.base());
        if !dag.held(known).is_some_and(|known| dag.is_chain_ancestor(base, known)) {
            return Branch::Conflict;
        }
        match dag.held(point).map(|point| (point, dag.node(point).held)) {
            Some((_, Held::Full)) => Branch::Sync,
            Some((point, Held::Header)) if dag.is_chain_ancestor(base, point) => Branch::CatchUp,
            _ if self.is_lagging(point) => Branch::Sync,
            _ => Branch::Strange,
        }
    }

    /// Whether this is one of the pruning points before ours. Today's node takes the last four, since what it lacks at its
    /// own it may have to ask for; here nothing is lacking, and a node of ours that follows the network keeps its pruning
    /// point for long.
    fn is_lagging(&self, point: &Hash) -> bool {
        let all = self.work.reading.and_then(|it| it.page(super::POINTS, 0, usize::MAX, usize::MAX).ok());
        let hash = |bytes: &Bytes| Header::decode(bytes).map(|header| header.hash());
        all.is_some_and(|(all, _)| all.iter().any(|bytes| hash(bytes).as_ref() == Ok(point)))
    }

    /// Begins to catch up, or goes on.
    pub(super) fn catch_up(&mut self, point: Hash, sink: &Hash) -> Taken<Progress> {
        self.work.room.ok_or(ImportFault::NoRoom)?;
        let dag = &*self.work.dag;
        let (number, sink) = dag.held(&point).zip(dag.held(sink)).ok_or(ImportFault::Path)?;
        if dag.node(number).held == Held::Full {
            return Err(ImportFault::ProofPoint);
        }
        // Else what leads would lead no more.
        if dag.node(number).blue_work <= dag.node(dag.sink()).blue_work {
            return Err(ImportFault::ProofWork);
        }
        self.check_path(number, sink)?;
        let header = self.header(number)?;
        let commitments = self.commitments(number)?;
        let at_point = self.at_point(number, sink)?;
        self.begin_anew(Way::CatchUp, point)?;
        let staging = self.staging.as_mut().ok_or(ImportFault::OutOfOrder)?;
        (staging.point, staging.commitments, staging.at_point) = (Some((point, header)), Some(commitments), at_point);
        Ok(staging.progress())
    }

    /// Whether the headers make a block a pruning point, as a full node asks: the first of its chain beyond a multiple of
    /// the finality depth; deep enough below the sink, and on its chain; named by headers on the way to the sink; and
    /// above ours, on a path of pruning points.
    fn check_path(&mut self, point: Number, sink: Number) -> Taken<()> {
        let (dag, rate) = (&*self.work.dag, self.work.dag.params.rate);
        let (score, parent) = (dag.node(point).blue_score, dag.node(dag.node(point).selected_parent));
        let is_sample = score / rate.finality_depth > parent.blue_score / rate.finality_depth;
        let is_deep = dag.node(sink).blue_score >= score.saturating_add(rate.pruning_depth);
        let is_between = point != dag.base() && dag.is_chain_ancestor(dag.base(), point);
        if !is_sample || !is_deep || !is_between || !dag.is_chain_ancestor(point, sink) {
            return Err(ImportFault::Path);
        }
        let is_named = self.is_named(point, sink)? && self.leads_back(point)?;
        if is_named { Ok(()) } else { Err(ImportFault::Path) }
    }

    /// Whether the lowest block of the sink's chain whose header names this pruning point or a later one names this. Along
    /// a chain they only rise, so that it is found by halves.
    fn is_named(&mut self, point: Number, sink: Number) -> Taken<bool> {
        let (mut low, mut high) = (self.work.dag.node(point).depth, self.work.dag.node(sink).depth);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let named = self.named_at(middle, sink)?;
            if self.is_as_high(&named, point) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Ok(self.named_at(high, sink)? == self.work.dag.node(point).hash)
    }

    /// The pruning point that a block of the sink's chain names.
    fn named_at(&mut self, depth: u32, sink: Number) -> Taken<Hash> {
        let block = self.work.dag.at_depth(sink, depth);
        Ok(self.header(block)?.pruning_point)
    }

    /// Whether a pruning point that is named is this one or a later one. What is not known is from before ours.
    fn is_as_high(&self, named: &Hash, point: Number) -> bool {
        let score = |number: Number| self.work.dag.node(number).blue_score;
        self.work.dag.number(named).is_some_and(|named| score(named) >= score(point))
    }

    /// Whether the pruning points that headers name, from this one down, stand on its chain as far as ours.
    fn leads_back(&mut self, point: Number) -> Taken<bool> {
        let base = self.work.dag.base();
        let mut walk = point;
        loop {
            let named = self.header(walk)?.pruning_point;
            let dag = &*self.work.dag;
            let Some(next) = dag.held(&named) else {
                // It is from before what was imported.
                return Ok(base != GENESIS);
            };
            if dag.node(next).blue_score <= dag.node(base).blue_score {
                return Ok(true);
            }
            if next >= walk || !dag.is_chain_ancestor(next, point) {
                return Ok(false);
            }
            walk = next;
        }
    }

    fn header(&mut self, number: Number) -> Taken<Header> {
        let bytes = self.work.header(number).ok_or(ImportFault::NoRoom)?;
        Header::decode(&bytes).map_err(|_| ImportFault::NoRoom)
    }

    /// What the pruning point's sequencing commitment is made with, of our own headers.
    fn commitments(&mut self, point: Number) -> Taken<[Hash; 2]> {
        let dag = &*self.work.dag;
        let highest = super::state::lanes_forgotten_below(dag.node(point).blue_score, &dag.params);
        let parent = dag.node(point).selected_parent;
        let below = if dag.node(parent).blue_score > highest {
            let lowest = dag.lowest(parent, |node| node.blue_score > highest);
            dag.node(lowest).selected_parent
        } else {
            parent
        };
        Ok([self.header(parent)?.accepted_id_merkle_root, self.header(below)?.accepted_id_merkle_root])
    }

    /// The pruning point and what is parallel to it in the sink's past, as far as bodies are missing.
    fn at_point(&mut self, point: Number, sink: Number) -> Taken<AtPoint> {
        let dag = &*self.work.dag;
        let is_parallel = |block: Number| {
            dag.is_ancestor(block, sink) && !dag.is_ancestor(block, point) && !dag.is_ancestor(point, block)
        };
        let all = (0..dag.count()).filter(|block| dag.node(*block).held != Held::Full);
        let above = all.filter(|block| !dag.node(*block).rank.is_below());
        let blocks: Vec<Number> =
            above.filter(|block| *block == point || is_parallel(*block)).take(AT_POINT_MAX + 1).collect();
        if blocks.len() > AT_POINT_MAX {
            return Err(ImportFault::NoRoom);
        }
        let mut at_point = AtPoint::new();
        for block in blocks {
            let node = self.work.dag.node(block);
            let (hash, is_invalid) = (node.hash, node.held == Held::Invalid);
            if is_invalid {
                return Err(ImportFault::Path);
            }
            at_point.insert(hash, (block, self.header(block)?.hash_merkle_root));
        }
        Ok(at_point)
    }

    /// Whether what is being imported is caught up with.
    pub(super) fn catches_up(&self) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.way == Way::CatchUp)
    }

    /// Blocks at the pruning point whose bodies did not come yet, from below. When there is none the stage is over.
    pub(super) fn missing_at_point(&mut self) -> Vec<Hash> {
        let missing = self.stage(|staging, work| {
            let wanted = staging.at_point.iter().map(|(hash, (number, _))| (*number, *hash));
            let mut missing: Vec<(Number, Hash)> =
                wanted.filter(|(number, _)| work.kept(BODIES, u64::from(*number)).is_none()).collect();
            missing.sort_unstable();
            if missing.is_empty() && staging.step == Step::Bodies {
                staging.goes_on(work)?;
            }
            Ok(missing.into_iter().map(|(_, hash)| hash).collect())
        });
        missing.unwrap_or_default()
    }

    /// Takes bodies at the pruning point; what was wrong with the first that is.
    pub(super) fn take_at_point(&mut self, bodies: &[(Hash, Bytes)]) -> Option<BlockOutcome> {
        if self.work.room.is_none() {
            return Some(BlockOutcome::NoRoom);
        }
        let staging = self.staging.take()?;
        let fault = self.with_work(None, |work| {
            bodies.iter().find_map(|(hash, body)| staging.take_at_point(work, hash, body).err())
        });
        *self.staging = Some(staging);
        fault
    }

    /// The pruning point moves: what it needs is there, and what a fresh node will ask for.
    pub(super) fn finish_catch_up(&mut self, staging: Staging) -> Taken<()> {
        let dag = &*self.work.dag;
        let point = dag.held(&staging.target).ok_or(ImportFault::OutOfOrder)?;
        if dag.node(point).blue_work <= dag.node(dag.sink()).blue_work {
            self.abandon()?;
            return Err(ImportFault::ProofWork);
        }
        let mut bodies = Vec::new();
        for (number, _) in staging.at_point.values() {
            let body = self.with_work(None, |work| work.kept(BODIES, u64::from(*number)));
            bodies.push((*number, body.ok_or(ImportFault::Incomplete)?));
        }
        bodies.sort_unstable_by_key(|(number, _)| *number);
        self.with_work(None, |work| work.forget((BODIES, MARKS)));
        let kept = self.work.reading.map(|reading| reading.kept_bytes((0, u16::MAX)));
        let freed = kept.transpose().ok().flatten().unwrap_or_default();
        bodies.iter().for_each(|(number, body)| self.work.push(Change::Body { number: *number, body: body.clone() }));
        self.work.writes.push(Write::Rebase { base: point, freed });
        self.rebased.get_or_insert(self.work.dag.base());
        self.work.dag.rebase(point);
        // The pruning point leads before those beside it.
        self.work.dag.fill(point);
        bodies.iter().filter(|(number, _)| *number != point).for_each(|(number, _)| self.work.dag.fill(*number));
        (self.staged, self.staged_reading, self.has_staged) = (Default::default(), None, false);
        Ok(())
    }
}

impl Staging {
    fn take_at_point(&self, work: &mut Work<'_>, hash: &Hash, bytes: &Bytes) -> Result<(), BlockOutcome> {
        let invalid = BlockOutcome::Invalid;
        let (number, merkle_root) = *self.at_point.get(hash).ok_or(BlockOutcome::ParentsUnknown(vec![*hash]))?;
        if work.kept(BODIES, u64::from(number)).is_some() {
            return Ok(());
        }
        let body = BlockBody::decode(bytes).map_err(|_| invalid(Fault::Malformed))?;
        let node = work.dag.node(number);
        let median_time = node.median.time(work.dag.node(node.selected_parent).timestamp);
        let (blue_score, daa_score) = (node.blue_score, node.daa_score);
        let frame = Frame { merkle_root, blue_score, daa_score, median_time };
        let body = Body::judge(body.0.slices(), &frame, &work.dag.params).map_err(invalid)?;
        work.keep(BODIES, u64::from(number), &body.bytes).map_err(|_| BlockOutcome::NoRoom)
    }

    /// Judges proof and trusted blocks as an import does, and forgets what it built: a fresh node will build the same of
    /// them.
    pub(super) fn try_build(&self, work: &mut Work<'_>) -> Taken<()> {
        let (writes, room) = (std::mem::take(&mut work.writes), work.room);
        let built = self.build(work);
        (work.writes, work.room) = (writes, room);
        built?;
        let is_whole = self.at_point.keys().all(|hash| self.bases.contains_key(hash));
        if is_whole { Ok(()) } else { Err(ImportFault::Blocks) }
    }
}
