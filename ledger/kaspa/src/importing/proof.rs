//! Judges a pruning point's proof: on every level the newest blocks of at least that level, from the highest level down
//! (Kaspa spec, section 4.6.6), and the pruning points that lead to it.

use super::{Entry, POINTS, Staging, Step, Taken, Way, comparing};
use crate::params::Params;
use crate::pow::proof_of_work;
use crate::taking::Work;
use crate::work::{Work as Amount, from_wire, work as work_of};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::Header;
use std::collections::{HashMap, HashSet};

/// By how many doublings the work that a proof shows may fall short of what is held: luck moves what is counted from few
/// blocks.
const LUCK_BITS: u32 = 3;

/// How far a proof has come.
pub(super) struct Proof {
    level: u8,
    /// The level's headers so far, with their blue work.
    headers: HashMap<Hash, Amount>,
    /// Those of them on which none stands yet.
    leaves: HashSet<Hash>,
    /// Whether a level had headers beside the past of its last one.
    is_loose: bool,
    is_from_genesis: bool,
    /// The work that the level shows so far, and the most that one has shown.
    shown: Amount,
    shown_most: Amount,
    last: Option<Header>,
    /// The last header's hash on each level that is done, from the highest down, and how many headers it has.
    tips: Vec<Hash>,
    lengths: Vec<u64>,
}

impl Proof {
    pub(super) fn new(level_max: u8) -> Self {
        Self {
            level: level_max,
            headers: HashMap::new(),
            leaves: HashSet::new(),
            is_loose: false,
            is_from_genesis: false,
            shown: Amount::ZERO,
            shown_most: Amount::ZERO,
            last: None,
            tips: Vec::new(),
            lengths: Vec::new(),
        }
    }
}

/// A header's level, and whether its work is done.
pub(super) fn weigh(header: &Header, params: &Params) -> (u8, bool) {
    if header.parents.level_count() == 0 {
        return (params.level_max, true);
    }
    let proof = proof_of_work(header, params.level_max);
    (proof.level, params.skips_proof_of_work || proof.is_enough)
}

/// The work that a header shows by its place on a level: on the lowest that of its target, above it as many hashes as it
/// takes on average to reach the level.
pub(super) fn shown(header: &Header, level: u8, params: &Params) -> Amount {
    match level {
        0 => work_of(header.bits),
        _ => doubled(Amount::from_u64(1), 256 - u32::from(params.level_max) + u32::from(level)),
    }
}

/// So many times twice as much, or the most there is.
fn doubled(work: Amount, times: u32) -> Amount {
    if work.bits() + times > 192 { Amount::MAX } else { work.shl(times) }
}

/// A header's parents on a level: the first block above the highest that it lists.
pub(super) fn parents_at<'h>(header: &'h Header, level: u8, genesis: &'h Hash) -> &'h [Hash] {
    match header.parents.level_count() {
        0 => &[],
        count if usize::from(level) < count => header.parents.level(usize::from(level)),
        _ => std::slice::from_ref(genesis),
    }
}

impl Staging {
    pub(super) fn take_proof(&mut self, work: &mut Work<'_>, level: u8, headers: &[Bytes]) -> Taken<()> {
        self.at(Step::Proof)?;
        if level.checked_add(1) == Some(self.proof.level) {
            self.end_level(&work.dag.params)?;
            self.proof.level = level;
        }
        if level != self.proof.level || headers.is_empty() {
            return Err(ImportFault::Levels);
        }
        headers.iter().try_for_each(|bytes| self.take_proof_header(work, bytes))
    }

    fn take_proof_header(&mut self, work: &mut Work<'_>, bytes: &Bytes) -> Taken<()> {
        let header = Header::decode(bytes).map_err(|_| ImportFault::Malformed)?;
        let (hash, params) = (header.hash(), &work.dag.params);
        let (genesis, proof) = (params.genesis.hash, &mut self.proof);
        let (own_level, is_worked) = match self.entries.get(&hash) {
            Some(known) => (known.level, true),
            None => weigh(&header, params),
        };
        if own_level < proof.level || !is_worked {
            return Err(ImportFault::Level);
        }
        let is_first = proof.headers.is_empty();
        let blue_work = from_wire(&header.blue_work);
        let parents = parents_at(&header, proof.level, &genesis);
        let known: Vec<_> = parents.iter().filter_map(|parent| proof.headers.get(parent)).collect();
        // A level that begins with the first block lacks nobody's parent.
        let has_parents = match known.len() {
            count if is_first => count == 0,
            count if proof.is_from_genesis => count == parents.len(),
            count => count > 0,
        };
        let is_founded = header.parents.level_count() > 0 || hash == genesis;
        if !is_founded || !has_parents || known.iter().any(|parent| **parent >= blue_work) {
            return Err(ImportFault::ProofOrder);
        }
        for parent in parents {
            proof.leaves.remove(parent);
        }
        proof.leaves.insert(hash);
        let place = proof.headers.len() as u64;
        if proof.headers.insert(hash, blue_work).is_some() {
            return Err(ImportFault::ProofOrder);
        }
        proof.is_from_genesis |= is_first && hash == genesis;
        if hash != genesis {
            proof.shown = proof.shown.saturating_add(shown(&header, proof.level, params));
        }
        let part = u16::from(proof.level);
        proof.last = Some(header);
        work.keep(part, place, bytes)?;
        self.enter(hash, Entry { blue_work, level: own_level, part, place })
    }

