//! Imports the state of a pruned network, and serves what was imported (Kaspa spec, sections 4.6.6 to 4.6.9).
//!
//! What comes is staged beside what is served, in tables of its own, and takes its place with one commit. A faulty piece
//! leaves what is served as it was.
//!
//! There are two ways (section 4.6.3). By the proof, a DAG is built beside the one that is served, and replaces it. On top
//! of our headers ([`catching_up`]), the one that is served gets the bodies at its new pruning point, and what a fresh
//! node will ask for; headers and bodies below stay.
//!
//! Each stage that is whole is marked, and the mark is durable with it ([`resuming`]): a stage that was broken off comes
//! anew, and no other.
//!
//! What is checked: levels, places and proof of work of the proof's headers, that each has its parents before it, that
//! the pruning point ends it, that it claims more work than what is held and, where blocks cost work, shows about as
//! much; and on its levels more than the proof that is kept ([`comparing`]); that pruning points lead from the first
//! block to it; what GHOSTDAG made of the trusted blocks, as far as they show it, and bits and score of those at the base
//! by their windows; that the headers lead to a clearly younger block; bodies; the sequencing commitment, the lanes and
//! their proofs; the outputs. What is not: the blue work that the pruning point claims is only compared with what levels
//! show, of which all blocks count and not the blue ones alone.

mod base;
mod blocks;
mod catching_up;
mod comparing;
mod proof;
mod resuming;
mod state;

use crate::dag::Dag;
use crate::fresh::{Fresh, Invalid};
use crate::mempool::Mempool;
use crate::node::Number;
use crate::store::{Change, Write};
use crate::tables::Reading;
use crate::taking::Work;
use bytes::Bytes;
use catching_up::AtPoint;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::hash::{LanesTree, MuHash};
use polypeer_kaspa::ledger::{
    Answer, BlockOutcome, Import, ImportFault, Imported, Keep, KeptPage, Progress, Request, Status,
};
use polypeer_kaspa::wire::{Header, SmtMetadata};
use proof::Proof;
use std::collections::HashMap;

/// Parts of what is kept: a level of the proof is its number.
const POINTS: u16 = 256;
const TRUSTED: u16 = 257;
const BLOCKS: u16 = 258;
const METADATA: u16 = 259;
const LANES: u16 = 260;
const OUTPUTS: u16 = 261;
/// Bodies at the pruning point that is caught up with, by the blocks' numbers; not kept beyond the end.
const BODIES: u16 = 262;
/// How far it is; not kept beyond the end. A commit with one of these is durable.
pub(crate) const MARKS: u16 = 263;
/// Headers of a proof and of what comes with it, in about 100 MiB while they are staged: ten times what the main
/// network's has.
const HEADERS_MAX: usize = 1 << 20;

type Taken<T> = Result<T, ImportFault>;

/// How the state comes to stand on the pruning point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By the proof, beside what is served.
    Proof,
    /// On top of the headers that are served.
    CatchUp,
}

impl Way {
    const ALL: [Self; 2] = [Self::Proof, Self::CatchUp];

    /// Its stages, in their order.
    fn steps(self) -> &'static [Step] {
        use Step::{Blocks, Bodies, Lanes, Outputs, Points, Proof, Trusted, Whole};
        match self {
            Self::Proof => &[Proof, Points, Trusted, Blocks, Lanes, Outputs, Whole],
            Self::CatchUp => &[Bodies, Lanes, Outputs, Proof, Points, Trusted, Blocks, Whole],
        }
    }
}

/// Which stage is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Bodies at the pruning point, where its header is held.
    Bodies,
    Proof,
    Points,
    Trusted,
    Blocks,
    Lanes,
    Outputs,
    /// None: all is there that the pruning point needs.
    Whole,
}

/// A header that came, and where it is kept.
#[derive(Clone, Copy, Debug)]
struct Entry {
    blue_work: crate::work::Work,
    level: u8,
    part: u16,
    place: u64,
}

