//! Takes the blocks that an import stands on: trusted ones for the windows, full ones at the base, headers of the chain
//! below (Kaspa spec, section 4.6.7).

use super::proof::weigh;
use super::{BLOCKS, Entry, Staging, Step, TRUSTED, Taken, Way};
use crate::body::{Body, Frame};
use crate::taking::Work;
use crate::work::from_wire;
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::{BlockView, Ghostdag, Header, TrustedBlock};

/// The header in an item of a part.
pub(super) fn header_in(part: u16, bytes: &[u8]) -> Option<Header> {
    match part {
        TRUSTED => Header::decode(TrustedBlock::decode(bytes).ok()?.header).ok(),
        BLOCKS => BlockView::decode(bytes).ok()?.header().ok(),
        _ => Header::decode(bytes).ok(),
    }
}

impl Staging {
    pub(super) fn take_trusted(&mut self, work: &mut Work<'_>, blocks: &[Bytes]) -> Taken<()> {
        self.at(Step::Trusted)?;
        for bytes in blocks {
            let decode = || {
                let block = TrustedBlock::decode(bytes)?;
                Ok::<_, polypeer_kaspa::wire::WireError>((
                    Header::decode(block.header)?,
                    Ghostdag::decode(block.ghostdag)?,
                ))
            };
            let (header, ghostdag) = decode().map_err(|_| ImportFault::Malformed)?;
            let says_the_same = header.blue_score == ghostdag.blue_score && header.blue_work == ghostdag.blue_work;
            let starts = ghostdag.blues.first() == Some(&ghostdag.selected_parent);
            let hash = header.hash();
            let place = self.trusted.len() as u64;
            if !says_the_same || !starts && hash != work.dag.params.genesis.hash {
                return Err(ImportFault::Trusted);
            }
            if self.trusted.contains_key(&hash) {
                continue;
            }
            self.weigh_in(work, hash, &header, TRUSTED, place)?;
            self.trusted.insert(hash, place);
            work.keep(TRUSTED, place, bytes)?;
        }
        Ok(())
    }

    /// Enters a header whose work is done.
    fn weigh_in(&mut self, work: &mut Work<'_>, hash: Hash, header: &Header, part: u16, place: u64) -> Taken<()> {
        let level = match self.entries.get(&hash) {
            Some(known) => known.level,
            None => match weigh(header, &work.dag.params) {
                (level, true) => level,
                (_, false) => return Err(ImportFault::Trusted),
            },
        };
        self.enter(hash, Entry { blue_work: from_wire(&header.blue_work), level, part, place })
    }

    pub(super) fn end_trusted(&mut self, work: &mut Work<'_>) -> Taken<()> {
        self.at(Step::Trusted)?;
        self.goes_on(work)
    }

    pub(super) fn take_blocks(&mut self, work: &mut Work<'_>, blocks: &[Bytes]) -> Taken<()> {
        self.at(Step::Blocks)?;
        blocks.iter().try_for_each(|bytes| self.take_base_block(work, bytes))
    }

    fn take_base_block(&mut self, work: &mut Work<'_>, bytes: &Bytes) -> Taken<()> {
        let block = BlockView::decode(bytes).map_err(|_| ImportFault::Malformed)?;
        let header = block.header().map_err(|_| ImportFault::Malformed)?;
        let (hash, place) = (header.hash(), self.blocks);
        if block.transaction_count > 0 {
            self.take_full(work, hash, &header, &block)?;
        } else {
            self.take_below(work, hash, &header)?;
            self.weigh_in(work, hash, &header, BLOCKS, place)?;
            self.chain.insert(hash, place);
            self.below = Some(header);
        }
        self.blocks += 1;
        work.keep(BLOCKS, place, bytes)
    }

    /// The pruning point, or a block beside it: trusted, and with its body.
    fn take_full(&mut self, work: &Work<'_>, hash: Hash, header: &Header, block: &BlockView<'_>) -> Taken<()> {
        let point = self.point.as_ref().map(|(point, _)| *point);
        let is_in_place = if self.blocks == 0 { Some(hash) == point } else { self.below.is_none() };
        let is_new = self.bases.insert(hash, self.blocks).is_none();
        if !is_in_place || !is_new || !self.trusted.contains_key(&hash) {
            return Err(ImportFault::Blocks);
        }
        // Lock times by the clock were judged by those who mined on it.
        let (blue_score, daa_score) = (header.blue_score, header.daa_score);
        let frame = Frame { merkle_root: header.hash_merkle_root, blue_score, daa_score, median_time: u64::MAX };
        Body::judge(block.transactions(), &frame, &work.dag.params).map_err(|_| ImportFault::Body)?;
        Ok(())
    }

    /// The next header of the chain below, without those that are trusted.
    fn take_below(&mut self, work: &mut Work<'_>, hash: Hash, header: &Header) -> Taken<()> {
        if self.bases.is_empty() {
            return Err(ImportFault::Blocks);
        }
        let from = self.below.take().or_else(|| self.point.as_ref().map(|(_, point)| point.clone()));
        let mut above = from.ok_or(ImportFault::OutOfOrder)?;
        loop {
            let next = above.direct_parents().first().copied().ok_or(ImportFault::Blocks)?;
            if next == hash {
                let is_trusted = self.trusted.contains_key(&hash);
                let is_lower = header.blue_score < above.blue_score;
                return if is_trusted || !is_lower { Err(ImportFault::Blocks) } else { Ok(()) };
            }
            let place = *self.trusted.get(&next).ok_or(ImportFault::Blocks)?;
            above = self.header_of(work, TRUSTED, place).ok_or(ImportFault::Trusted)?;
        }
    }

    /// A header that came, by where it is kept.
    pub(super) fn header_of(&self, work: &mut Work<'_>, part: u16, place: u64) -> Option<Header> {
        header_in(part, &work.kept(part, place)?)
    }

    pub(super) fn end_blocks(&mut self, work: &mut Work<'_>) -> Taken<()> {
        self.at(Step::Blocks)?;
        if self.bases.is_empty() {
            return Err(ImportFault::Incomplete);
        }
        match self.way {
            Way::Proof => {
                let dag = self.build(work)?;
                self.commitments = self.commitments_below(work);
                self.stand(work, dag)?;
            }
            Way::CatchUp => self.try_build(work)?,
        }
        self.goes_on(work)
    }
}
