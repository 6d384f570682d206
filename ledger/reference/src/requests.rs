//! Answers what only reads: the chain as this batch has it so far, and the mempool.

use crate::chain::End;
use crate::held::Held;
use crate::mempool::Mempool;
use crate::reader::Shared;
use crate::tables::{Look, Result};
use crate::transaction::TRANSACTION_BYTES;
use bytes::Bytes;
use polypeer_engine::kit::chain::{Answer, BlockKey, Hash, Request, Tip};

/// The most hashes in one answer, 2 MiB of them; AnYa asks for 4,096 and Hello for 10,000.
const HASHES_MAX: usize = 65_536;

/// What reading looks at.
pub(crate) struct Desk<'a, L> {
    pub(crate) shared: &'a Shared,
    pub(crate) look: &'a L,
    pub(crate) end: &'a End,
    pub(crate) held: &'a Held,
}

impl<L: Look> Desk<'_, L> {
    /// The answer, or nothing when the request is not one that reads.
    pub(crate) fn answer(&self, request: &Request) -> Result<Option<Answer>> {
        Ok(Some(match request {
            Request::Tip => Answer::Tip(self.tip()),
            Request::Block(key) => Answer::Block(self.block(key)?),
            Request::Hashes { from, count } => self.hashes(*from, *count)?,
            Request::HashesAt(heights) => self.hashes_at(heights)?,
            Request::Missing(hashes) => Answer::Missing(self.missing(hashes)?),
            Request::Waiting { bytes_max, overhead } => Answer::Waiting(self.waiting(*bytes_max, *overhead)),
            Request::WaitingIds(count) => Answer::WaitingIds(
                self.shared.mempool().by_worth().take(*count as usize).map(|waiting| waiting.id).collect(),
            ),
            Request::MissingTransactions(ids) => Answer::Missing(self.missing_transactions(ids)?),
            Request::Transaction(id) => Answer::Transaction(self.shared.mempool().get(id).map(|it| copy(&it.bytes))),
            Request::TakeBlock(_) | Request::TakeTransactions { .. } | Request::CatchingUp(_) => return Ok(None),
        }))
    }

    fn tip(&self) -> Tip {
        self.end.tip(&self.shared.network)
    }

    fn block(&self, key: &BlockKey) -> Result<Option<Bytes>> {
        let number = match key {
            BlockKey::Hash(hash) => self.look.number(hash)?,
            BlockKey::Height(height) => self.look.main(*height)?.map(|(_, number)| number),
        };
        number.map(|number| self.look.block(number)).transpose()
    }

    fn hashes(&self, from: u64, count: u32) -> Result<Answer> {
        let from = from.min(self.end.height + 1);
        let parent = match from.checked_sub(1) {
            Some(below) => self.look.main(below)?.map_or(Hash::ZERO, |(hash, _)| hash),
            None => Hash::ZERO,
        };
        let hashes = self.look.hashes(from, HASHES_MAX.min(count as usize))?;
        Ok(Answer::Hashes { from, parent, hashes, tip: self.tip() })
    }

    fn hashes_at(&self, heights: &[u64]) -> Result<Answer> {
        let mut hashes = Vec::with_capacity(heights.len());
        for height in heights {
            if let Some((hash, _)) = self.look.main(*height)? {
                hashes.push((*height, hash));
            }
        }
        Ok(Answer::HashesAt { hashes, tip: self.tip() })
    }

    fn missing(&self, hashes: &[Hash]) -> Result<Vec<Hash>> {
        let mut missing = Vec::new();
        for hash in hashes {
            if !self.held.contains(hash) && self.look.number(hash)?.is_none() {
                missing.push(*hash);
            }
        }
        Ok(missing)
    }

    fn missing_transactions(&self, ids: &[Hash]) -> Result<Vec<Hash>> {
        let mut missing = Vec::new();
        for id in ids {
            if !self.shared.mempool().contains(id) && self.look.confirmed(id)?.is_none() {
                missing.push(*id);
            }
        }
        Ok(missing)
    }

    fn waiting(&self, bytes_max: u64, overhead: u64) -> Vec<Bytes> {
        let each = overhead.saturating_add(TRANSACTION_BYTES as u64);
        let fit = usize::try_from(bytes_max / each).unwrap_or(usize::MAX);
        self.shared.mempool().by_worth().take(fit).map(|waiting| copy(&waiting.bytes)).collect()
    }
}

pub(crate) fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The answer while the store is shut: what is known without it, nothing invented.
pub(crate) fn answer_without_store(tip: Tip, mempool: &Mempool, request: &Request) -> Option<Answer> {
    Some(match request {
        Request::Tip => Answer::Tip(tip),
        Request::Block(_) => Answer::Block(None),
        Request::Hashes { .. } => Answer::Hashes { from: tip.height + 1, parent: tip.hash, hashes: Vec::new(), tip },
        Request::HashesAt(heights) => {
            let known = heights.iter().filter_map(|height| match *height {
                height if height == tip.height => Some((height, tip.hash)),
                0 => Some((0, tip.genesis)),
                _ => None,
            });
            Answer::HashesAt { hashes: known.collect(), tip }
        }
        // Nothing could be taken, so nothing is wanted.
        Request::Missing(_) | Request::MissingTransactions(_) => Answer::Missing(Vec::new()),
        Request::Waiting { .. } => Answer::Waiting(Vec::new()),
        Request::WaitingIds(count) => {
            Answer::WaitingIds(mempool.by_worth().take(*count as usize).map(|waiting| waiting.id).collect())
        }
        Request::Transaction(id) => Answer::Transaction(mempool.get(id).map(|waiting| copy(&waiting.bytes))),
        Request::TakeBlock(_) | Request::TakeTransactions { .. } | Request::CatchingUp(_) => return None,
    })
}