/// What is being imported.
pub(crate) struct Staging {
    way: Way,
    /// The pruning point whose state it is.
    target: Hash,
    step: Step,
    proof: Proof,
    /// The pruning point, once its header is believed.
    point: Option<(Hash, Header)>,
    entries: HashMap<Hash, Entry>,
    /// Places of trusted blocks, and how many there are.
    trusted: HashMap<Hash, u64>,
    /// Blocks at the base with their places, and how many items there are with the headers below.
    bases: HashMap<Hash, u64>,
    blocks: u64,
    /// Places of the headers of the chain below.
    chain: HashMap<Hash, u64>,
    /// The last block of the chain below the pruning point that is here.
    below: Option<Header>,
    /// What is built of it.
    dag: Option<Dag>,
    /// Sequencing commitments that the pruning point's is made with: its parent's, and that of the block of its chain
    /// below which lanes are forgotten.
    commitments: Option<[Hash; 2]>,
    /// Blocks whose bodies are wanted at the pruning point that is caught up with.
    at_point: AtPoint,
    lanes: Option<(SmtMetadata, LanesTree, u64)>,
    outputs: MuHash,
    output_count: u64,
}

impl Staging {
    fn new(way: Way, target: Hash, level_max: u8) -> Self {
        Self {
            way,
            target,
            step: way.steps()[0],
            proof: Proof::new(level_max),
            point: None,
            entries: HashMap::new(),
            trusted: HashMap::new(),
            bases: HashMap::new(),
            blocks: 0,
            chain: HashMap::new(),
            below: None,
            dag: None,
            commitments: None,
            at_point: AtPoint::default(),
            lanes: None,
            outputs: MuHash::default(),
            output_count: 0,
        }
    }

    /// Whether a piece of this step may come now.
    fn at(&self, step: Step) -> Taken<()> {
        if self.step == step { Ok(()) } else { Err(ImportFault::OutOfOrder) }
    }

    /// Whether a stage is behind it.
    fn is_past(&self, step: Step) -> bool {
        let place = |of: Step| self.way.steps().iter().position(|it| *it == of);
        place(step) < place(self.step)
    }

    /// What need not come again.
    fn progress(&self) -> Progress {
        let [proof, base, lanes, outputs] =
            [Step::Proof, Step::Blocks, Step::Lanes, Step::Outputs].map(|step| self.is_past(step));
        Progress { proof, base, lanes, outputs }
    }

    fn enter(&mut self, hash: Hash, entry: Entry) -> Taken<()> {
        self.entries.entry(hash).or_insert(entry);
        if self.entries.len() > HEADERS_MAX { Err(ImportFault::NoRoom) } else { Ok(()) }
    }
}

/// A batch at work on what is served, and on what is being imported.
pub(crate) struct Turn<'a> {
    pub(crate) work: Work<'a>,
    staging: &'a mut Option<Staging>,
    staged_reading: Option<&'a Reading>,
    staged: Fresh,
    /// Whether something was staged before the batch.
    has_staged: bool,
    replaced: Option<Dag>,
    rebased: Option<Number>,
}

/// What a batch leaves.
pub(crate) struct Done {
    pub(crate) fresh: Fresh,
    pub(crate) changes: Vec<Write>,
    pub(crate) operators: Vec<Hash>,
    pub(crate) is_broken: bool,
    /// What was served before an import took its place.
    pub(crate) replaced: Option<Dag>,
    /// The pruning point before another one was caught up with.
    pub(crate) rebased: Option<Number>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(
        work: Work<'a>,
        staging: &'a mut Option<Staging>,
        staged_reading: Option<&'a Reading>,
        has_staged: bool,
    ) -> Self {
        Self { work, staging, staged_reading, staged: Fresh::default(), has_staged, replaced: None, rebased: None }
    }

    pub(crate) fn done(self) -> Done {
        let Work { fresh, writes, operators, is_broken, .. } = self.work;
        Done { fresh, changes: writes, operators, is_broken, replaced: self.replaced, rebased: self.rebased }
    }

    /// The answer; nothing to a request that has none.
    pub(crate) fn answer(&mut self, request: &Request) -> Option<Answer> {
        match request {
            Request::Import(import) => Some(Answer::Imported(self.import(import))),
            Request::Kept { keep, count_max, bytes_max } => {
                Some(Answer::Kept(self.kept(*keep, *count_max as usize, *bytes_max as usize)))
            }
            _ => self.work.answer(request),
        }
    }

