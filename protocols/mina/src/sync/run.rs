//! Fetches the blocks that are missing, from whoever has them, and hands them over in their order.

use super::{Hands, Output};
use crate::block::Block;
use crate::checks::Rules;
use crate::hash::state_hash;
use crate::ledger::{Hash, Origin};
use crate::rpc::{AskId, Dialect, Question, read_blocks};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;
use polypeer_engine::{ConnectionId, Now, Time};

/// Blocks of one question: as many as may come in one answer when each is as large as may be (section 4.4).
const BATCH_BLOCKS: usize = 8;
/// Questions for blocks at a time.
const BATCHES_MAX: usize = 3;
/// Blocks that are asked for or here and not handed over: what is far ahead waits until what is before it has come.
pub(super) const WINDOW_BLOCKS: usize = BATCH_BLOCKS * BATCHES_MAX;
/// Blocks that are with the ledger.
const JUDGING_MAX: usize = 16;
/// Without a block that came or was judged for so long it is given up.
const STALL_TIME: Duration = Duration::from_secs(120);

/// Blocks that one question asked for, by their places.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    connection: ConnectionId,
    places: Vec<usize>,
}

/// A block that came.
#[derive(Clone, Debug)]
struct Fetched {
    block: Bytes,
    header_end: u32,
    connection: ConnectionId,
}

/// Blocks that were not as they should be.
#[derive(Debug)]
pub(super) struct WrongBlocks;

/// One chain's missing blocks.
#[derive(Debug)]
pub(super) struct Run {
    /// Whose chain it is; nothing for a block that gossip leads to.
    pub(super) from: Option<ConnectionId>,
    /// How many blocks above it are known that wait for it, when it is of gossip.
    pub(super) depth: usize,
    // Oldest first.
    wants: Vec<Hash>,
    // How many are handed over: the place of the next.
    handed: usize,
    blocks: BTreeMap<usize, Fetched>,
    judging: BTreeSet<Hash>,
    batches: BTreeMap<AskId, Batch>,
    // Who said that it does not have which.
    missed: BTreeSet<(usize, ConnectionId)>,
    has_nobody: bool,
    progress: Time,
}

impl Run {
    pub(super) fn new(now: Time, from: Option<ConnectionId>, wants: Vec<Hash>) -> Self {
        Self {
            from,
            depth: 0,
            wants,
            handed: 0,
            blocks: BTreeMap::new(),
            judging: BTreeSet::new(),
            batches: BTreeMap::new(),
            missed: BTreeSet::new(),
            has_nobody: false,
            progress: now,
        }
    }

    /// For a block that gossip leads to.
    pub(super) fn below(now: Time, hash: Hash, depth: usize) -> Self {
        Self { depth, ..Self::new(now, None, alloc::vec![hash]) }
    }

    /// A block that came with the chain: it need not be asked for.
    pub(super) fn bring(&mut self, hash: &Hash, block: &Bytes, connection: ConnectionId) {
        let place = self.wants.iter().position(|wanted| wanted == hash);
        if let (Some(place), Ok((_, header_end))) = (place, Block::open(block)) {
            self.blocks.insert(place, Fetched { block: block.clone(), header_end: header_end as u32, connection });
        }
    }

    /// The question with this id is answered, or failed: what it asked for.
    pub(super) fn answered(&mut self, ask: &AskId) -> Option<Batch> {
        self.batches.remove(ask)
    }

    /// A peer is gone, and what it was asked for with it.
    pub(super) fn lost(&mut self, connection: ConnectionId) {
        self.batches.retain(|_, batch| batch.connection != connection);
        self.missed.retain(|(_, missing)| *missing != connection);
    }

    /// A peer did not bring these.
    pub(super) fn missed(&mut self, connection: ConnectionId, batch: &Batch) {
        self.missed.extend(batch.places.iter().map(|place| (*place, connection)));
    }

