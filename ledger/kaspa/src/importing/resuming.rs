//! Marks how far an import is, goes back to where a stage began, and takes an import up again from what is durable.

use super::blocks::header_in;
use super::proof::weigh;
use super::{BLOCKS, Entry, LANES, MARKS, METADATA, OUTPUTS, POINTS, Staging, Step, Taken, Way};
use crate::dag::Dag;
use crate::node::Number;
use crate::params::Params;
use crate::store::{Store, Write};
use crate::tables::{Reading, Result, torn};
use crate::taking::Work;
use crate::work::from_wire;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::Header;

/// Places of marks: way, stage and pruning point; the pruning point's header; where the DAG that was built has it, and
/// the commitments below it.
const STAGE: u64 = 0;
const HEADER: u64 = 1;
const BASE: u64 = 2;

impl Step {
    const ALL: [Self; 8] =
        [Self::Bodies, Self::Proof, Self::Points, Self::Trusted, Self::Blocks, Self::Lanes, Self::Outputs, Self::Whole];
}

impl Staging {
    /// The stage is whole. What came of it is durable with the batch.
    pub(super) fn goes_on(&mut self, work: &mut Work<'_>) -> Taken<()> {
        let mut left = self.way.steps().iter().skip_while(|step| **step != self.step).skip(1);
        self.step = *left.next().ok_or(ImportFault::OutOfOrder)?;
        self.mark(work)
    }

    fn mark(&self, work: &mut Work<'_>) -> Taken<()> {
        let mark = [&[self.way as u8, self.step as u8], &self.target.0[..]].concat();
        work.keep(MARKS, STAGE, &mark.into())
    }

    /// The pruning point's header is believed.
    pub(super) fn believe(&mut self, work: &mut Work<'_>, hash: Hash, header: Header) -> Taken<()> {
        work.keep(MARKS, HEADER, &header.encode())?;
        self.point = Some((hash, header));
        Ok(())
    }

    /// The DAG is built.
    pub(super) fn stand(&mut self, work: &mut Work<'_>, dag: Dag) -> Taken<()> {
        let commitments = self.commitments.iter().flatten().flat_map(|hash| hash.0);
        let mark: Bytes = dag.base().to_be_bytes().into_iter().chain(commitments).collect();
        self.dag = Some(dag);
        work.keep(MARKS, BASE, &mark)
    }

    /// Goes back to where the stage that is on began: one stream of the wire is one stage, or three.
    pub(super) fn rewind(&mut self, work: &mut Work<'_>) -> Taken<()> {
        let parts = match self.step {
            Step::Bodies | Step::Whole => None,
            Step::Proof => Some((0, POINTS - 1)),
            Step::Points | Step::Trusted | Step::Blocks => Some((POINTS, BLOCKS)),
            Step::Lanes => Some((METADATA, LANES)),
            Step::Outputs => Some((OUTPUTS, OUTPUTS)),
        };
        let begins = work.kept(MARKS, STAGE).is_none();
        let forgets = parts.is_some_and(|parts| work.forget(parts));
        match self.step {
            Step::Proof => self.forget_proof(work),
            Step::Points | Step::Trusted | Step::Blocks => self.forget_blocks(),
            _ => {}
        }
        (self.lanes, self.outputs, self.output_count) = (None, Default::default(), 0);
        if begins || forgets { self.mark(work) } else { Ok(()) }
    }

    fn forget_proof(&mut self, work: &Work<'_>) {
        self.proof = super::Proof::new(work.dag.params.level_max);
        self.entries.clear();
        if self.way == Way::Proof {
            self.point = None;
        }
    }

    fn forget_blocks(&mut self) {
        self.step = Step::Points;
        self.entries.retain(|_, entry| entry.part < POINTS);
        self.trusted.clear();
        self.bases.clear();
        self.chain.clear();
        (self.blocks, self.below) = (0, None);
    }

    /// After a fault: back to what does not hang together with what was wrong. Lanes, outputs and bodies are judged by
    /// the pruning point's header alone; proof and trusted blocks with each other, and only as far as they show it.
    /// Whether anything is left.
    pub(super) fn falls_back(&mut self, work: &mut Work<'_>) -> bool {
        let hangs_together = matches!(self.step, Step::Proof | Step::Points | Step::Trusted | Step::Blocks);
        match (hangs_together, self.way) {
            (true, Way::Proof) => return false,
            (true, Way::CatchUp) => {
                work.forget((POINTS, BLOCKS));
                self.forget_blocks();
                self.step = Step::Proof;
            }
            (false, _) => {}
        }
        self.rewind(work).is_ok()
    }