    fn import(&mut self, import: &Import) -> Imported {
        match import {
            Import::Compare { known, point } => Imported::Branch(self.compare(known, point)),
            Import::Begin(point) => Imported::Begun(self.begin(*point)),
            Import::CatchUp { point, sink } => Imported::Begun(self.catch_up(*point, sink)),
            Import::Abandon => Imported::Taken(self.abandon()),
            Import::Proof { level, headers } => self.piece(|it, work| it.take_proof(work, *level, headers)),
            Import::ProofEnd => Imported::Proof(self.end_proof()),
            Import::PruningPoints(headers) => self.piece(|it, work| it.take_points(work, headers)),
            Import::Trusted(blocks) => self.piece(|it, work| it.take_trusted(work, blocks)),
            Import::TrustedEnd => self.piece(Staging::end_trusted),
            Import::Blocks(blocks) => self.piece(|it, work| it.take_blocks(work, blocks)),
            Import::BlocksEnd => self.piece(Staging::end_blocks),
            Import::Headers(headers) => {
                Imported::HeadersTaken(self.on_dag(|work| work.take_headers(headers).1, Some(BlockOutcome::NoRoom)))
            }
            Import::Statuses(hashes) => {
                let unknown = vec![Status::Unknown; hashes.len()];
                Imported::Statuses(self.on_dag(|work| work.statuses(hashes), unknown))
            }
            Import::LanesBegin { metadata, count } => self.piece(|it, work| it.begin_lanes(work, metadata, *count)),
            Import::Lanes(lanes) => self.piece(|it, work| it.take_lanes(work, lanes)),
            Import::Outputs(outputs) => self.piece(|it, work| it.take_outputs(work, outputs)),
            Import::OutputsEnd => self.piece(Staging::end_outputs),
            Import::MissingBodies { .. } if self.catches_up() => Imported::MissingBodies(self.missing_at_point()),
            Import::Bodies(bodies) if self.catches_up() => Imported::BodiesTaken(self.take_at_point(bodies)),
            Import::MissingBodies { of, count_max } => {
                Imported::MissingBodies(self.on_dag(|work| work.missing_bodies(of, *count_max), Vec::new()))
            }
            Import::Bodies(bodies) => {
                Imported::BodiesTaken(self.on_dag(|work| work.take_bodies(bodies).1, Some(BlockOutcome::NoRoom)))
            }
            Import::Finish => Imported::Finished(self.finish().map(|()| self.work.state())),
        }
    }

    fn begin(&mut self, point: Hash) -> Taken<Progress> {
        self.begin_anew(Way::Proof, point)?;
        Ok(self.staging.as_ref().map(Staging::progress).unwrap_or_default())
    }

    /// Goes on with what is staged of this pruning point, or begins.
    fn begin_anew(&mut self, way: Way, point: Hash) -> Taken<()> {
        self.work.room.ok_or(ImportFault::NoRoom)?;
        let is_same = self.staging.as_ref().is_some_and(|staging| (staging.way, staging.target) == (way, point));
        if !is_same {
            self.abandon()?;
            *self.staging = Some(Staging::new(way, point, self.work.dag.params.level_max));
        }
        self.stage(|staging, work| staging.rewind(work))
    }

    fn abandon(&mut self) -> Taken<()> {
        *self.staging = None;
        self.staged = Fresh::default();
        self.staged_reading = None;
        self.work.room.ok_or(ImportFault::NoRoom)?;
        if self.has_staged || self.work.writes.iter().any(|write| matches!(write, Write::Staged(_))) {
            self.work.writes.push(Write::Clear);
        }
        self.has_staged = false;
        Ok(())
    }

    /// What is staged becomes what is served.
    fn finish(&mut self) -> Taken<()> {
        self.work.room.ok_or(ImportFault::NoRoom)?;
        let staging = self.staging.take().ok_or(ImportFault::OutOfOrder)?;
        if staging.step != Step::Whole {
            *self.staging = Some(staging);
            return Err(ImportFault::Incomplete);
        }
        if staging.way == Way::CatchUp {
            return self.finish_catch_up(staging);
        }
        let dag = staging.dag.ok_or(ImportFault::Incomplete)?;
        // What is held may have grown meanwhile.
        if dag.node(dag.sink()).blue_work <= self.work.dag.node(self.work.dag.sink()).blue_work {
            self.abandon()?;
            return Err(ImportFault::ProofWork);
        }
        self.with_work(None, |work| work.forget((BODIES, MARKS)));
        self.work.writes.push(Write::Switch(dag.base()));
        let before = std::mem::replace(self.work.dag, dag);
        self.replaced.get_or_insert(before);
        // What the batch has taken of the old DAG is gone with it.
        self.work.fresh = std::mem::take(&mut self.staged);
        self.work.reading = self.staged_reading.take();
        Ok(())
    }

