//! Takes the blocks from which a DAG goes on: trusted ones with what GHOSTDAG made of them, then the pruning point, its
//! anticone, and headers of the chain below (Kaspa spec, section 4.6.7).

use super::{FULL_MAX, TRUSTED_MAX};
use crate::header::{VERSION, is_worked};
use crate::params::Params;
use crate::work::{Work, from_wire};
use bytes::Bytes;
use polypeer_engine::kit::chain::Hash;
use polypeer_kaspa::ledger::ImportFault;
use polypeer_kaspa::wire::{BlockView, Ghostdag, Header, TrustedBlock};
use std::collections::{BTreeMap, HashMap};

/// Where a block came from, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Trusted(u32),
    /// A header of the chain.
    Chain(u32),
}

/// What is kept in memory of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) origin: Origin,
    pub(crate) level: u8,
    pub(crate) blue_work: Work,
    first_parent: Hash,
}

/// The ground, as it comes in.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) point: Hash,
    pub(crate) entries: HashMap<Hash, Entry>,
    /// Full blocks and their places, the pruning point first.
    pub(crate) full: Vec<(Hash, u32)>,
    trusted: u32,
    blocks: u32,
    /// The next block of the chain; nothing before the first one and after the last.
    chain: Option<Hash>,
    is_below: bool,
}

impl Ground {
    pub(crate) fn new(point: Hash) -> Self {
        let (entries, full) = (HashMap::new(), Vec::new());
        Self { point, entries, full, trusted: 0, blocks: 0, chain: None, is_below: false }
    }

    /// Takes trusted blocks. The place of the first.
    pub(crate) fn take_trusted(&mut self, items: &[Bytes], params: &Params) -> Result<u32, ImportFault> {
        let first = self.trusted;
        for item in items {
            self.take_one_trusted(item, params)?;
            self.trusted += 1;
        }
        Ok(first)
    }

    fn take_one_trusted(&mut self, item: &Bytes, params: &Params) -> Result<(), ImportFault> {
        let malformed = |_| ImportFault::Malformed;
        let block = TrustedBlock::decode(item).map_err(malformed)?;
        let header = Header::decode(block.header).map_err(malformed)?;
        let data = Ghostdag::decode(block.ghostdag).map_err(malformed)?;
        let hash = header.hash();
        if self.trusted as usize == TRUSTED_MAX {
            return Err(ImportFault::NoRoom);
        }
        if hash == params.genesis.hash {
            return Ok(());
        }
        if !fits(&header, &data, params) {
            return Err(ImportFault::Trusted);
        }
        let entry = entry(&header, Origin::Trusted(self.trusted), params).ok_or(ImportFault::Trusted)?;
        match self.entries.insert(hash, entry) {
            None => Ok(()),
            Some(_) => Err(ImportFault::Trusted),
        }
    }

    /// All of them are there: the pruning point must be one of them.
    pub(crate) fn end_trusted(&self) -> Result<(), ImportFault> {
        if self.entries.contains_key(&self.point) { Ok(()) } else { Err(ImportFault::Trusted) }
    }

    /// Takes blocks. The place of the first.
    pub(crate) fn take_blocks(&mut self, items: &[Bytes], params: &Params) -> Result<u32, ImportFault> {
        let first = self.blocks;
        for item in items {
            let block = BlockView::decode(item).map_err(|_| ImportFault::Malformed)?;
            let header = block.header().map_err(|_| ImportFault::Malformed)?;
            match block.transaction_count {
                0 => self.take_chain(&header, params)?,
                _ => self.take_full(&header, &block)?,
            }
            self.blocks += 1;
        }
        Ok(first)
    }

    fn take_full(&mut self, header: &Header, block: &BlockView<'_>) -> Result<(), ImportFault> {
        let hash = header.hash();
        let is_next = match self.full.first() {
            None => hash == self.point,
            Some(_) => !self.full.iter().any(|(other, _)| *other == hash),
        };
        if self.is_below || !is_next || !self.entries.contains_key(&hash) {
            return Err(ImportFault::Blocks);
        }
        if self.full.len() == FULL_MAX {
            return Err(ImportFault::NoRoom);
        }
        if block.merkle_root() != Ok(header.hash_merkle_root) {
            return Err(ImportFault::Body);
        }
        self.full.push((hash, self.blocks));
        Ok(())
    }

    fn take_chain(&mut self, header: &Header, params: &Params) -> Result<(), ImportFault> {
        if !self.is_below {
            (self.is_below, self.chain) = (true, self.below(self.point));
        }
        let hash = header.hash();
        if self.full.is_empty() || self.chain != Some(hash) {
            return Err(ImportFault::Blocks);
        }
        self.chain = None;
        if hash != params.genesis.hash {
            let entry = entry(header, Origin::Chain(self.blocks), params).ok_or(ImportFault::Blocks)?;
            self.entries.insert(hash, entry);
            self.chain = self.below(hash);
        }
        Ok(())
    }

    /// The next block further down on the chain of one that is here, of those that are not.
    fn below(&self, hash: Hash) -> Option<Hash> {
        let mut entry = self.entries.get(&hash)?;
        // Each stands lower than the one before, or its hash would be part of its own.
        while let Some(below) = self.entries.get(&entry.first_parent) {
            entry = below;
        }
        Some(entry.first_parent)
    }

    /// All of them are there.
    pub(crate) fn end_blocks(&self) -> Result<(), ImportFault> {
        if self.full.is_empty() { Err(ImportFault::Blocks) } else { Ok(()) }
    }
}

fn entry(header: &Header, origin: Origin, params: &Params) -> Option<Entry> {
    let first_parent = *header.direct_parents().first()?;
    let level = is_worked(header, params).filter(|_| header.version <= VERSION)?;
    Some(Entry { origin, level, blue_work: from_wire(&header.blue_work), first_parent })
}

/// Whether what GHOSTDAG is said to have made of a block fits its header.
fn fits(header: &Header, data: &Ghostdag, params: &Params) -> bool {
    let rate = &params.rate;
    let sizes: BTreeMap<Hash, u16> = data.anticone_sizes.iter().copied().collect();
    header.blue_score == data.blue_score
        && header.blue_work == data.blue_work
        && header.direct_parents().contains(&data.selected_parent)
        && data.blues.first() == Some(&data.selected_parent)
        && data.blues.len() <= usize::from(rate.k) + 1
        && data.blues.len() + data.reds.len() <= rate.merge_set_max
        && data.anticone_sizes.len() == sizes.len()
        && sizes.values().all(|size| *size <= rate.k)
        && data.blues.iter().all(|blue| sizes.contains_key(blue))
}