    /// What was being imported when the store was closed.
    pub(crate) fn load(store: &Store, params: &Params) -> Result<Option<Self>> {
        if store.counters.staged == 0 {
            return Ok(None);
        }
        let reading = store.look(|database| Reading::open(database, false))?;
        let Some(mark) = reading.kept(MARKS, STAGE)? else { return Ok(None) };
        let Some((way, step, target)) = read_mark(&mark) else { return Err(torn("how far an import was")) };
        let mut staging = Self { step, ..Self::new(way, target, params.level_max) };
        // Whoever catches up gets the header from what is served, each time anew.
        if way == Way::Proof && staging.is_past(Step::Proof) {
            let header = reading.kept(MARKS, HEADER)?.and_then(|bytes| Header::decode(&bytes).ok());
            staging.point = Some((target, header.ok_or_else(|| torn("an import's pruning point"))?));
        }
        if staging.is_past(Step::Proof) && !staging.is_past(Step::Blocks) {
            staging.enter_proof(&reading, params)?;
        }
        if way == Way::Proof && staging.is_past(Step::Blocks) {
            let mark = reading.kept(MARKS, BASE)?.unwrap_or_default();
            let base = mark.first_chunk().map(|base| Number::from_be_bytes(*base));
            let base = base.ok_or_else(|| torn("an import's ground"))?;
            let hashes = mark.get(4..).unwrap_or_default().as_chunks::<32>().0;
            staging.commitments = <[[u8; 32]; 2]>::try_from(hashes).ok().map(|hashes| hashes.map(Hash));
            staging.dag = Some(Dag::load_staged(store, params, base)?);
        }
        Ok(Some(staging))
    }

    /// Enters the headers of the proof again, as they were when it was believed.
    fn enter_proof(&mut self, reading: &Reading, params: &Params) -> Result<()> {
        for part in 0..=u16::from(params.level_max) {
            for (bytes, place) in reading.page(part, 0, usize::MAX, usize::MAX)?.0.iter().zip(0..) {
                let header = header_in(part, bytes).ok_or_else(|| torn("a proof's header"))?;
                let hash = header.hash();
                // Its level follows from its work, which need not be found out on each level anew.
                let level = self.entries.get(&hash).map(|known| known.level);
                let level = level.unwrap_or_else(|| weigh(&header, params).0);
                let entry = Entry { blue_work: from_wire(&header.blue_work), level, part, place };
                self.entries.entry(hash).or_insert(entry);
            }
        }
        Ok(())
    }
}

fn read_mark(mark: &[u8]) -> Option<(Way, Step, Hash)> {
    let ([way, step], target) = mark.split_first_chunk::<2>()?;
    let step = Step::ALL.get(usize::from(*step))?;
    Some((*Way::ALL.get(usize::from(*way))?, *step, Hash(target.try_into().ok()?)))
}

impl Work<'_> {
    /// Forgets parts of what is being imported. Whether there was anything.
    pub(super) fn forget(&mut self, parts: (u16, u16)) -> bool {
        let fresh = self.fresh.forget(parts);
        let bytes = fresh + self.kept_bytes(parts);
        if bytes > 0 {
            self.writes.push(Write::Forget { parts, bytes });
            self.room = self.room.map(|room| room.saturating_add(bytes));
        }
        bytes > 0
    }

    fn kept_bytes(&mut self, parts: (u16, u16)) -> u64 {
        let counted = self.reading.map(|reading| reading.kept_bytes(parts));
        self.is_broken |= counted.as_ref().is_some_and(Result::is_err);
        counted.and_then(Result::ok).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_back() {
        for step in Step::ALL {
            assert_eq!(Step::ALL[step as usize], step);
            for way in Way::ALL {
                let mark = [&[way as u8, step as u8][..], &[7; 32]].concat();
                assert_eq!(read_mark(&mark), Some((way, step, Hash([7; 32]))));
                assert_eq!(read_mark(&mark[..33]), None);
            }
        }
        assert_eq!(read_mark(&[2; 34]), None);
        assert_eq!(read_mark(&[]), None);
    }
}