    /// Compares with the proof that is kept, where something was imported before.
    fn end_proof(&mut self) -> Taken<Hash> {
        let kept = self.work.reading.filter(|_| self.work.dag.base() != crate::dag::GENESIS);
        let held = |level: u8| {
            let page = kept.and_then(|reading| reading.page(u16::from(level), 0, usize::MAX, usize::MAX).ok());
            page.map(|(headers, _)| headers)
        };
        self.stage(|staging, work| staging.end_proof(work, held))
    }

    fn piece(&mut self, take: impl FnOnce(&mut Staging, &mut Work<'_>) -> Taken<()>) -> Imported {
        Imported::Taken(self.stage(take))
    }

    /// Works on what is staged. After a fault nothing is left of the stage, nor of others that may have led to it.
    fn stage<T>(&mut self, take: impl FnOnce(&mut Staging, &mut Work<'_>) -> Taken<T>) -> Taken<T> {
        self.work.room.ok_or(ImportFault::NoRoom)?;
        let mut staging = self.staging.take().ok_or(ImportFault::OutOfOrder)?;
        let taken = self.with_work(None, |work| take(&mut staging, work));
        let stays = match &taken {
            Ok(_) => true,
            // What does not fit gives its room back.
            Err(ImportFault::NoRoom) => false,
            Err(_) => self.with_work(None, |work| staging.falls_back(work)),
        };
        if stays {
            *self.staging = Some(staging);
        } else {
            self.abandon().ok();
        }
        taken
    }

    /// Works on the staged DAG; it is there once its base is.
    fn on_dag<T>(&mut self, take: impl FnOnce(&mut Work<'_>) -> T, otherwise: T) -> T {
        let Some(mut staging) = self.staging.take() else { return otherwise };
        let taken = match staging.dag.take() {
            Some(mut dag) => {
                let taken = self.with_work(Some(&mut dag), take);
                staging.dag = Some(dag);
                taken
            }
            None => otherwise,
        };
        *self.staging = Some(staging);
        taken
    }

    /// Lets something work whose changes are staged. What it does to the mempool and to the memory of invalid blocks is
    /// forgotten: the network that it is on may never be ours.
    fn with_work<T>(&mut self, dag: Option<&mut Dag>, take: impl FnOnce(&mut Work<'_>) -> T) -> T {
        let (mut mempool, mut invalid) = (Mempool::new(0), Invalid::default());
        let mut work = Work {
            dag: dag.unwrap_or(self.work.dag),
            mempool: &mut mempool,
            invalid: &mut invalid,
            reading: self.staged_reading,
            fresh: std::mem::take(&mut self.staged),
            writes: std::mem::take(&mut self.work.writes),
            wrap: Write::Staged,
            room: self.work.room,
            operators: Vec::new(),
            now: self.work.now,
            is_broken: false,
        };
        let taken = take(&mut work);
        let Work { fresh, writes, room, is_broken, .. } = work;
        (self.staged, self.work.writes, self.work.room) = (fresh, writes, room);
        self.work.is_broken |= is_broken;
        taken
    }

    /// A page of what was imported; nothing when nothing was.
    fn kept(&self, keep: Keep, count_max: usize, bytes_max: usize) -> Option<KeptPage> {
        // What was kept before the pruning point moved is not of this one.
        let is_of_base = self.work.dag.base() != crate::dag::GENESIS && self.rebased.is_none();
        let reading = self.work.reading.filter(|_| is_of_base)?;
        let (part, from) = match keep {
            Keep::Proof { level, from } => (u16::from(level), u64::from(from)),
            Keep::PruningPoints => (POINTS, 0),
            Keep::Trusted(from) => (TRUSTED, from),
            Keep::Blocks(from) => (BLOCKS, from),
            Keep::LanesBegin => (METADATA, 0),
            Keep::Lanes(from) => (LANES, from),
            Keep::Outputs(from) => (OUTPUTS, from),
        };
        let (items, is_last) = reading.page(part, from, count_max, bytes_max).ok()?;
        Some(KeptPage { items, is_last })
    }
}

impl Work<'_> {
    /// Keeps an item of an import as it came.
    fn keep(&mut self, part: u16, place: u64, bytes: &Bytes) -> Taken<()> {
        let change = Change::Kept { part, place, bytes: bytes.clone() };
        self.room.filter(|room| change.bytes() <= *room).ok_or(ImportFault::NoRoom)?;
        self.push(change);
        Ok(())
    }
}
