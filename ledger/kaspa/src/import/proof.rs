//! Judges the proof of a pruning point: for each level headers of at least that level, from the highest level down
//! (Kaspa spec, section 4.6.6).
//!
//! A block of level l took about 2^l times the work of any, so that a few thousand blocks of the right levels show the
//! work of a whole history. What is looked at is each header alone and its place among those of its level; nothing of
//! the blocks in between is known.

use super::PROOF_HEADERS_MAX;
use crate::header::is_worked;
use crate::params::Params;
use crate::work::{Work, from_wire, work};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::Header;
use std::collections::{BTreeMap, HashMap, HashSet};

/// By how much the work that a proof shows may fall short of what is held: luck moves what is counted from few blocks.
const LUCK_BITS: u32 = 3;

/// Where a header of the proof stands, and what it takes to find its place in the DAG.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// The level whose list has it first.
    pub(crate) list: u8,
    /// Its place there.
    pub(crate) at: u32,
    /// Its own level.
    pub(crate) level: u8,
    pub(crate) blue_work: Work,
}

/// A proof that comes in.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The level that comes, and what is known of it; nothing before the first.
    level: Option<Level>,
    /// The last header of each level that is whole.
    tips: BTreeMap<u8, Hash>,
    /// All headers but the first block's.
    found: HashMap<Hash, Found>,
    /// The most work that one level shows.
    shown: Work,
    last: Option<Header>,
}

/// A level that comes in.
#[derive(Debug)]
struct Level {
    level: u8,
    here: HashSet<Hash>,
    /// Parents that were named and were not there before.
    missed: HashSet<Hash>,
    tip: Hash,
    /// What its headers show together.
    shown: Work,
}

/// A proof that holds.
#[derive(Debug)]
pub(crate) struct Proved {
    pub(crate) point: Header,
    pub(crate) hash: Hash,
    pub(crate) found: HashMap<Hash, Found>,
}

impl Proof {
    pub(crate) fn new() -> Self {
        Self { level: None, tips: BTreeMap::new(), found: HashMap::new(), shown: Work::ZERO, last: None }
    }

    /// Takes headers of a level. The place of the first among those of its level.
    pub(crate) fn take(&mut self, level: u8, headers: &[Bytes], params: &Params) -> Result<u32, ImportFault> {
        self.begin(level, params)?;
        if headers.is_empty() {
            return Err(ImportFault::Levels);
        }
        let first = self.level.as_ref().map_or(0, |level| level.here.len() as u32);
        headers.iter().try_for_each(|bytes| self.take_header(level, bytes, params))?;
        Ok(first)
    }

    /// Ends the level before, if this is the next.
    fn begin(&mut self, level: u8, params: &Params) -> Result<(), ImportFault> {
        let expected = match &self.level {
            None => params.level_max,
            Some(now) if now.level == level => return Ok(()),
            Some(now) => now.level.checked_sub(1).ok_or(ImportFault::Levels)?,
        };
        if level != expected {
            return Err(ImportFault::Levels);
        }
        self.end();
        let (here, missed) = (HashSet::new(), HashSet::new());
        self.level = Some(Level { level, here, missed, tip: Hash::ZERO, shown: Work::ZERO });
        Ok(())
    }

    fn end(&mut self) {
        if let Some(level) = self.level.take() {
            self.tips.insert(level.level, level.tip);
            self.shown = self.shown.max(level.shown);
        }
    }

    fn take_header(&mut self, list: u8, bytes: &Bytes, params: &Params) -> Result<(), ImportFault> {
        let header = Header::decode(bytes).map_err(|_| ImportFault::Malformed)?;
        let hash = header.hash();
        let is_genesis = hash == params.genesis.hash;
        let level = match self.found.get(&hash) {
            _ if is_genesis => params.level_max,
            Some(found) => found.level,
            None => is_worked(&header, params).ok_or(ImportFault::Level)?,
        };
        let Some(now) = &mut self.level else { return Err(ImportFault::Levels) };
        // Only the first block has no parents, which makes it a block of every level.
        if level < list || header.parents.level_count() == 0 && !is_genesis {
            return Err(ImportFault::Level);
        }
        let at = now.here.len() as u32;
        now.place(hash, parents(&header, list, params, is_genesis))?;
        if !is_genesis {
            now.shown = now.shown.saturating_add(shown(&header, list, params));
            if self.found.len() == PROOF_HEADERS_MAX {
                return Err(ImportFault::NoRoom);
            }
            let blue_work = from_wire(&header.blue_work);
            self.found.entry(hash).or_insert(Found { list, at, level, blue_work });
        }
        self.last = Some(header);
        Ok(())
    }