    /// A level is whole when it goes down to the first block, or far enough.
    fn end_level(&mut self, params: &Params) -> Taken<()> {
        let proof = &mut self.proof;
        proof.is_loose |= proof.leaves.len() > 1;
        let is_long = proof.headers.len() as u64 >= params.proof_headers.saturating_mul(2);
        let last = proof.last.as_ref().filter(|_| proof.is_from_genesis || is_long).ok_or(ImportFault::Levels)?;
        proof.tips.push(last.hash());
        proof.lengths.push(proof.headers.len() as u64);
        (proof.headers, proof.leaves) = (HashMap::new(), HashSet::new());
        proof.is_from_genesis = false;
        proof.shown_most = proof.shown_most.max(std::mem::take(&mut proof.shown));
        Ok(())
    }

    /// The pruning point, which ends the lowest level, and each up to its own; above, a parent of its does.
    /// What is held has some headers on each level, or no proof.
    pub(super) fn end_proof(&mut self, work: &mut Work<'_>, held_at: impl Fn(u8) -> Option<Vec<Bytes>>) -> Taken<Hash> {
        self.at(Step::Proof)?;
        let params = &work.dag.params;
        if self.proof.level != 0 {
            return Err(ImportFault::Levels);
        }
        self.end_level(params)?;
        let point = self.proof.last.take().ok_or(ImportFault::Levels)?;
        let hash = point.hash();
        let (own_level, _) = weigh(&point, params);
        let held = work.dag.node(work.dag.base()).hash;
        if hash == params.genesis.hash || hash == held {
            return Err(ImportFault::ProofPoint);
        }
        let mut tips = (0..=params.level_max).zip(self.proof.tips.iter().rev());
        let ends = |(level, tip): (u8, &Hash)| {
            if level <= own_level {
                *tip == hash
            } else {
                parents_at(&point, level, &params.genesis.hash).contains(tip)
            }
        };
        if !tips.all(ends) {
            return Err(ImportFault::ProofPoint);
        }
        if self.proof.is_loose {
            return Err(ImportFault::ProofOrder);
        }
        let held = work.dag.node(work.dag.sink()).blue_work;
        // To claim work costs nothing: where blocks cost some, a level must show about as much as is held.
        let is_shown = params.skips_proof_of_work || doubled(self.proof.shown_most, LUCK_BITS) >= held;
        if from_wire(&point.blue_work) <= held || !is_shown {
            return Err(ImportFault::ProofWork);
        }
        if self.way == Way::Proof && !self.is_better(work, held_at) {
            return Err(ImportFault::ProofWork);
        }
        if self.way == Way::CatchUp && hash != self.target {
            // The syncer's pruning point has moved, and what is here is of the one before.
            self.rewind(work)?;
            return Ok(hash);
        }
        // What it proves is what it is about, whatever was asked for.
        self.target = hash;
        self.believe(work, hash, point)?;
        self.goes_on(work)?;
        Ok(hash)
    }

    /// Whether the levels show more than those of what is held, if it has any.
    fn is_better(&self, work: &mut Work<'_>, held_at: impl Fn(u8) -> Option<Vec<Bytes>>) -> bool {
        let params = work.dag.params.clone();
        let long = usize::try_from(params.proof_headers.saturating_mul(2)).unwrap_or(usize::MAX);
        if held_at(0).is_none() {
            return true;
        }
        let levels = (0..=params.level_max).zip(self.proof.lengths.iter().rev()).map(|(level, length)| {
            let new: Vec<Bytes> = (0..*length).filter_map(|place| work.kept(u16::from(level), place)).collect();
            let held = held_at(level).unwrap_or_default();
            (comparing::level_of(&new, level, &params), comparing::level_of(&held, level, &params))
        });
        comparing::is_better(levels, long)
    }

    /// Pruning points, of which each names an earlier one as its own, and none an earlier one than the one before did.
    pub(super) fn take_points(&mut self, work: &mut Work<'_>, headers: &[Bytes]) -> Taken<()> {
        self.at(Step::Points)?;
        let point = self.point.as_ref().map(|(hash, _)| *hash);
        let mut places: HashMap<Hash, usize> = HashMap::new();
        let (mut named, mut score, mut last) = (0, None, None);
        for (bytes, place) in headers.iter().zip(0..) {
            let header = Header::decode(bytes).map_err(|_| ImportFault::Malformed)?;
            let hash = header.hash();
            let names = if place == 0 { Some(0) } else { places.get(&header.pruning_point).copied() };
            let rises = score.is_none_or(|score| header.blue_score > score);
            let is_next = rises && names.is_some_and(|names| names >= named);
            if !is_next || place == 0 && hash != work.dag.params.genesis.hash {
                return Err(ImportFault::PruningPoints);
            }
            (named, score, last) = (names.unwrap_or(named), Some(header.blue_score), Some(hash));
            places.insert(hash, place);
            work.keep(POINTS, place as u64, bytes)?;
        }
        // Whoever catches up stands on one of them.
        let base = work.dag.node(work.dag.base()).hash;
        let is_ours = self.way == Way::Proof || places.contains_key(&base);
        if last.is_none() || last != point || !is_ours {
            return Err(ImportFault::PruningPoints);
        }
        self.goes_on(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_shows_the_work_that_it_takes_to_reach_it() {
        let params = Params::mainnet();
        let header = Header { bits: 0x1e21_bc1c, ..Header::default() };
        assert_eq!(shown(&header, 0, &params), Amount::from_u64(0x0796ae));
        // A value of 225 bits is of level 0, and each level has one bit less.
        assert_eq!(shown(&header, 1, &params), Amount::from_u64(1 << 32));
        assert_eq!(shown(&header, 20, &params), Amount::from_u64(1 << 51));
        assert_eq!(shown(&header, 225, &params), Amount::MAX);
        assert_eq!(doubled(Amount::from_u64(3), 190), Amount::from_u64(3).shl(190));
        assert_eq!(doubled(Amount::from_u64(3), 191), Amount::MAX);
    }
}