    /// Looks at the blocks that came: each must be the one that was asked for, and keep the cheap rules.
    pub(super) fn takes(
        &mut self,
        connection: ConnectionId,
        batch: &Batch,
        answer: &Bytes,
        rules: &Rules,
        now: Now,
    ) -> Result<(), WrongBlocks> {
        let blocks = read_blocks(answer).map_err(|_| WrongBlocks)?;
        if blocks.len() != batch.places.len() {
            return Err(WrongBlocks);
        }
        for (block, place) in blocks.into_iter().zip(&batch.places) {
            let (decoded, header_end) = Block::open(&block).map_err(|_| WrongBlocks)?;
            let is_it = self.wants.get(*place) == Some(&state_hash(&decoded.header.state));
            if !is_it || rules.check_block(&decoded, now.unix_ms, Origin::Sync).is_err() {
                return Err(WrongBlocks);
            }
            let header_end = header_end as u32;
            // A copy: else one block would hold the whole answer in memory.
            self.blocks.insert(*place, Fetched { block: Bytes::copy_from_slice(&block), header_end, connection });
            self.progress = now.monotonic;
        }
        Ok(())
    }

    /// Hands over what is next and here.
    pub(super) fn hand_over(&mut self, out: &mut Vec<Output>) {
        while self.judging.len() < JUDGING_MAX
            && let Some(hash) = self.wants.get(self.handed).copied()
            && let Some(Fetched { block, header_end, connection }) = self.blocks.remove(&self.handed)
        {
            self.handed += 1;
            self.judging.insert(hash);
            out.push(Output::Block { connection, hash, block, header_end });
        }
    }

    /// The ledger has judged one. Whether it was of this run.
    pub(super) fn judged(&mut self, now: Time, hash: &Hash) -> bool {
        self.progress = now;
        self.judging.remove(hash)
    }

    /// Asks for what is missing of the window.
    pub(super) fn fetch(&mut self, sources: &[ConnectionId], hands: &mut Hands<'_>) {
        self.has_nobody = false;
        let busy: Vec<ConnectionId> = self.batches.values().map(|batch| batch.connection).collect();
        let mut free = sources.iter().copied().filter(|source| !busy.contains(source)).peekable();
        while self.batches.len() < BATCHES_MAX {
            let missing = self.missing();
            let Some(first) = missing.first() else { return };
            let Some(source) = free.next() else {
                self.has_nobody = self.batches.is_empty();
                return;
            };
            if self.missed.contains(&(*first, source)) {
                continue;
            }
            let count = match hands.rpc.dialect(source) {
                Some(Dialect::Rust) => 1,
                _ => BATCH_BLOCKS,
            };
            let is_near = |place: &&usize| **place < *first + count && !self.missed.contains(&(**place, source));
            let places: Vec<usize> = missing.iter().filter(is_near).copied().collect();
            let hashes: Vec<Hash> = places.iter().filter_map(|place| self.wants.get(*place).copied()).collect();
            if let Ok(ask) = hands.ask(source, Question::blocks(&hashes)) {
                self.batches.insert(ask, Batch { connection: source, places });
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.handed >= self.wants.len() && self.judging.is_empty()
    }

    /// Whether nobody is left to ask.
    pub(super) fn is_hopeless(&self) -> bool {
        self.has_nobody && self.judging.is_empty()
    }

    pub(super) fn is_stalled(&self, now: Time) -> bool {
        self.progress + STALL_TIME <= now
    }

    pub(super) fn wanted(&self) -> usize {
        self.wants.len() - self.handed
    }

    pub(super) fn held(&self) -> usize {
        self.blocks.len()
    }

    // Places in the window that are neither here nor asked for.
    fn missing(&self) -> Vec<usize> {
        let end = self.wants.len().min(self.handed + WINDOW_BLOCKS);
        let asked: BTreeSet<usize> = self.batches.values().flat_map(|batch| batch.places.iter().copied()).collect();
        (self.handed..end).filter(|place| !self.blocks.contains_key(place) && !asked.contains(place)).collect()
    }
}