    /// All of it is there: the pruning point that it proves, if it does. `held` is the work of what is held, `base` its
    /// pruning point.
    pub(crate) fn judge(mut self, held: Work, base: &Hash, params: &Params) -> Result<Proved, ImportFault> {
        if self.level.as_ref().is_none_or(|level| level.level != 0) {
            return Err(ImportFault::Levels);
        }
        self.end();
        let point = self.last.ok_or(ImportFault::Levels)?;
        let hash = point.hash();
        if hash == params.genesis.hash || hash == *base {
            return Err(ImportFault::ProofPoint);
        }
        let level = self.found.get(&hash).map_or(0, |found| found.level);
        let is_tip = |(list, tip): (&u8, &Hash)| match *list <= level {
            true => *tip == hash,
            false => parents(&point, *list, params, false).contains(tip),
        };
        if !self.tips.iter().all(is_tip) {
            return Err(ImportFault::ProofPoint);
        }
        // A claim costs nothing: where blocks cost work, the proof itself must show about as much as is held.
        let is_shown = params.skips_proof_of_work || up(self.shown, LUCK_BITS) >= held;
        if from_wire(&point.blue_work) <= held || !is_shown {
            return Err(ImportFault::ProofWork);
        }
        Ok(Proved { point, hash, found: self.found })
    }
}

impl Level {
    /// Puts a header behind those that are here. Only the first may have no parent among them.
    fn place(&mut self, hash: Hash, parents: &[Hash]) -> Result<(), ImportFault> {
        let is_first = self.here.is_empty();
        let is_known = parents.iter().any(|parent| self.here.contains(parent));
        if self.missed.contains(&hash) || !(is_first || is_known) || !self.here.insert(hash) {
            return Err(ImportFault::ProofOrder);
        }
        self.missed.extend(parents.iter().filter(|parent| !self.here.contains(parent)));
        self.tip = hash;
        Ok(())
    }
}

/// A header's parents on a level. Above the highest that it lists that is the first block.
fn parents<'h>(header: &'h Header, level: u8, params: &'h Params, is_genesis: bool) -> &'h [Hash] {
    match usize::from(level) < header.parents.level_count() {
        true => header.parents.level(usize::from(level)),
        false if is_genesis => &[],
        false => std::slice::from_ref(&params.genesis.hash),
    }
}

/// The work that a header shows by standing on a level: on the lowest that of its target, above it how many hashes it
/// takes on average to reach the level.
fn shown(header: &Header, level: u8, params: &Params) -> Work {
    match level {
        0 => work(header.bits),
        level => up(Work::from_u64(1), 256 - u32::from(params.level_max) + u32::from(level)),
    }
}

/// So many times doubled, or the most there is.
fn up(work: Work, bits: u32) -> Work {
    if work.bits() + bits > 192 { Work::MAX } else { work.shl(bits) }
}

/// The headers of all pruning points: the first block, then each with an earlier one as its own pruning point, higher
/// than the one before, up to the proof's.
pub(crate) fn judge_points(headers: &[Bytes], point: &Hash, params: &Params) -> Result<(), ImportFault> {
    let mut before: HashSet<Hash> = HashSet::new();
    let (mut score, mut last) = (0, None);
    for bytes in headers {
        let header = Header::decode(bytes).map_err(|_| ImportFault::Malformed)?;
        let hash = header.hash();
        let leads = match last {
            None => hash == params.genesis.hash,
            Some(_) => header.blue_score > score && before.contains(&header.pruning_point),
        };
        if !leads || !before.insert(hash) {
            return Err(ImportFault::PruningPoints);
        }
        (score, last) = (header.blue_score, Some(hash));
    }
    if last == Some(*point) { Ok(()) } else { Err(ImportFault::PruningPoints) }
}
